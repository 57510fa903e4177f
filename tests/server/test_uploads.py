"""/v1/uploads: tus 1.0.0, by the public clients of it, and byte by byte."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader import Uploader

from filemill.uploads import MOST_PARTS
from server.cutting import Cutting
from server.running import Server, finish

MB = 1 << 20
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + random.Random(2).randbytes(256 * 1024)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 MB of noise, no two of them alike: a part out of its place would show."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(random.Random(1).randbytes(20 * MB))
    return path


@pytest.fixture(scope="session")
def tus_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that npm put tus-js-client in."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed here")
    folder = tmp_path_factory.mktemp("tus-js")
    (folder / "package.json").write_text("{}")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "tus-js-client@4.3.1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install tus-js-client here: {done.stderr[-300:]}")
    return folder


def tuspy(server: Server, path: Path, *, at: str = "", **more: object) -> Uploader:
    client = TusClient(f"{at or server.url}/v1/uploads", headers=server.headers)
    options = {"metadata": {"filename": path.name}, "chunk_size": 8 * MB, **more}
    return client.uploader(str(path), **options)


def name_of(url: str | None) -> str:
    assert url
    return url.rpartition("/")[2]


def metadata(**values: str) -> str:
    pairs = (f"{n} {base64.b64encode(v.encode()).decode()}" for n, v in values.items())
    return ",".join(pair.strip() for pair in pairs)


def create(client: httpx.Client, size: int, filename: str = "a.wav", **headers: str) -> str:
    """The id of a new upload."""
    sent = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata(filename=filename)}
    resp = client.post("/v1/uploads", headers={**sent, **headers})
    assert resp.status_code == 201, resp.text
    assert resp.headers["location"].startswith("http")
    return name_of(resp.headers["location"])


def patch(
    client: httpx.Client, upload_id: str, offset: int, data: bytes, **headers: str
) -> httpx.Response:
    sent = {**BYTES, "Upload-Offset": str(offset), **headers}
    return client.patch(f"/v1/uploads/{upload_id}", content=data, headers=sent)


def offset(client: httpx.Client, upload_id: str) -> int:
    resp = client.head(f"/v1/uploads/{upload_id}", headers=TUS)
    assert resp.status_code == 200, resp.text
    assert resp.headers["cache-control"] == "no-store"
    return int(resp.headers["upload-offset"])


def stored(server: Server, upload_id: str) -> bytes:
    """What is on the disk of an upload, in order. Of one that is being written it may be less."""
    found = b""
    files = (server.data / "blobs" / "uploads" / upload_id).glob("*/*")
    for path in sorted(files, key=lambda path: path.name):
        with suppress(FileNotFoundError):  # renamed meanwhile: it is complete now
            found += path.read_bytes()
    return found


def become(client: httpx.Client, upload_id: str, target: str, **fields: object) -> str:
    resp = client.post("/v1/jobs", json={"upload_id": upload_id, "target": target, **fields})
    assert resp.status_code == 202, resp.text
    return str(resp.json()["job_id"])


def begin(server: Server, upload_id: str, at: int, length: int, data: bytes) -> socket.socket:
    """A PATCH whose body has not ended."""
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    head = "".join(
        f"{name}: {value}\r\n"
        for name, value in {
            "Host": parts.netloc,
            **server.headers,
            **BYTES,
            "Upload-Offset": str(at),
            "Content-Length": str(length),
        }.items()
    )
    connection.sendall(f"PATCH /v1/uploads/{upload_id} HTTP/1.1\r\n{head}\r\n".encode())
    connection.sendall(data)
    return connection


# By the public clients


def test_tuspy_and_the_job_it_becomes(server: Server, client: httpx.Client, sound: Path) -> None:
    uploader = tuspy(server, sound, upload_checksum=True)
    uploader.upload()
    upload_id = name_of(uploader.url)
    assert hashlib.sha256(stored(server, upload_id)).digest() == digest(sound)
    job_id = become(client, upload_id, "flac")
    assert hashlib.sha256(taken(server, job_id)).digest() == digest(sound)
    job = finish(client, job_id)
    assert job["state"] == "done"
    assert (job["source_format"], job["filename"]) == ("wav", "noise.wav")
    assert not (server.data / "blobs" / "uploads" / upload_id).exists()
    assert client.head(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404
    again = client.post("/v1/jobs", json={"upload_id": upload_id, "target": "flac"})
    assert again.status_code == 404


def test_tuspy_resumes_what_the_network_broke_off(
    server: Server, client: httpx.Client, sound: Path
) -> None:
    with Cutting(server.url) as relay:
        uploader = tuspy(server, sound, at=relay.url, chunk_size=1 << 30)
        uploader.set_url(uploader.create_url())
        relay.cut(5 * MB)
        with pytest.raises(TusUploadFailed):
            uploader.upload()
        assert relay.cuts == 1
        upload_id = name_of(uploader.url)
        arrived = offset(client, upload_id)
        assert 4 * MB < arrived < 5 * MB, "what had arrived is kept"
        again = tuspy(server, sound, at=relay.url, url=uploader.url)
        assert again.offset == arrived
        again.upload()
    assert hashlib.sha256(stored(server, upload_id)).digest() == digest(sound)


def test_tuspy_retries_by_itself(server: Server, client: httpx.Client, sound: Path) -> None:
    with Cutting(server.url) as relay:
        uploader = tuspy(server, sound, at=relay.url, retries=3, retry_delay=0)
        relay.cut(10 * MB)
        uploader.upload()
        assert relay.cuts == 1
    assert hashlib.sha256(stored(server, name_of(uploader.url))).digest() == digest(sound)


def test_tuspy_is_refused_with_its_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(ELF)
    with pytest.raises(TusUploadFailed) as caught:
        tuspy(server, tmp_path / "a.bin").upload()
    assert caught.value.status_code == 422
    assert json.loads(caught.value.response_content)["error"]["code"] == "unsupported_route"
    strange = TusClient(f"{server.url}/v1/uploads", headers={"Authorization": "Bearer ctf_sk_no"})
    with pytest.raises(TusCommunicationError) as refused:
        strange.uploader(str(tmp_path / "a.bin")).upload()
    assert refused.value.status_code == 401


@pytest.mark.parametrize("how", ["whole", "chunks", "cut", "parallel"])
def test_tus_js_client(
    how: str, tus_js: Path, server: Server, client: httpx.Client, sound: Path
) -> None:
    with Cutting(server.url) as relay:
        if how == "cut":
            relay.cut(7 * MB)
        asked = {
            "path": str(sound),
            "endpoint": f"{relay.url}/v1/uploads",
            "authorization": server.headers["Authorization"],
            "filename": "ü noise.wav",
        }
        asked |= {"chunks": {"chunkSize": 3 * MB}, "parallel": {"parallel": 3}}.get(how, {})
        done = subprocess.run(
            ["node", Path(__file__).with_name("tus.mjs"), tus_js, json.dumps(asked)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert relay.cuts == told["failures"] == (how == "cut")
    upload_id = name_of(told["url"])
    assert hashlib.sha256(stored(server, upload_id)).digest() == digest(sound)
    job_id = become(client, upload_id, "flac")
    assert finish(client, job_id)["filename"] == "ü noise.wav"


# Whatever is killed


def test_kill_9_amid_a_patch(tmp_path: Path, sound: Path) -> None:
    data = sound.read_bytes()
    server = Server(tmp_path / "data").start()
    try:
        with server.client() as client:
            upload_id = create(client, len(data))
        connection = begin(server, upload_id, 0, len(data), data[: 18 * MB])
        with server.client() as client:
            while (before := offset(client, upload_id)) < 16 * MB:
                time.sleep(0.05)
        server.kill()
        connection.close()
        server.start()
        with server.client() as client:
            assert offset(client, upload_id) == before, "what was on record is kept"
            uploader = tuspy(server, sound, url=f"{server.url}/v1/uploads/{upload_id}")
            assert uploader.offset == before
            uploader.upload()
            job_id = become(client, upload_id, "flac")
            assert hashlib.sha256(taken(server, job_id)).digest() == digest(sound)
            assert finish(client, job_id)["state"] == "done"
    finally:
        server.stop()


def test_two_patches_race(server: Server, client: httpx.Client, sound: Path) -> None:
    data = sound.read_bytes()[: 3 * MB]
    upload_id = create(client, len(data))
    first = begin(server, upload_id, 0, len(data), data[:MB])
    try:
        deadline = time.monotonic() + 20
        while not stored(server, upload_id):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        second = patch(client, upload_id, 0, data)
        assert second.status_code == 423, second.text
        assert second.json()["error"]["code"] == "locked"
        assert client.delete(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 423
        first.sendall(data[MB:])
        assert first.recv(100).startswith(b"HTTP/1.1 204")
    finally:
        first.close()
    assert stored(server, upload_id) == data


def test_many_racing_patches_leave_one_file(
    server: Server, client: httpx.Client, sound: Path
) -> None:
    """Each of eight clients sends the same file in pieces, knowing nothing of the others."""
    data = sound.read_bytes()[: 4 * MB]
    upload_id = create(client, len(data))

    def send(number: int) -> list[int]:
        seen = []
        with server.client() as mine:
            while (at := offset(mine, upload_id)) < len(data):
                size = random.Random(number + at).randrange(1, MB)
                seen.append(patch(mine, upload_id, at, data[at : at + size]).status_code)
        return seen

    with ThreadPoolExecutor(8) as pool:
        statuses = {status for seen in pool.map(send, range(8)) for status in seen}
    assert statuses <= {204, 409, 423}
    assert stored(server, upload_id) == data


# The protocol, byte by byte


def test_options_tell_what_is_spoken(server: Server) -> None:
    resp = httpx.options(f"{server.url}/v1/uploads")
    assert resp.status_code == 204
    assert resp.headers["tus-version"] == resp.headers["tus-resumable"] == "1.0.0"
    assert resp.headers["tus-max-size"] == str(500 * MB)
    assert set(resp.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "expiration",
        "checksum",
        "termination",
        "concatenation",
    }
    assert set(resp.headers["tus-checksum-algorithm"].split(",")) == {"sha256", "sha1", "md5"}


def test_creation_with_upload(server: Server, client: httpx.Client, png: Path) -> None:
    data = png.read_bytes()
    headers = {**BYTES, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(name="a.png")}
    resp = client.post("/v1/uploads", content=data, headers=headers)
    assert resp.status_code == 201
    assert resp.headers["upload-offset"] == str(len(data))
    job = finish(client, become(client, name_of(resp.headers["location"]), "jpg"))
    assert job["state"] == "done"


def test_metadata_comes_back_as_it_was(client: httpx.Client) -> None:
    sent = metadata(filename="ü.wav", filetype="audio/wav", empty="")
    upload_id = create(client, 9, **{"Upload-Metadata": sent})
    resp = client.head(f"/v1/uploads/{upload_id}", headers=TUS)
    assert resp.headers["upload-metadata"] == sent
    assert resp.headers["upload-length"] == "9"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "bad_request"),
        ({"Upload-Length": "-1"}, 400, "bad_request"),
        ({"Upload-Length": "1e3"}, 400, "bad_request"),
        ({"Upload-Defer-Length": "1"}, 400, "bad_request"),
        ({"Upload-Length": "0"}, 422, "file_invalid"),
        ({"Upload-Length": str(500 * MB + 1)}, 413, "file_too_large"),
        ({"Upload-Length": "9" * 18}, 413, "file_too_large"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename ?"}, 400, "bad_request"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename /w=="}, 400, "bad_request"),
        ({"Upload-Length": "1", "Upload-Metadata": "source bm8="}, 422, "unsupported_route"),
        ({"Upload-Length": "1", "Upload-Concat": "half"}, 400, "bad_request"),
        ({"Upload-Concat": "final;"}, 400, "bad_request"),
        ({"Upload-Concat": "final;/v1/uploads/upl_none"}, 404, "not_found"),
        ({"Tus-Resumable": "0.2.2", "Upload-Length": "1"}, 412, "precondition_failed"),
    ],
    ids=str,
)
def test_creation_refused(
    client: httpx.Client, headers: dict[str, str], status: int, code: str
) -> None:
    resp = client.post("/v1/uploads", headers={**TUS, **headers})
    assert (resp.status_code, resp.json()["error"]["code"]) == (status, code)
    assert resp.headers["tus-resumable"] == "1.0.0"
    if status == 412:
        assert resp.headers["tus-version"] == "1.0.0"


def test_patch_refused(client: httpx.Client) -> None:
    upload_id = create(client, 10)
    assert patch(client, upload_id, 0, b"abc").status_code == 204
    for at in (0, 2, 4, 10):
        resp = patch(client, upload_id, at, b"x")
        assert resp.status_code == 409
        assert resp.json()["error"]["details"] == {"offset": 3}
    assert patch(client, upload_id, 3, b"x" * 8).status_code == 413
    assert patch(client, upload_id, 3, b"x", **{"Upload-Offset": "x"}).status_code == 400
    for kind in ("", "application/octet-stream"):
        assert patch(client, upload_id, 3, b"x", **{"Content-Type": kind}).status_code == 415
    assert patch(client, upload_id, 3, b"x", **{"Tus-Resumable": "2"}).status_code == 412
    assert offset(client, upload_id) == 3
    assert patch(client, "upl_none", 0, b"x").status_code == 404


def test_another_key_sees_nothing(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    other = subprocess.run(
        [sys.executable, "-m", "filemill", "keys", "create", "other-uploads"],
        env={**os.environ, "FILEMILL_DATA": str(server.data)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    upload_id = create(client, 10)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {other}"}) as them:
        assert them.head(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404
        assert patch(them, upload_id, 0, b"x").status_code == 404
        assert them.delete(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404
        body = {"upload_id": upload_id, "target": "flac"}
        assert them.post("/v1/jobs", json=body).status_code == 404
        part = {**TUS, "Upload-Concat": f"final;/v1/uploads/{upload_id}"}
        assert them.post("/v1/uploads", headers=part).status_code == 404
    assert offset(client, upload_id) == 0
    assert httpx.head(f"{server.url}/v1/uploads/{upload_id}", headers=TUS).status_code == 401


@pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
def test_checksum(server: Server, client: httpx.Client, name: str) -> None:
    upload_id = create(client, 10, "a.txt")

    def checked(at: int, data: bytes, of: bytes) -> int:
        value = base64.b64encode(hashlib.new(name, of).digest()).decode()
        resp = patch(client, upload_id, at, data, **{"Upload-Checksum": f"{name} {value}"})
        return resp.status_code

    assert checked(0, b"hello", b"hello") == 204
    assert checked(5, b"world", b"w0rld") == 460
    assert offset(client, upload_id) == 5
    assert stored(server, upload_id) == b"hello", "nothing of a wrong piece is kept"
    assert checked(5, b"\0\xff\0\xff\0", b"world") == 460, "damage is not what the file is"
    unknown = patch(client, upload_id, 5, b"world", **{"Upload-Checksum": "crc32 AAAA"})
    assert unknown.status_code == 400
    assert checked(5, b"world", b"world") == 204


def test_checksum_of_what_broke_off(server: Server, client: httpx.Client, sound: Path) -> None:
    data = sound.read_bytes()[: 2 * MB]
    upload_id = create(client, len(data))
    value = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with Cutting(server.url) as relay, httpx.Client(base_url=relay.url) as broken:
        broken.headers.update(server.headers)
        relay.cut(MB)
        with pytest.raises(httpx.TransportError):
            patch(broken, upload_id, 0, data, **{"Upload-Checksum": f"sha256 {value}"})
    assert offset(client, upload_id) == 0
    deadline = time.monotonic() + 60
    while (
        sent := patch(client, upload_id, 0, data, **{"Upload-Checksum": f"sha256 {value}"})
    ).status_code == 423:  # the first request is still on its way out
        assert time.monotonic() < deadline
    assert sent.status_code == 204


def test_termination(server: Server, client: httpx.Client) -> None:
    upload_id = create(client, 10)
    patch(client, upload_id, 0, b"hello")
    assert stored(server, upload_id)
    assert client.delete(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 204
    assert not (server.data / "blobs" / "uploads" / upload_id).exists()
    assert client.head(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404
    assert client.delete(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404


def test_method_override(client: httpx.Client) -> None:
    upload_id = create(client, 10)
    headers = {**BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    resp = client.post(f"/v1/uploads/{upload_id}", content=b"hello", headers=headers)
    assert (resp.status_code, resp.headers["upload-offset"]) == (204, "5")
    headers = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    assert client.post(f"/v1/uploads/{upload_id}", headers=headers).status_code == 204
    headers = {**TUS, "X-HTTP-Method-Override": "PUT"}
    assert client.post(f"/v1/uploads/{upload_id}", headers=headers).status_code == 405


def test_a_page_elsewhere_may_upload(server: Server, client: httpx.Client) -> None:
    """What a browser asks before Uppy's first request, and what it shows of the answers."""
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,tus-resumable,upload-offset,content-type",
    }
    resp = httpx.options(f"{server.url}/v1/uploads/upl_1", headers=preflight)
    assert resp.status_code == 200
    assert resp.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in resp.headers["access-control-allow-methods"]
    allowed = resp.headers["access-control-allow-headers"].lower()
    assert {"authorization", "upload-offset"} <= set(allowed.replace(" ", "").split(","))
    for answer in (
        client.post("/v1/uploads", headers={**TUS, "Upload-Length": "5", "Origin": "https://a.b"}),
        client.head("/v1/uploads/upl_none", headers={**TUS, "Origin": "https://a.b"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Upload-Offset" in answer.headers["access-control-expose-headers"]
    elsewhere = httpx.options(f"{server.url}/v1/jobs", headers=preflight)
    assert "access-control-allow-origin" not in elsewhere.headers


def test_concatenation(server: Server, client: httpx.Client, png: Path) -> None:
    data = png.read_bytes()
    halves = data[: len(data) // 2], data[len(data) // 2 :]
    ids = [create(client, len(half), **{"Upload-Concat": "partial"}) for half in halves]
    where = " ".join(f"{server.url}/v1/uploads/{upload_id}" for upload_id in ids)
    final = {
        **TUS,
        "Upload-Concat": f"final;{where}",
        "Upload-Metadata": metadata(filename="a.png"),
    }
    early = client.post("/v1/uploads", headers=final)
    assert early.status_code == 409, "its parts are not complete"
    for upload_id, half in zip(ids, halves, strict=True):
        assert patch(client, upload_id, 0, half).status_code == 204
        assert client.post("/v1/jobs", json={"upload_id": upload_id, "target": "jpg"}).is_error
    made = client.post("/v1/uploads", headers=final)
    assert made.status_code == 201
    upload_id = name_of(made.headers["location"])
    for part in ids:
        assert client.delete(f"/v1/uploads/{part}", headers=TUS).status_code == 204
    assert stored(server, upload_id) == data
    assert patch(client, upload_id, len(data), b"more").status_code == 413
    assert finish(client, become(client, upload_id, "jpg"))["state"] == "done"


def test_expiration(tmp_path: Path) -> None:
    with Server(tmp_path / "data", upload_ttl="2") as server, server.client() as client:
        upload_id = create(client, 10)
        resp = patch(client, upload_id, 0, b"hello")
        assert resp.headers["upload-expires"].endswith("GMT")
        while client.head(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 200:
            time.sleep(0.2)
        assert patch(client, upload_id, 5, b"world").status_code == 404
        assert stored(server, upload_id) == b"hello", "the sweeper has not been here yet"


# Refused early


@pytest.mark.parametrize("size", [len(ELF), 50 * MB], ids=["small", "large"])
def test_an_unsupported_type_is_refused_by_its_first_bytes(
    server: Server, client: httpx.Client, size: int
) -> None:
    upload_id = create(client, size, "program.pdf")
    connection = begin(server, upload_id, 0, size, ELF[: 128 * 1024])
    try:
        answer = connection.recv(4096)  # the rest of the body was never sent
    finally:
        connection.close()
    assert answer.startswith(b"HTTP/1.1 422"), answer
    assert client.head(f"/v1/uploads/{upload_id}", headers=TUS).status_code == 404
    assert not stored(server, upload_id)


def test_small_pieces_are_looked_at_together(client: httpx.Client) -> None:
    upload_id = create(client, len(ELF), "a.bin")
    at, status = 0, 204
    while status == 204:
        assert at <= 64 * 1024, "it was known by now"
        status = patch(client, upload_id, at, ELF[at : at + 10_000]).status_code
        at += 10_000
    assert status == 422


# The job


def test_a_job_that_is_refused_leaves_the_upload(
    server: Server, client: httpx.Client, png: Path
) -> None:
    data = png.read_bytes()
    upload_id = create(client, len(data), "a.png")
    body = {"upload_id": upload_id, "target": "jpg"}
    early = client.post("/v1/jobs", json=body)
    assert early.status_code == 409
    assert early.json()["error"]["details"] == {"offset": 0, "size": len(data)}
    patch(client, upload_id, 0, data)
    assert client.post("/v1/jobs", json={**body, "quality": 500}).status_code == 422
    assert client.post("/v1/jobs", json={**body, "target": "mp3"}).status_code == 422
    assert stored(server, upload_id) == data
    assert finish(client, become(client, upload_id, "jpg", quality=50))["state"] == "done"


@pytest.mark.parametrize("how", ["json", "form", "multipart", "query"])
def test_the_ways_to_name_an_upload(client: httpx.Client, png: Path, how: str) -> None:
    data = png.read_bytes()
    upload_id = create(client, len(data), "a.png")
    patch(client, upload_id, 0, data)
    fields = {"upload_id": upload_id, "target": "jpg", "webhook_metadata": '{"n": 1}'}
    resp = {
        "json": lambda: client.post("/v1/jobs", json={**fields, "webhook_metadata": {"n": 1}}),
        "form": lambda: client.post("/v1/jobs", data=fields),
        "multipart": lambda: client.post(
            "/v1/jobs", files={n: (None, v) for n, v in fields.items()}
        ),
        "query": lambda: client.post("/v1/jobs", params=fields),
    }[how]()
    assert resp.status_code == 202, resp.text
    job = finish(client, resp.json()["job_id"])
    assert (job["state"], job["metadata"]) == ("done", {"n": 1})


def test_one_upload_makes_one_job(server: Server, client: httpx.Client, png: Path) -> None:
    data = png.read_bytes()
    upload_id = create(client, len(data), "a.png")
    patch(client, upload_id, 0, data)

    def ask(_: int) -> int:
        with server.client() as mine:
            body = {"upload_id": upload_id, "target": "jpg"}
            return mine.post("/v1/jobs", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(8)))
    assert statuses.count(202) == 1
    assert set(statuses) <= {202, 404, 409, 423}


def test_a_json_file_is_still_a_file(client: httpx.Client) -> None:
    resp = client.post(
        "/v1/jobs",
        content=b'[{"upload_id": "a"}, {"upload_id": "b"}]',
        params={"target": "csv", "filename": "a.json"},
        headers={"Content-Type": "application/json"},
    )
    assert finish(client, resp.json()["job_id"])["state"] == "done"


def test_a_file_in_two_ways_is_refused(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/jobs", data={"target": "jpg", "upload_id": "upl_1"}, files={"file": png.read_bytes()}
    )
    assert (resp.status_code, resp.json()["error"]["code"]) == (400, "bad_request")
    assert client.post("/v1/jobs", json={"target": "jpg"}).status_code == 400
    assert client.post("/v1/convert", json={"target": "jpg", "upload_id": "u"}).status_code == 400


# Room on the disk


def test_new_work_is_refused_before_the_disk_is_full(
    tmp_path: Path, film_short: Path, png: Path
) -> None:
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        ids = [
            client.post(
                "/v1/jobs",
                content=film_short.read_bytes(),
                params={"target": "webm", "filename": "a.mp4"},
            ).json()["job_id"]
            for _ in range(3)
        ]
    server.stop()
    server.settings["min_free_disk"] = str(1 << 60)
    with server.start(), server.client() as client:
        data = png.read_bytes()
        for resp in (
            client.post("/v1/jobs", content=data, params={"target": "jpg"}),
            client.post("/v1/convert", content=data, params={"target": "jpg"}),
            client.post("/v1/uploads", headers={**TUS, "Upload-Length": "9"}),
        ):
            assert (resp.status_code, resp.json()["error"]["code"]) == (503, "service_unavailable")
            assert int(resp.headers["retry-after"]) > 0
        assert [finish(client, job_id)["state"] for job_id in ids] == ["done"] * 3


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def taken(server: Server, job_id: str) -> bytes:
    return (server.data / "blobs" / "jobs" / job_id / "in").read_bytes()


def test_the_same_request_again_gives_the_same_job(client: httpx.Client, png: Path) -> None:
    """Although the upload is gone by then."""
    data = png.read_bytes()
    upload_id = create(client, len(data), "a.png")
    patch(client, upload_id, 0, data)
    body = {"upload_id": upload_id, "target": "jpg"}
    headers = {"Idempotency-Key": f"of-{upload_id}"}
    first, second = (client.post("/v1/jobs", json=body, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["job_id"] == second.json()["job_id"]
    other = client.post("/v1/jobs", json={**body, "target": "webp"}, headers=headers)
    assert other.status_code == 422


def test_pieces_are_counted(server: Server) -> None:
    """Each costs as much as all before it."""
    with server.client() as client:
        made = client.post("/v1/uploads", headers={**TUS, "Upload-Length": "10"})
        where = made.headers["location"]
        one = {"key": "none", "size": 0, "sha256": ""}
        with closing(sqlite3.connect(server.data / "filemill.db")) as database, database:
            database.execute(
                "UPDATE uploads SET parts = ? WHERE id = ?",
                (json.dumps([one] * MOST_PARTS), where.rpartition("/")[2]),
            )
        resp = client.patch(where, content=b"x", headers={**BYTES, "Upload-Offset": "0"})
        assert (resp.status_code, resp.json()["error"]["code"]) == (409, "conflict")
        assert "pieces" in resp.json()["error"]["hint"]


def test_pieces_that_are_joined_are_counted(server: Server, client: httpx.Client) -> None:
    """One upload, named often enough, would be any number of files."""
    pieces = 100
    part = create(client, pieces, **{"Upload-Concat": "partial"})
    for at in range(pieces):
        assert patch(client, part, at, b"a").status_code == 204
    before = set((server.data / "blobs" / "uploads").glob("*"))
    for times, status in ((3, 201), (MOST_PARTS // pieces + 1, 409)):
        final = {**TUS, "Upload-Concat": "final;" + " ".join([f"/v1/uploads/{part}"] * times)}
        resp = client.post("/v1/uploads", headers=final)
        assert resp.status_code == status, resp.text
    assert "pieces" in resp.json()["error"]["hint"]
    assert len(set((server.data / "blobs" / "uploads").glob("*")) - before) == 1
