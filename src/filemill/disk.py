"""Refusing new work before the disk is full. Core."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from filemill.errors import ServiceUnavailable

RETRY_AFTER = 60
"""Seconds: results expire, so space comes back by itself."""
LOOK = 16 * 1024 * 1024
"""Bytes of a stream between two looks."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Work that has begun goes on below it: the space it needs is what the mark keeps free."""

    folder: Path
    min_free: int
    """Bytes."""

    def check(self, size: int = 0) -> None:
        """Raises `ServiceUnavailable` when `size` bytes more would leave too little."""
        if shutil.disk_usage(self.folder).free - size < self.min_free:
            raise ServiceUnavailable(
                "There is not enough disk space here for more files now.",
                hint=f"Try again in {RETRY_AFTER} s.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )

    async def watching(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, of a stream whose size nobody told. Raises `ServiceUnavailable`."""
        since = 0
        async for chunk in chunks:
            since += len(chunk)
            if since > LOOK:
                self.check()
                since = 0
            yield chunk
