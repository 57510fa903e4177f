"""Other people's servers."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request to somebody else's server."""

    status: int | None
    """None: there was no answer."""
    error: str | None
    """Why not, in words."""
    seconds: float
    late: bool = False
    """There was none because it took too long: another try would too."""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender(Protocol):
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        """POST once, following no redirect. Never raises for what the receiver does."""
        ...


class Download(Protocol):
    @property
    def size(self) -> int | None:
        """Bytes, if the server says so."""
        ...

    @property
    def chunks(self) -> AsyncIterator[bytes]: ...


class Remote(Protocol):
    """Other people's servers, as far as they may be reached."""

    def get(self, url: str, *, seconds: float, limit: int) -> AbstractAsyncContextManager[Download]:
        """Raises `BadRequest`, `FileInvalid`, `FileTooLarge`, `Timeout` (it is slow) or
        `ServiceUnavailable` (it may work later)."""
        ...

    async def put(
        self,
        url: str,
        chunks: AsyncIterable[bytes],
        size: int,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Reply:
        """Never raises for what the receiver does."""
        ...
