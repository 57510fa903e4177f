"""Blobs in a local folder: nothing is copied that can be linked or renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterable
from pathlib import Path

import anyio.to_thread
from obstore.store import LocalStore

from filemill.blobs.objects import ObjectBlobs, blob_of
from filemill.errors import NotFound
from filemill.model import Blob


class DiskBlobs(ObjectBlobs):
    """Implements `ports.Blobs`. A written blob is on the disk, not just in its cache."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(LocalStore(folder))
        self._folder = folder

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob:
        blob = await super().write(key, chunks)
        await anyio.to_thread.run_sync(_sync, self._folder / key)
        await anyio.to_thread.run_sync(self._sync_names, self._folder / key)
        return blob

    def fetch(self, key: str, path: Path) -> None:
        blob = self._folder / key
        try:
            os.link(blob, path)
        except FileNotFoundError as error:
            raise NotFound("This file is gone.") from error
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(blob, path)

    def store(self, path: Path, key: str, *, filename: str, media_type: str) -> Blob:
        del filename, media_type  # only what a store serves by itself needs them
        blob = blob_of(path, key)
        target = self._folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        # Copied, not renamed, across file systems; visible under its name only when whole.
        part = target.with_name(target.name + ".part")
        shutil.move(path, part)
        _sync(part)
        part.replace(target)
        self._sync_names(target)
        return blob

    def _sync_names(self, blob: Path) -> None:
        """Bytes on the disk are lost after a power cut if the names that lead to them are."""
        for folder in blob.parents:
            _sync(folder)
            if folder == self._folder:
                return

    def delete(self, prefix: str) -> None:
        shutil.rmtree(self._folder / prefix, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
