"""What the core needs from the outside, as Protocols. Floor 1.

Each is as small as the core allows; what only some adapters can do is a Protocol
of its own that an adapter may have besides.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from filemill.engine import Exit, Limits, Process
from filemill.model import Blob

T = TypeVar("T")

Report = Callable[[float], None]
"""Told the fraction done, 0..1."""

Stopped = Callable[[], bool]
"""Asked now and then whether to stop: the work was cancelled or lost to another run."""


class Sandbox(Protocol):
    def run(
        self,
        process: Process,
        *,
        directory: Path,
        limits: Limits,
        report: Report = ...,
        stopped: Stopped = ...,
    ) -> Exit:
        """Run one process in `directory`, its only writable place, and wait for its end.

        Blocks the calling thread. `stopped` is asked at least every 250 ms; once it says
        so, or a limit is passed, the whole process group is killed. Never raises for what
        the process did: that is in the `Exit`. Raises `ServiceUnavailable` when processes
        cannot be started at all.
        """
        ...


class Blobs(Protocol):
    """Stored files by key. Keys are `/`-separated ASCII. Memory is constant in their size."""

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob:
        """Store a stream; nothing is visible under `key` when `chunks` raises."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, end). Raises `NotFound`."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Put a blob at `path` to be read there (a hard link where that is possible)."""
        ...

    def store(self, path: Path, key: str) -> Blob:
        """Take the file at `path` into the store; it may be gone from `path` afterwards."""
        ...

    def delete(self, prefix: str) -> None:
        """Remove every blob below the folder `prefix`. No error when there is none."""
        ...


@runtime_checkable
class Presigns(Protocol):
    """A store that hands out its own signed addresses."""

    def presign(self, key: str, *, seconds: float, filename: str, media_type: str) -> str: ...


class Checkpoint(Protocol):
    """Remembers what a step of a run returned, so that a run after a crash does not redo it."""

    def __call__(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]: ...
