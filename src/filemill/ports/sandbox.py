"""Running strangers' code in a box."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from filemill.engine import Exit, Limits, Process

Report = Callable[[float], None]
"""Told the fraction done, 0..1."""

Stopped = Callable[[], bool]
"""Asked now and then whether to stop: the work was cancelled or lost to another run."""


def silent(fraction: float) -> None:
    """A `Report` for work whose progress is not worth telling."""


def never() -> bool:
    """A `Stopped` for work that nobody can cancel."""
    return False


class Session(Protocol):
    """Processes one after another in one directory; see `Sandbox.open`."""

    def run(
        self,
        process: Process,
        *,
        limits: Limits,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Exit:
        """As `Sandbox.run`. Consecutive `Call`s with the same limits (but for the wall clock,
        the disk and the idle time, which count for each) share a worker, with its CPU time, until
        one fails or is killed; a `Command` has a process of its own."""
        ...

    def release(self) -> None:
        """End what runs there and take the directory back: before anything is written in it.
        Until then, all in it may change at any moment."""
        ...


class Sandbox(Protocol):
    def open(self, directory: Path) -> AbstractContextManager[Session]:
        """For several processes in `directory`. It is released at the end."""
        ...

    def run(
        self,
        process: Process,
        *,
        directory: Path,
        limits: Limits,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Exit:
        """Run one process in `directory`, its only writable place, and wait for its end.

        Blocks the calling thread. `stopped` is asked at least every 250 ms; once it says
        so, or a limit is passed, the whole process group is killed. Never raises for what
        the process did: that is in the `Exit`. Raises `ServiceUnavailable` when processes
        cannot be started at all.
        """
        ...
