"""Who waits, how much a key used, what was asked before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from filemill.model import Job
from filemill.ports.jobs import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key's jobs stand in line."""

    waiting: int
    released: int
    """Those that run or are on the queue."""
    waiting_in_all: int
    """Of every key."""
    turn: int
    """Of the key's next job."""


class Lines(Protocol):
    """The jobs as lines of who waits, one a key."""

    def standing(self, transaction: Transaction, key_id: str) -> Standing: ...

    def held(self, transaction: Transaction, key_id: str) -> int: ...

    def release(self, transaction: Transaction, key_id: str, count: int) -> Sequence[Job]:
        """Mark the key's next `count` held jobs as held no more; gives them."""
        ...

    def keys_with_held(self, transaction: Transaction) -> Sequence[str]: ...

    def ended_since(
        self, transaction: Transaction, moment: float, key_id: str | None
    ) -> tuple[int, float]:
        """How many jobs ended since then, of one key or of all, and when the first did."""
        ...

    def plan_name(self, transaction: Transaction, key_id: str) -> str | None:
        """None: there is no such key."""
        ...


class Usage(Protocol):
    """Conversions by key and calendar month."""

    def add(self, transaction: Transaction, key_id: str, month: str) -> int:
        """Count one and lock the key until the transaction ends; gives the sum."""
        ...

    def lock(self, transaction: Transaction, key_id: str) -> None: ...

    def give_back(self, transaction: Transaction, key_id: str, month: str) -> None: ...

    def used(self, transaction: Transaction, key_id: str, month: str) -> int: ...


class Idempotency(Protocol):
    """Which job a key's Idempotency-Key made."""

    def claim(
        self,
        transaction: Transaction,
        key_id: str,
        token: str,
        fingerprint: str,
        job_id: str,
        *,
        now: float,
        expires_at: float,
    ) -> tuple[str, str]:
        """Put down (fingerprint, job) unless there is one already; gives what is there."""
        ...

    def knows(self, transaction: Transaction, key_id: str, token: str, *, now: float) -> bool: ...

    def drop(self, job_id: str) -> None:
        """Let the Idempotency-Key that made this job make another one."""
        ...
