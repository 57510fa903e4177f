"""One contract for every kind of store: a folder, S3 (a real server), memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import obstore
import pytest
from obstore.store import S3Store

from filemill.blobs import DiskBlobs, ObjectBlobs, open_blobs
from filemill.blobs.objects import PART, CloudBlobs
from filemill.errors import NotFound
from filemill.model import Blob
from filemill.ports.blobs import Presigns

SOME = random.Random(1).randbytes(2 * PART + 12_345)
"""More than a stream's parts in flight: a multipart upload with an odd end."""


class Broken(Exception):
    pass


async def chunks(data: bytes, *, size: int = 100_000, error: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
    if error:
        raise Broken("the client went away")


def write(blobs: ObjectBlobs, key: str, data: bytes) -> Blob:
    return asyncio.run(blobs.write(key, chunks(data)))


def read(blobs: ObjectBlobs, key: str, *range_: int | None) -> bytes:
    async def whole() -> bytes:
        return b"".join([chunk async for chunk in blobs.read(key, *range_)])  # type: ignore[arg-type]

    return asyncio.run(whole())


def keys(blobs: ObjectBlobs) -> list[str]:
    """Everything in the store, as the store itself lists it."""
    return sorted(entry["path"] for page in obstore.list(blobs._store) for entry in page)


@pytest.mark.parametrize("data", [b"", b"x", SOME], ids=["empty", "one byte", "parts"])
def test_what_is_written_is_read(blobs: ObjectBlobs, data: bytes) -> None:
    blob = write(blobs, "jobs/job_1/in", data)
    assert blob == Blob("jobs/job_1/in", len(data), hashlib.sha256(data).hexdigest())
    assert read(blobs, "jobs/job_1/in") == data


@pytest.mark.parametrize("data", [b"", b"x", SOME], ids=["at once", "after a byte", "after parts"])
def test_broken_stream_leaves_nothing(
    blobs: ObjectBlobs, data: bytes, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(Broken, match="went away"):
        asyncio.run(blobs.write("jobs/job_1/in", chunks(data, error=True)))
    assert keys(blobs) == []
    with pytest.raises(NotFound):
        read(blobs, "jobs/job_1/in")
    if isinstance(blobs, DiskBlobs):
        assert not [path for path in blobs._folder.rglob("*") if path.is_file()], "parts remain"


def test_broken_stream_keeps_what_was_there(blobs: ObjectBlobs) -> None:
    write(blobs, "a", b"old")
    with pytest.raises(Broken):
        asyncio.run(blobs.write("a", chunks(SOME, error=True)))
    assert read(blobs, "a") == b"old"


def test_cancelled_write_leaves_nothing(blobs: ObjectBlobs) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield SOME
        await asyncio.sleep(3600)

    async def give_up() -> None:
        writing = asyncio.create_task(blobs.write("jobs/job_1/in", endless()))
        await asyncio.sleep(0.5)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    asyncio.run(give_up())
    assert keys(blobs) == []


@pytest.mark.parametrize(
    "range_",
    [
        (0, 1),
        (1, 3),
        (0, len(SOME)),
        (PART - 1, PART + 1),
        (len(SOME) - 1, None),
        (len(SOME) - 5, len(SOME) + 5),
        (300_000, None),
        (7, 7),
    ],
    ids=str,
)
def test_ranges(blobs: ObjectBlobs, range_: tuple[int, int | None]) -> None:
    write(blobs, "a", SOME)
    assert read(blobs, "a", *range_) == SOME[slice(*range_)]


def test_not_found(blobs: ObjectBlobs, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(blobs, "jobs/none/in")
    with pytest.raises(NotFound):
        read(blobs, "jobs/none/in", 1, 5)
    with pytest.raises(NotFound):
        blobs.fetch("jobs/none/in", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(NotFound):
        blobs.copy("jobs/none/in", "jobs/other/in")
    blobs.delete("jobs/none")


def test_fetch(blobs: ObjectBlobs, tmp_path: Path) -> None:
    write(blobs, "jobs/job_1/in", SOME)
    path = tmp_path / "in.docx"
    blobs.fetch("jobs/job_1/in", path)
    assert path.read_bytes() == SOME
    if isinstance(blobs, DiskBlobs):
        assert path.samefile(blobs._folder / "jobs/job_1/in"), "copied instead of linked"
    path.unlink()
    assert read(blobs, "jobs/job_1/in", 0, 10) == SOME[:10]


def test_store(blobs: ObjectBlobs, tmp_path: Path) -> None:
    path = tmp_path / "out.pdf"
    path.write_bytes(SOME)
    blob = blobs.store(path, "jobs/job_1/a-0.pdf", filename="ü.pdf", media_type="application/pdf")
    assert blob == Blob("jobs/job_1/a-0.pdf", len(SOME), hashlib.sha256(SOME).hexdigest())
    assert keys(blobs) == [blob.key]
    assert read(blobs, blob.key) == SOME


def test_store_takes_the_place_of_an_older_one(blobs: ObjectBlobs, tmp_path: Path) -> None:
    for data in (b"first", b"second"):
        path = tmp_path / "out.txt"
        path.write_bytes(data)
        blobs.store(path, "jobs/job_1/a-0.txt", filename="a.txt", media_type="text/plain")
        assert read(blobs, "jobs/job_1/a-0.txt") == data


@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "folder"])
def test_only_a_plain_file_is_stored(blobs: ObjectBlobs, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = tmp_path / "out.pdf"
    match kind:
        case "symlink":
            path.symlink_to(secret)
        case "dangling":
            path.symlink_to(tmp_path / "none")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    with pytest.raises(OSError, match=r"regular|symbolic|directory"):
        blobs.store(path, "jobs/job_1/a-0.pdf", filename="a.pdf", media_type="application/pdf")
    assert keys(blobs) == []


def test_copy_is_a_file_of_its_own(blobs: ObjectBlobs, tmp_path: Path) -> None:
    write(blobs, "jobs/job_1/in", SOME)
    blobs.copy("jobs/job_1/in", "jobs/job_2/in")
    write(blobs, "jobs/job_1/in", b"changed")
    assert read(blobs, "jobs/job_2/in") == SOME
    blobs.delete("jobs/job_1")
    assert read(blobs, "jobs/job_2/in") == SOME


def test_delete_takes_that_folder_only(blobs: ObjectBlobs) -> None:
    for key in ("jobs/job_1/in", "jobs/job_1/a-0.pdf", "jobs/job_1/deep/er", "jobs/job_10/in"):
        write(blobs, key, b"x")
    blobs.delete("jobs/job_1")
    assert keys(blobs) == ["jobs/job_10/in"]
    blobs.delete("jobs/job_1")


def test_delete_of_more_than_a_page(s3: CloudBlobs) -> None:
    async def fill() -> None:
        keys = [f"jobs/job_1/{number}" for number in range(1100)] + ["jobs/other"]
        for start in range(0, len(keys), 50):
            await asyncio.gather(*(s3.write(key, chunks(b"x")) for key in keys[start : start + 50]))

    asyncio.run(fill())
    s3.delete("jobs/job_1")
    assert keys(s3) == ["jobs/other"]


@pytest.mark.parametrize("data", [b"hello", SOME], ids=["one put", "parts"])
def test_presigned_address(s3: CloudBlobs, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "out.pdf"
    path.write_bytes(data)
    name = 'Отчёт "1".pdf'
    s3.store(path, "jobs/job_1/a-0.pdf", filename=name, media_type="application/pdf")
    assert isinstance(s3, Presigns)
    answer = httpx.get(s3.presign("jobs/job_1/a-0.pdf", seconds=60))
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-type"] == "application/pdf"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename=\"_____ _1_.pdf\"; filename*=UTF-8''")
    assert unquote(disposition.partition("''")[2]) == name


def test_stores_without_addresses_of_their_own_do_not_presign(tmp_path: Path) -> None:
    assert not isinstance(DiskBlobs(tmp_path), Presigns)


def test_unfinished_parts_are_removed_from_s3(s3_url: str, s3: CloudBlobs, bucket: str) -> None:
    """They cost money, and nothing lists them."""
    with pytest.raises(Broken):
        asyncio.run(s3.write("jobs/job_1/in", chunks(SOME, error=True)))
    uploads = httpx.get(f"{s3_url}/{bucket}?uploads")
    assert uploads.status_code == 200
    assert "<UploadId>" not in uploads.text


def test_open_by_url(s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    blobs = open_blobs(f"s3://{bucket}/below/this")
    assert isinstance(blobs, CloudBlobs)
    write(blobs, "jobs/job_1/in", b"hello")
    assert read(blobs, "jobs/job_1/in") == b"hello"
    whole = ObjectBlobs(
        S3Store(bucket, endpoint=s3_url, client_options={"allow_http": True}, region="us-east-1")
    )
    assert keys(whole) == ["below/this/jobs/job_1/in"]
    assert httpx.get(blobs.presign("jobs/job_1/in", seconds=60)).content == b"hello"
    blobs.delete("jobs/job_1")
    assert keys(whole) == []


MEMORY = """
import asyncio, resource, sys
from pathlib import Path
from filemill.blobs import DiskBlobs, ObjectBlobs
from filemill.blobs.objects import CloudBlobs
from obstore.store import S3Store

SIZE, CHUNK = 2400, 128 * 1024
folder, url, bucket = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

async def chunks(number):
    for n in range(number):
        yield bytes([n % 251]) * CHUNK

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

async def reads(key):
    size = 0
    async for chunk in blobs.read(key):
        size += len(chunk)
    assert size == SIZE * CHUNK, size

if url:
    blobs = CloudBlobs(S3Store(bucket, endpoint=url, access_key_id="t", secret_access_key="t",
        region="us-east-1", client_options={"allow_http": True, "timeout": "300s"}))
else:
    blobs = DiskBlobs(folder / "blobs")
asyncio.run(blobs.write("warm", chunks(160)))
before = peak()
asyncio.run(blobs.write("in", chunks(SIZE)))
wrote = peak()
asyncio.run(reads("in"))
read = peak()
blobs.fetch("in", folder / "in")
fetched = peak()
(folder / "in").rename(folder / "out")
blobs.store(folder / "out", "out", filename="a", media_type="b/c")
stored = peak()
async def many():
    await asyncio.gather(*(blobs.write(f"many/{n}", chunks(160)) for n in range(20)))
asyncio.run(many())
peaks = (wrote, read, fetched, stored, peak())
print(before, *(each - before for each in peaks))
"""


@pytest.mark.parametrize("kind", ["disk", "s3"])
def test_memory_is_constant(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """300 MB up, down, fetched and stored, then 20 at once: the process grows by a few parts, not
    by the file, nor by the number of files."""
    at = ["", ""]
    if kind == "s3":
        at = [request.getfixturevalue("s3_url"), request.getfixturevalue("bucket")]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path, *at], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, *growth = map(int, done.stdout.split())
    assert before > 10
    assert max(growth) < 32, f"grew by {growth} MB after write, read, fetch, store, many"


def test_open_a_folder(tmp_path: Path) -> None:
    blobs = open_blobs(f"{tmp_path.as_uri()}/a%20folder")
    assert isinstance(blobs, DiskBlobs)
    write(blobs, "jobs/job_1/in", b"hello")
    assert (tmp_path / "a folder/jobs/job_1/in").read_bytes() == b"hello"
