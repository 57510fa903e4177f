"""Work that is done, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from filemill.model import Delivery, Job
from filemill.ports.jobs import Transaction


class Checkpoint(Protocol):
    """Remembers what a step of a run returned, so that a run after a crash does not redo it."""

    def __call__(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]: ...


Run = Callable[[str, Checkpoint], None]
"""Runs the job with this id to its end."""


RunPart = Callable[[str, int, int], None]
"""Does a part, by its job's id, the step's and its own number."""


class Queue(Protocol):
    """Makes sure that accepted jobs are run, whatever is killed."""

    def reserve(self) -> bool:
        """Take a free slot of this host, if there is one. Give it to `start` or `release`."""
        ...

    def release(self) -> None: ...

    def start(self, job: Job) -> None:
        """Run a job now, in a slot that `reserve` took. Returns once the run is on record."""
        ...

    def put(self, transaction: Transaction, job: Job) -> None:
        """Run a job when a slot is free; on record when `transaction` commits."""
        ...

    def adopt(self, job: Job) -> bool:
        """Put a job that should be running but may not be. False: its run is over, in vain. One
        that ended in an error (the database was away) is put once more for each attempt."""
        ...

    def forget(self, *, before: float) -> None:
        """Drop the records of runs that were over at that time."""
        ...


class PartsQueue(Protocol):
    """Makes sure that parts are done, whatever is killed."""

    def spread(self, transaction: Transaction, job_id: str, step: int, number: int) -> None:
        """Do a part when a slot is free that no job waits for."""
        ...

    def gather(self, transaction: Transaction, job: Job, step: int) -> None:
        """Run the job again, before those that wait: this step's parts are done."""
        ...


class Post(Protocol):
    """Makes sure that the attempts of deliveries are made."""

    def post(self, transaction: Transaction, delivery: Delivery) -> None:
        """Make attempt number `delivery.attempts` at `delivery.next_at`; on record when
        `transaction` commits. Deliveries to one `receiver` do not hold up those to others."""
        ...

    def under_way(self, deliveries: Sequence[Delivery]) -> Collection[str]:
        """The ids of those whose next attempt is being made, or will be."""
        ...
