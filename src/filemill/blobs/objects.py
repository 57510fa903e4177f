"""Blobs in any object store that obstore speaks to: S3, GCS, Azure, memory, disk.

A stream is gathered on the local disk first and sent from there: a store takes parts of 5 MB at
least, and those of many uploads at once would fill the memory. Files that are not small are sent
one after the other for the same reason, the large ones by a thread of their own. A stream that
breaks off leaves nothing in the store.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import obstore
from anyio.to_thread import run_sync
from obstore.exceptions import NotFoundError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from filemill.errors import NotFound
from filemill.filename import attachment
from filemill.model import Blob

if TYPE_CHECKING:
    from obstore import Attributes

PART = 5 * 1024 * 1024
"""Bytes of one part of a multipart upload: S3 takes 10,000 parts, so blobs up to 50 GB."""
SMALL = 512 * 1024
"""Bytes of a file that waits for no other one."""
LARGE = 32 * 1024 * 1024
"""Bytes of a file that waits for other large ones only, and lets the others pass."""
BLOCK = 128 * 1024
"""Bytes that one writer gathers before it writes them."""
CHUNK = 256 * 1024
"""Bytes of one chunk when a blob is read as a stream."""


class ObjectBlobs:
    """Implements `ports.blobs.Blobs`."""

    def __init__(self, store: ObjectStore, *, spool: Path | None = None) -> None:
        """`spool`: a folder for what is on its way; None: the one for temporary files."""
        self._store = store
        self._spool = str(spool) if spool else None
        self._medium, self._large = (ThreadPoolExecutor(1, "blobs") for _ in range(2))

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob:
        with TemporaryFile(buffering=0, dir=self._spool) as file:
            size, digest = await drain(chunks, file)
            file.seek(0)
            send = partial(self._send, file, key, size)
            if size > SMALL:
                await asyncio.wrap_future(self._sender(size).submit(send))
            else:
                await run_sync(send)
        return Blob(key, size, digest)

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
        attributes = self._attributes(filename, media_type)
        with path.open("rb", buffering=0) as file:
            send = partial(self._send, file, key, blob.size, attributes)
            if blob.size > SMALL:
                self._sender(blob.size).submit(send).result()
            else:
                send()
        return blob

    def _attributes(self, filename: str, media_type: str) -> Attributes | None:
        """What the store needs to know of a file that it serves by itself."""
        del filename, media_type
        return None

    def _sender(self, size: int) -> ThreadPoolExecutor:
        return self._large if size > LARGE else self._medium

    def _send(
        self, file: IO[bytes], key: str, size: int, attributes: Attributes | None = None
    ) -> None:
        # Block by block: what is read is held beside the part that it goes into.
        blocks = iter(partial(file.read, BLOCK), b"")
        obstore.put(
            self._store,
            key,
            blocks if size > PART else file,
            attributes=attributes,
            chunk_size=PART,
            max_concurrency=1,
        )

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

    def __init__(
        self, store: S3Store | GCSStore | AzureStore, *, spool: Path | None = None
    ) -> None:
        super().__init__(store, spool=spool)
        self._signing = store

    def _attributes(self, filename: str, media_type: str) -> Attributes:
        # A presigned address answers with what is stored beside the bytes.
        return {"Content-Type": media_type, "Content-Disposition": attachment(filename)}

    def presign(self, key: str, *, seconds: float) -> str:
        return obstore.sign(self._signing, "GET", key, timedelta(seconds=seconds))


async def drain(chunks: AsyncIterable[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Write a stream to a file: its size, and its hex SHA-256 (FIPS 180-4)."""
    digest, size = hashlib.sha256(), 0

    def put(block: bytes | bytearray) -> None:
        digest.update(block)
        left = memoryview(block)
        while left:  # an unbuffered file may take less, when the disk is nearly full
            left = left[file.write(left) :]

    async for block in _blocks(chunks):
        size += len(block)
        await run_sync(put, block)
    return size, digest.hexdigest()


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes | bytearray]:
    """The same bytes in blocks that are worth a visit to a thread."""
    block = bytearray()
    async for chunk in chunks:
        if not block and len(chunk) >= BLOCK:
            yield chunk
            continue
        block += chunk
        if len(block) >= BLOCK:
            yield block
            block = bytearray()
    if block:
        yield block


def blob_of(path: Path, key: str) -> Blob:
    """The blob that the file at `path` will be, its digest a hex SHA-256 (FIPS 180-4). An engine
    made the file: a link or a pipe in its place is not followed. Raises `OSError` for one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return Blob(key, info.st_size, hashlib.file_digest(file, "sha256").hexdigest())
