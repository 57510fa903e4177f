"""What the core needs from the outside, as Protocols. Floor 1.

Each is as small as the core allows; what only some adapters can do is a Protocol
of its own that an adapter may have besides.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Set,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from filemill.engine import Exit, Limits, Process
from filemill.model import Attempt, Blob, Cut, Delivery, DeliveryState, Incoming, Job, State

Report = Callable[[float], None]
"""Told the fraction done, 0..1."""

Stopped = Callable[[], bool]
"""Asked now and then whether to stop: the work was cancelled or lost to another run."""


class Session(Protocol):
    """Processes one after another in one directory; see `Sandbox.open`."""

    def run(
        self,
        process: Process,
        *,
        limits: Limits,
        report: Report = ...,
        stopped: Stopped = ...,
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


Transaction = Any
"""An open database transaction; the core only hands it from one port to another."""


class Jobs(Protocol):
    """The jobs table. Every change is a compare-and-set: it says whether it happened."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Commits at the end, rolls back on an exception."""
        ...

    def insert(self, transaction: Transaction, job: Job) -> None: ...

    def get(self, job_id: str) -> Job | None: ...

    def list(
        self, key_id: str, *, state: State | None, limit: int, before: tuple[float, str] | None
    ) -> Sequence[Job]:
        """Newest first, those after (created_at, id) of the last one seen."""
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

    def remove(self, job_id: str) -> bool: ...

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

    def expired(self, *, now: float) -> Sequence[Job]: ...

    def versions(self, ids: Iterable[str]) -> Mapping[str, tuple[str, int]]:
        """(state, progress) of each job that exists."""
        ...


class Checkpoint(Protocol):
    """Remembers what a step of a run returned, so that a run after a crash does not redo it."""

    def __call__(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]: ...


Run = Callable[[str, Checkpoint], None]
"""Runs the job with this id to its end."""


RunPart = Callable[[str, int, int], None]
"""Does a part, by its job's id, the step's and its own number."""


class Cuts(Protocol):
    """Steps of jobs that are done in parts. Every change is a compare-and-set."""

    def open(self, transaction: Transaction, cut: Cut, *, base: float, span: float) -> bool:
        """Put a cut and its pieces on record; false when it is already. `base`: the job's progress
        before the step, 0..1; `span`: that of all parts."""
        ...

    def find(self, job_id: str) -> Cut | None:
        """The last step of the job that was cut."""
        ...

    def claim(self, job_id: str, step: int, number: int, attempt: str) -> int | None:
        """Make `attempt` the owner of a part. Gives how many attempts it has had by now; None when
        it is done, or its job does not want it any more."""
        ...

    def owns(self, job_id: str, step: int, number: int, attempt: str) -> bool: ...

    def tell(
        self,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        fraction: float,
        ends_at: float | None,
    ) -> tuple[float, int] | None:
        """Write how much of a part is done, and the job's progress with it. Gives that progress,
        0..1, and how many parts are being done; None when the part was lost."""
        ...

    def finish(
        self,
        transaction: Transaction,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        *,
        blob: Blob,
        facts: Mapping[str, Any],
    ) -> int | None:
        """Record the result of a part. Gives how many are left; None when the part was lost."""
        ...

    def give_up(self, transaction: Transaction, job_id: str, step: int) -> bool:
        """The step is to be done whole; false when that was said before, or all parts are done."""
        ...

    def close(self, job_id: str, step: int, outcome: Mapping[str, Any]) -> None:
        """Record what the joined step gave."""
        ...


class PartsQueue(Protocol):
    """Makes sure that parts are done, whatever is killed."""

    def spread(self, transaction: Transaction, job_id: str, step: int, number: int) -> None:
        """Do a part when a slot is free that no job waits for."""
        ...

    def gather(self, transaction: Transaction, job: Job, step: int) -> None:
        """Run the job again, before those that wait: this step's parts are done."""
        ...


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
        """Put a job that should be running but may not be. False: its run is over, in vain."""
        ...

    def forget(self, *, before: float) -> None:
        """Drop the records of runs that were over at that time."""
        ...


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

    def drop(self, job_id: str) -> None:
        """Let the Idempotency-Key that made this job make another one."""
        ...


class Counters(Protocol):
    """Counts of requests, shared by all hosts."""

    def take(self, subject: str, start: int, end: int, count: int) -> int:
        """Add `count` to what `subject` used in the window [start, end); gives the sum."""
        ...


class Forgets(Protocol):
    """What is remembered for a while only."""

    def forget(self, *, before: float) -> None:
        """Drop what was over at that time."""
        ...


class Post(Protocol):
    """Makes sure that the attempts of deliveries are made."""

    def post(
        self, transaction: Transaction, delivery: Delivery, *, receiver: str, delay: float
    ) -> None:
        """Make attempt number `delivery.attempts` after `delay` seconds; on record when
        `transaction` commits. Deliveries to one `receiver` do not hold up those to others."""
        ...


class Deliveries(Protocol):
    """The ledger of webhooks."""

    def insert(self, transaction: Transaction, delivery: Delivery) -> None: ...

    def get(self, delivery_id: str) -> Delivery | None: ...

    def of_job(self, job_id: str) -> Sequence[tuple[Delivery, Sequence[Attempt]]]: ...

    def record(
        self,
        transaction: Transaction,
        delivery_id: str,
        attempt: Attempt,
        state: DeliveryState,
        next_at: float | None,
    ) -> bool:
        """Write an attempt down, once: false when this number was written already."""
        ...

    def reopen(self, transaction: Transaction, delivery: Delivery, *, now: float) -> bool:
        """Make a delivery that has ended pending again; false when it has not."""
        ...


class WebhookSecrets(Protocol):
    def active(self, key_id: str) -> Sequence[str]:
        """Those that sign now, newest first; never empty."""
        ...

    def rotate(self, key_id: str, *, overlap: float) -> str:
        """A new secret; the old ones keep signing for `overlap` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request to somebody else's server."""

    status: int | None
    """None: there was no answer."""
    error: str | None
    """Why not, in words."""
    seconds: float

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
        """Raises `BadRequest`, `FileInvalid`, `FileTooLarge`, `Timeout` or
        `ServiceUnavailable`."""
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
