"""Resumable uploads: a file that arrives piece by piece, over any number of requests. Core.

What arrives is stored in parts of a few MB, each on record once it is stored: a broken
connection loses nothing, a killed server at most one part. Whoever writes holds a lock, a
lease in the database, so that two requests, on one host or on two, never write at once.
The bytes become one file as a job takes the upload over.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from anyio.to_thread import run_sync

from filemill.errors import (
    ChecksumMismatch,
    Conflict,
    FileInvalid,
    FileTooLarge,
    Locked,
    NotFound,
    TooBusy,
    UnsupportedRoute,
)
from filemill.formats import FORMATS, HEAD_SIZE, by_name, detect, find
from filemill.intake import Caps
from filemill.model import ApiKey, Blob, Incoming, Job
from filemill.ports.blobs import Blobs
from filemill.ports.uploads import Incomings
from filemill.service import Service, new_job_id
from filemill.submission import Once, Submission, Upload

PART = 16 * 1024 * 1024
"""Bytes after which what has arrived is put on record: what a `kill -9` loses at most."""
LEASE = 9.0
"""Seconds that a lock outlives its holder."""
PATIENCE = 2.0
"""Seconds to wait for a lock: a request that broke off may still store its last bytes."""
MOST = 200
"""Uploads that one key may have at a time."""
MOST_PARTS = 10_000
"""Of one upload: each request reads and writes the record of them all."""


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must add up to."""

    digest: Digest
    expected: bytes


