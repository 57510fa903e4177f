"""Files put together from parts, and folders where nothing happens any more."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time

import pytest

from blobs.test_blobs import SOME, keys, read, write
from filemill.blobs import DiskBlobs, ObjectBlobs
from filemill.errors import NotFound
from filemill.model import Blob


@pytest.mark.parametrize(
    "cuts", [[], [1], [1, 2, 3], [65_536, 9_000_000]], ids=["one", "byte", "bytes", "large"]
)
def test_parts_become_one(blobs: ObjectBlobs, cuts: list[int]) -> None:
    ends = [*cuts, len(SOME)]
    parts = [
        write(blobs, f"uploads/u/{end}", SOME[start:end])
        for start, end in zip([0, *cuts], ends, strict=True)
    ]
    blob = asyncio.run(blobs.compose(parts, "jobs/j/in"))
    assert blob == Blob("jobs/j/in", len(SOME), hashlib.sha256(SOME).hexdigest())
    assert read(blobs, "jobs/j/in") == SOME
    assert len(keys(blobs)) == len(parts) + 1, "the parts stay"
    if isinstance(blobs, DiskBlobs) and len(parts) == 1:
        whole, part = blobs._folder / "jobs/j/in", blobs._folder / parts[0].key
        assert whole.samefile(part), "copied instead of linked"
    blobs.delete("uploads/u")
    assert read(blobs, "jobs/j/in", 0, 9) == SOME[:9]


@pytest.mark.parametrize("also", [True, False], ids=["one of two", "the only one"])
def test_a_missing_part(blobs: ObjectBlobs, also: bool) -> None:
    parts = [Blob("uploads/u/none", 3, "ab")]
    if also:
        parts.insert(0, write(blobs, "uploads/u/0", b"abc"))
    with pytest.raises(NotFound):
        asyncio.run(blobs.compose(parts, "jobs/j/in"))
    assert "jobs/j/in" not in keys(blobs)


def test_idle_folders(blobs: ObjectBlobs) -> None:
    write(blobs, "jobs/a/in", b"x")
    write(blobs, "jobs/b/1/2", b"x")
    write(blobs, "jobsworth/c/in", b"x")
    now = time.time()
    assert sorted(blobs.idle("jobs", before=now + 60)) == ["a", "b"]
    assert list(blobs.idle("jobs", before=now - 60)) == []
    assert list(blobs.idle("uploads", before=now + 60)) == []


def test_a_folder_is_as_old_as_its_newest_file(blobs: ObjectBlobs) -> None:
    if not isinstance(blobs, DiskBlobs):
        pytest.skip("the times of other stores cannot be set")
    write(blobs, "jobs/a/1/in", b"x")
    write(blobs, "jobs/b/1/in", b"x")
    (blobs._folder / "jobs/b/1/out.part").write_bytes(b"what a crash left")
    old = time.time() - 1000
    for path in [*(blobs._folder / "jobs").rglob("*")]:
        os.utime(path, (old, old))
    write(blobs, "jobs/a/1/in", b"y")
    assert list(blobs.idle("jobs", before=time.time() - 500)) == ["b"]
