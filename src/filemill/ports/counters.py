"""What is remembered for a while only."""

from __future__ import annotations

from typing import Protocol


class Forgets(Protocol):
    """What is remembered for a while only."""

    def forget(self, *, before: float) -> None:
        """Drop what was over at that time."""
        ...


class Counters(Protocol):
    """Counts of requests, shared by all hosts."""

    def take(self, subject: str, start: int, end: int, count: int) -> int:
        """Add `count` to what `subject` used in the window [start, end); gives the sum."""
        ...
