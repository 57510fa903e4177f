"""Uploads that have not ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Protocol

from filemill.model import Incoming
from filemill.ports.jobs import Transaction


class Incomings(Protocol):
    """The uploads table. A lock is a lease: who holds it renews it, or loses it."""

    def insert(self, incoming: Incoming) -> None: ...

    def get(self, upload_id: str) -> Incoming | None: ...

    def open(self, key_id: str) -> int:
        """How many uploads a key has."""
        ...

    def lock(self, upload_id: str, token: str, *, now: float, until: float) -> bool:
        """Take the lock, or renew it. False: somebody else holds it, or there is no upload."""
        ...

    def unlock(self, upload_id: str, token: str) -> None: ...

    def locked(self, upload_id: str, *, now: float) -> bool: ...

    def unlock_all(self) -> None:
        """For the one process of a database, as it starts."""
        ...

    def grow(self, incoming: Incoming, token: str) -> bool:
        """Write what has arrived, and the format, if `token` holds the lock."""
        ...

    def consume(self, transaction: Transaction, upload_id: str, token: str) -> bool:
        """Remove the upload, if `token` holds the lock."""
        ...

    def remove(self, upload_id: str) -> None: ...

    def expired(self, *, now: float) -> Sequence[str]: ...

    def existing(self, ids: Iterable[str]) -> Set[str]:
        """Those of `ids` that are on record."""
        ...