@dataclass(frozen=True, slots=True)
class Uploads:
    rows: Incomings
    blobs: Blobs
    service: Service
    caps: Caps
    room: Callable[[int], None]
    """Raises `ServiceUnavailable` when so many bytes more would fill the disk."""
    ttl: float
    """Seconds that an upload may take."""

    async def create(
        self,
        key: ApiKey,
        *,
        filename: str,
        metadata: str,
        size: int,
        caps: Caps | None = None,
        source: str | None = None,
        partial: bool = False,
        parts: Sequence[str] = (),
    ) -> Incoming:
        """Announce a file. `caps`: those of the key, where it may send less than others.
        `parts`: the complete uploads that it is made of, by id.

        Raises `FileInvalid`, `FileTooLarge`, `UnsupportedRoute`, `QuotaExceeded`, `TooBusy`,
        `NotFound`, `Conflict` or `ServiceUnavailable`."""
        now = time.time()
        upload_id = "upl_" + secrets.token_hex(12)
        whole: list[Incoming] = []
        for part_id in parts:  # the same one may be named again and again
            whole.append(await self._part_of(key, part_id))
            if sum(len(one.parts) for one in whole) > MOST_PARTS:
                raise _too_many()
        size = sum(one.size for one in whole) if parts else size
        if size == 0:
            raise FileInvalid("The file is empty.", hint="Send the file's bytes.")
        format = by_name(source) if source else None
        named = format or (find(filename.rpartition(".")[2]) if "." in filename else None)
        (caps or self.caps).check(size, named or FORMATS["mp4"])
        self.room(size)
        if not parts:  # those have been sent
            await self.service.affords(key)
        if await run_sync(self.rows.open, key.id) >= MOST:
            raise TooBusy(
                f"This key has {MOST} unfinished uploads.",
                hint="Finish or delete some.",
                headers={"Retry-After": "60"},
            )
        incoming = Incoming(
            id=upload_id,
            key_id=key.id,
            filename=filename,
            metadata=metadata,
            size=size,
            parts=(),
            created_at=now,
            expires_at=now + self.ttl,
            format=format.id if format else None,
            partial=partial,
        )
        await run_sync(self.rows.insert, incoming)
        return await self._joined(incoming, whole) if parts else incoming

    async def get(self, key: ApiKey, upload_id: str) -> Incoming:
        """Raises `NotFound`, for another key's upload too. Waits a moment for a writer to end:
        what a broken connection brought is then counted."""
        deadline = time.monotonic() + PATIENCE
        while await run_sync(partial(self.rows.locked, upload_id, now=time.time())):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        incoming = await run_sync(self.rows.get, upload_id)
        if incoming is None or incoming.key_id != key.id or incoming.expires_at <= time.time():
            raise NotFound("There is no such upload.", hint="It may have expired; start anew.")
        return incoming

    async def receive(
        self,
        key: ApiKey,
        upload_id: str,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        checksum: Checksum | None = None,
    ) -> Incoming:
        """Add a stream at `offset`, all of it or what comes before it breaks off.

        Raises `Conflict` (another offset), `Locked`, `ChecksumMismatch` (then nothing of the
        stream is kept), `FileTooLarge`, `ServiceUnavailable`; and what detection raises: then
        the upload is over, no more of it can be of use."""
        async with self._locked(key, upload_id) as (incoming, token):
            if offset != incoming.offset:
                raise Conflict(
                    f"This upload is at {incoming.offset}, not at {offset}.",
                    details={"offset": incoming.offset},
                )
            body = _Body(chunks, incoming.size - offset, checksum.digest if checksum else None)
            written = incoming
            while await body.more():
                if len(written.parts) >= MOST_PARTS:
                    raise _too_many()
                self.room(0)
                at = written.offset
                blob = await self.blobs.write(
                    f"uploads/{upload_id}/{token}/{at:015}",
                    body.take(HEAD_SIZE - at if at < HEAD_SIZE else PART),
                )
                written = replace(written, parts=(*written.parts, blob))
                if checksum is None:
                    written = await self._told(written) if at < HEAD_SIZE else written
                    await self._record(written, token)
            if checksum is not None:
                if checksum.digest.digest() != checksum.expected:
                    await run_sync(self.blobs.delete, f"uploads/{upload_id}/{token}")
                    raise ChecksumMismatch(
                        "The bytes do not have this checksum; they were not kept.",
                        hint="Send them again.",
                    )
                written = await self._told(written) if offset < HEAD_SIZE else written
                await self._record(written, token)
            return written

    async def remove(self, key: ApiKey, upload_id: str) -> None:
        """Raises `NotFound` or `Locked`."""
        async with self._locked(key, upload_id):
            await self._forget(upload_id)

    async def submit(
        self, key: ApiKey, upload_id: str, submission: Submission, once: Once | None = None
    ) -> tuple[Job, bool]:
        """Make a job of a complete upload, which is gone then. Also whether `once` made it before.

        Raises `Conflict` (it is not complete), and what `Service.submit` raises: then the
        upload stays as it was."""
        try:
            return await self._submit(key, upload_id, submission, once), False
        except NotFound:
            if once is None:
                raise
            return await self.service.earlier(key, once), True

    async def _submit(
        self, key: ApiKey, upload_id: str, submission: Submission, once: Once | None
    ) -> Job:
        async with self._locked(key, upload_id) as (incoming, token):
            if not incoming.complete or incoming.partial:
                raise Conflict(
                    "This upload is not complete.",
                    hint="Send the rest of it first.",
                    details={"offset": incoming.offset, "size": incoming.size},
                )
            upload = Upload(
                new_job_id(),
                incoming.filename,
                Blob("", incoming.size, ""),
                FORMATS[incoming.format] if incoming.format else None,
            )
            self.service.check(upload, submission)  # before anything is moved
            blob = await self.blobs.compose(incoming.parts, f"jobs/{upload.job_id}/in")
            job = await self.service.submit(
                key,
                replace(upload, blob=blob),
                submission,
                once,
                consuming=lambda transaction: self.rows.consume(transaction, upload_id, token),
            )
        if job.id == upload.job_id:
            await run_sync(self.blobs.delete, f"uploads/{upload_id}")
        return job

    async def _part_of(self, key: ApiKey, upload_id: str) -> Incoming:
        part = await self.get(key, upload_id)
        if not part.partial or not part.complete:
            raise Conflict(f"{upload_id} is not a complete partial upload.")
        return part

    async def _joined(self, incoming: Incoming, whole: Sequence[Incoming]) -> Incoming:
        """The parts of others, linked or copied: those may be removed by themselves."""
        async with self._locked_as(incoming) as (_, token):
            parts: list[Blob] = []
            for part in (part for one in whole for part in one.parts):
                to = f"uploads/{incoming.id}/{token}/{len(parts):015}"
                await run_sync(self.blobs.copy, part.key, to)
                parts.append(replace(part, key=to))
            incoming = await self._told(replace(incoming, parts=tuple(parts)))
            await self._record(incoming, token)
            return incoming

    async def _told(self, incoming: Incoming) -> Incoming:
        """The same with its format, as soon as there is enough to tell it by."""
        enough = incoming.complete or incoming.offset >= HEAD_SIZE
        if incoming.partial or incoming.format or not enough:
            return incoming
        try:
            format = detect(await self._head(incoming.parts), incoming.filename)
            if format is not None:
                self.caps.check(incoming.size, format)
        except (FileInvalid, FileTooLarge, UnsupportedRoute):
            await self._forget(incoming.id)
            raise
        return replace(incoming, format=format.id) if format else incoming

    async def _head(self, parts: Sequence[Blob]) -> bytes:
        head = b""
        for part in parts:
            async for chunk in self.blobs.read(part.key, 0, min(part.size, HEAD_SIZE)):
                head += chunk
            if len(head) >= HEAD_SIZE:
                break
        return head[:HEAD_SIZE]

    async def _record(self, incoming: Incoming, token: str) -> None:
        if not await run_sync(self.rows.grow, incoming, token):
            raise Locked("This upload was taken over by another request, or removed.")

    async def _forget(self, upload_id: str) -> None:
        await run_sync(self.rows.remove, upload_id)
        await run_sync(self.blobs.delete, f"uploads/{upload_id}")

    @asynccontextmanager
    async def _locked(self, key: ApiKey, upload_id: str) -> AsyncIterator[tuple[Incoming, str]]:
        """The upload as it is, nobody else writing to it, and the lock's token."""
        incoming = await self.get(key, upload_id)
        async with self._locked_as(incoming) as locked:
            yield locked

    @asynccontextmanager
    async def _locked_as(self, incoming: Incoming) -> AsyncIterator[tuple[Incoming, str]]:
        token = secrets.token_hex(8)

        def take() -> bool:
            now = time.time()
            return self.rows.lock(incoming.id, token, now=now, until=now + LEASE)

        async def keep() -> None:
            while True:
                await asyncio.sleep(LEASE / 3)
                await run_sync(take)

        if not await run_sync(take):
            raise Locked("Another request writes to this upload.", headers={"Retry-After": "1"})
        keeping = asyncio.create_task(keep())
        try:
            now = await run_sync(self.rows.get, incoming.id)
            if now is None:
                raise NotFound("There is no such upload.")
            yield now, token
        finally:
            keeping.cancel()
            await run_sync(self.rows.unlock, incoming.id, token)


def _too_many() -> Conflict:
    return Conflict(
        f"This upload is of more than {MOST_PARTS} pieces.",
        hint="Begin anew, with pieces of a few MB.",
        details={"limit": MOST_PARTS},
    )


class _Body:
    """A stream that is stored part by part."""

    def __init__(self, chunks: AsyncIterator[bytes], left: int, digest: Digest | None) -> None:
        self._chunks = chunks
        self._left = left
        self._digest = digest
        self._next = b""

    async def more(self) -> bool:
        """Whether there is a next chunk. Raises `FileTooLarge` for one too many."""
        while not self._next:
            try:
                self._next = await anext(self._chunks)
            except StopAsyncIteration:
                return False
        self._left -= len(self._next)
        if self._left < 0:
            raise FileTooLarge("There is more than this upload's length.")
        if self._digest:
            self._digest.update(self._next)
        return True

    async def take(self, size: int) -> AsyncIterator[bytes]:
        """About `size` bytes, whole chunks; the first is there already."""
        taken = 0
        while True:
            chunk, self._next = self._next, b""
            taken += len(chunk)
            yield chunk
            if taken >= size or not await self.more():
                return
