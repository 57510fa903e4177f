"""Stored files."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from filemill.model import Blob


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

    def store(self, path: Path, key: str, *, filename: str, media_type: str) -> Blob:
        """Take the file at `path` into the store; it may be gone from `path` afterwards."""
        ...

    def copy(self, key: str, to: str) -> None:
        """Raises `NotFound`."""
        ...

    async def compose(self, parts: Sequence[Blob], to: str) -> Blob:
        """Store the bytes of `parts`, one after the other, under `to`; the parts stay.
        One alone is not copied where it can be linked. Raises `NotFound`."""
        ...

    def delete(self, prefix: str) -> None:
        """Remove every blob below the folder `prefix`. No error when there is none."""
        ...

    def idle(self, prefix: str, *, before: float) -> Sequence[str]:
        """The folders right below the folder `prefix` in which nothing changed since that
        time. Reads all names below it: not for every minute."""
        ...


@runtime_checkable
class Presigns(Protocol):
    """A store that hands out its own signed addresses."""

    def presign(self, key: str, *, seconds: float) -> str: ...
