"""The jobs table, and the transactions that all tables share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from filemill.model import Job, State

Transaction = Any
"""An open database transaction; the core only hands it from one port to another."""


class Jobs(Protocol):
    """The jobs table. Every change is a compare-and-set: it says whether it happened."""

    @property
    def away(self) -> tuple[type[Exception], ...]:
        """What any use of any table raises while the database does not answer."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Commits at the end, rolls back on an exception."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """One to read in: all it sees is of one moment, and it waits for no writer."""
        ...

    def insert(self, transaction: Transaction, job: Job) -> None: ...

    def get(self, job_id: str) -> Job | None: ...

    def list(
        self,
        key_id: str,
        *,
        state: State | None,
        limit: int,
        before: tuple[float, str] | None,
        now: float,
    ) -> Sequence[Job]:
        """Newest first, those after (created_at, id) of the last one seen; none whose time is up
        at `now`."""
        ...

    def claim(self, job_id: str, attempt: str, *, now: float) -> tuple[Job, int] | None:
        """Make `attempt` the owner. Gives the job and how many attempts it has had by now;
        None when there is nothing left to do."""
        ...

    def arrived(self, job: Job, attempt: str) -> bool:
        """Write down the input and the plan that `job` has now, if `attempt` owns it."""
        ...

    def progress(
        self, job_id: str, attempt: str, pct: int, *, ends_at: float | None = None
    ) -> bool:
        """Raise the progress, if `attempt` still owns the job. `ends_at`: when it will end, by
        the look of it; None: as said before."""
        ...

    def owns(self, job_id: str, attempt: str) -> bool: ...

    def settle(self, transaction: Transaction, job: Job, *, attempt: str | None) -> bool:
        """Write the end of `job` if it has none yet and `attempt` owns it (None: whoever does)."""
        ...

    def remove(self, job_id: str) -> None: ...

    def waiting(self, transaction: Transaction) -> bool:
        """Whether any job waits for a slot; held ones do not."""
        ...

    def position(self, job: Job) -> int:
        """Place in the queue, 1 is next."""
        ...

    def unfinished(self, *, before: float) -> Sequence[Job]:
        """Jobs accepted before that time that have not ended; at most a few hundred.
        Held ones are not among them: nothing runs those yet."""
        ...

    def expired(self, *, now: float) -> Sequence[Job]:
        """Jobs that have ended and whose time is up; at most a few hundred."""
        ...

    def late(self, *, by: float) -> Sequence[Job]:
        """Jobs that have not ended and whose time is up then; at most a few hundred."""
        ...

    def lately(self) -> Sequence[Job]:
        """The last few hundred that are done, newest first."""
        ...

    def versions(self, ids: Iterable[str]) -> Mapping[str, tuple[str, int]]:
        """(state, progress) of each job that exists."""
        ...
