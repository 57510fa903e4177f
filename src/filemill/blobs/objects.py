"""Blobs in any object store that obstore speaks to: S3, GCS, Azure, memory, disk."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from anyio.to_thread import run_sync
from obstore.exceptions import NotFoundError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from filemill.errors import NotFound
from filemill.filename import attachment
from filemill.model import Blob

PART = 8 * 1024 * 1024
"""Bytes of one part of a multipart upload: S3 takes 10,000 parts, so blobs up to 80 GB."""
PARTS_AT_ONCE = 2
"""Parts held in memory by one upload; with `PART` this bounds an upload's memory."""
CHUNK = 256 * 1024
"""Bytes of one chunk when a blob is read as a stream."""


class ObjectBlobs:
    """Implements `ports.blobs.Blobs`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob:
        digest, size = hashlib.sha256(), 0

        async def measured() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        await obstore.put_async(
            self._store, key, measured(), chunk_size=PART, max_concurrency=PARTS_AT_ONCE
        )
        return Blob(key, size, digest.hexdigest())

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if end is not None and start >= end:
            return  # stores call an empty range an error
        wanted: Any = (start, end) if end is not None else {"offset": start}
        try:
            found = await obstore.get_async(
                self._store, key, options={"range": wanted} if start or end is not None else None
            )
        except (NotFoundError, FileNotFoundError) as error:
            raise NotFound("This file is gone.") from error
        async for chunk in found.stream(min_chunk_size=CHUNK):
            yield bytes(chunk)

    def fetch(self, key: str, path: Path) -> None:
        try:
            found = obstore.get(self._store, key)
        except (NotFoundError, FileNotFoundError) as error:
            raise NotFound("This file is gone.") from error
        with path.open("xb") as file:
            for chunk in found.stream(min_chunk_size=CHUNK):
                file.write(chunk)

    def store(self, path: Path, key: str, *, filename: str, media_type: str) -> Blob:
        blob = blob_of(path, key)
        self._put(path, key, filename, media_type)
        return blob

    def _put(self, path: Path, key: str, filename: str, media_type: str) -> None:
        del filename, media_type  # only what a store serves by itself needs them
        obstore.put(self._store, key, path, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def copy(self, key: str, to: str) -> None:
        try:
            obstore.copy(self._store, key, to)
        except (NotFoundError, FileNotFoundError) as error:
            raise NotFound("This file is gone.") from error

    async def compose(self, parts: Sequence[Blob], to: str) -> Blob:
        if len(parts) == 1:
            await run_sync(self.copy, parts[0].key, to)
            return replace(parts[0], key=to)

        async def joined() -> AsyncIterator[bytes]:
            for part in parts:
                async for chunk in self.read(part.key):
                    yield chunk

        return await self.write(to, joined())

    def idle(self, prefix: str, *, before: float) -> Sequence[str]:
        newest: dict[str, float] = {}
        for page in obstore.list(self._store, prefix=prefix):
            for entry in page:
                name = entry["path"].removeprefix(prefix).strip("/").partition("/")[0]
                changed = entry["last_modified"].timestamp()
                newest[name] = max(changed, newest.get(name, 0.0))
        return [name for name, changed in newest.items() if changed < before]

    def delete(self, prefix: str) -> None:
        for page in obstore.list(self._store, prefix=prefix):
            if paths := [entry["path"] for entry in page]:
                obstore.delete(self._store, paths)


class CloudBlobs(ObjectBlobs):
    """A store that signs addresses of its own: also implements `ports.blobs.Presigns`."""

    def __init__(self, store: S3Store | GCSStore | AzureStore) -> None:
        super().__init__(store)
        self._signing = store

    def _put(self, path: Path, key: str, filename: str, media_type: str) -> None:
        # A presigned address answers with what is stored beside the bytes.
        obstore.put(
            self._store,
            key,
            path,
            attributes={"Content-Type": media_type, "Content-Disposition": attachment(filename)},
            chunk_size=PART,
            max_concurrency=PARTS_AT_ONCE,
        )

    def presign(self, key: str, *, seconds: float) -> str:
        return obstore.sign(self._signing, "GET", key, timedelta(seconds=seconds))


def blob_of(path: Path, key: str) -> Blob:
    """The blob that the file at `path` will be, its digest a hex SHA-256 (FIPS 180-4). An engine
    made the file: a link or a pipe in its place is not followed. Raises `OSError` for one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return Blob(key, info.st_size, hashlib.file_digest(file, "sha256").hexdigest())
