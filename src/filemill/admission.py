"""Whether a job is accepted, and when it may run: quotas, the bounds of the queue, turns. Core.

Everything is decided inside the transaction that accepts or ends the job, with the key's row
locked first, so hosts that share a database agree.

Fairness: a job's *turn* is one after the key's previous one, but not before the turn that is
being served (start-time fair queuing). The queue runs low turns first, so keys alternate
however many jobs each has. A key at its plan's concurrency has its further jobs *held*: they
are put on the queue one by one as others of that key end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from filemill.errors import BY_CODE, QuotaExceeded, TooBusy
from filemill.intake import Caps
from filemill.model import ApiKey, Job, State
from filemill.plans import STRICTEST, KeyPlan
from filemill.ports.jobs import Transaction
from filemill.ports.lines import Lines, Standing, Usage
from filemill.ports.queue import Queue

RECENT = 300.0
"""Seconds of the past by which the speed of the queue is measured."""
_UNKNOWN_WAIT = 30
_MAX_WAIT = 3600


@dataclass(frozen=True, slots=True)
class Admission:
    plans: Mapping[str, KeyPlan]
    lines: Lines
    usage: Usage
    queue: Queue
    max_queue: int
    """Jobs that may wait, of all keys together."""

    def plan(self, key: ApiKey) -> KeyPlan:
        """What a key may do; one whose plan is gone may do the least."""
        return self._plan(key.plan)

    def plan_name(self, transaction: Transaction, key_id: str) -> str:
        return self.lines.plan_name(transaction, key_id) or "anonymous"

    def caps(self, caps: Caps, plan: str) -> Caps:
        """Those of a door, or of the plan of that name where it allows less."""
        most = self._plan(plan).max_file_bytes
        if most is None or most >= max(caps.other, caps.media):
            return caps
        hint = f"The plan {plan!r} takes files of up to this size."
        return Caps(min(most, caps.other), min(most, caps.media), hint)

    def _plan(self, name: str) -> KeyPlan:
        return self.plans.get(name) or self.plans[STRICTEST]

    def admit(self, transaction: Transaction, job: Job, plan: KeyPlan) -> Job:
        """The job with its place in the line. Raises `QuotaExceeded` or `TooBusy`."""
        used = self.usage.add(transaction, job.key_id, month(job.created_at))
        standing = self._admissible(transaction, job.key_id, plan, used, job.created_at)
        held = plan.concurrency is not None and standing.released >= plan.concurrency
        return replace(job, turn=standing.turn, held=held)

    def foresee(self, transaction: Transaction, key: ApiKey) -> None:
        """Raises what `admit` would by the look of it now. Changes nothing."""
        now = time.time()
        used = self.usage.used(transaction, key.id, month(now))
        self._admissible(transaction, key.id, self.plan(key), used + 1, now)

    def affords(self, transaction: Transaction, key: ApiKey) -> None:
        """Raises `QuotaExceeded` when no conversion of this month is left. Changes nothing."""
        now = time.time()
        used = self.usage.used(transaction, key.id, month(now))
        _check_quota(self.plan(key), used + 1, now)

    def _admissible(
        self, transaction: Transaction, key_id: str, plan: KeyPlan, used: int, now: float
    ) -> Standing:
        """`used`: conversions of this month, with the one that is asked for."""
        _check_quota(plan, used, now)
        standing = self.lines.standing(transaction, key_id)
        if standing.waiting_in_all >= self.max_queue:
            excess = standing.waiting_in_all - self.max_queue + 1
            raise self._too_busy(transaction, "Too many jobs are waiting here.", None, excess)
        if plan.queue is not None and standing.waiting >= plan.queue:
            text = f"{standing.waiting} jobs of this key are waiting; its plan allows {plan.queue}."
            excess = standing.waiting - plan.queue + 1
            raise self._too_busy(transaction, text, key_id, excess)
        return standing

    def lock(self, transaction: Transaction, key_id: str) -> None:
        """Before any job's row is written: two ends of one key's jobs never wait crosswise."""
        self.usage.lock(transaction, key_id)

    def ended(self, transaction: Transaction, job: Job) -> None:
        """Give back what a failure of ours cost, and let the key's next job go."""
        if refunds(job):
            self.usage.give_back(transaction, job.key_id, month(job.created_at))
        self.release(transaction, job.key_id)

    def release(self, transaction: Transaction, key_id: str) -> None:
        """Put held jobs of a key on the queue, as many as its plan lets run now."""
        held = self.lines.held(transaction, key_id)
        if not held:
            return
        plan = self._plan(self.plan_name(transaction, key_id))
        released = self.lines.standing(transaction, key_id).released
        free = held if plan.concurrency is None else plan.concurrency - released
        for job in self.lines.release(transaction, key_id, max(0, free)):
            self.queue.put(transaction, job)

    def _too_busy(
        self, transaction: Transaction, message: str, key_id: str | None, excess: int
    ) -> TooBusy:
        now = time.time()
        ended, first = self.lines.ended_since(transaction, now - RECENT, key_id)
        seconds = wait(ended, now - first, excess)
        return TooBusy(
            message, hint=f"Try again in {seconds} s.", headers={"Retry-After": str(seconds)}
        )


def refunds(job: Job) -> bool:
    """Whether a job that ended so does not count: it failed by our fault, or never began. One
    whose result is there does, although it could not be sent."""
    if job.state is State.CANCELLED:
        return job.started_at is None
    if job.state is not State.FAILED or not job.error or job.output:
        return False
    kind = BY_CODE.get(job.error["code"])
    return kind is None or kind.status >= 500


def wait(ended: int, seconds: float, excess: int) -> int:
    """Seconds until `excess` jobs have left the line, when `ended` did so in `seconds`."""
    if not ended:
        return _UNKNOWN_WAIT
    return max(1, min(_MAX_WAIT, math.ceil(excess * max(seconds, 1.0) / ended)))


def month(now: float) -> str:
    """The calendar month (UTC) that quotas are counted by: 2026-11."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def next_month(now: float) -> float:
    """When the next one begins, POSIX seconds."""
    day = datetime.fromtimestamp(now, UTC)
    year, index = divmod(day.year * 12 + day.month, 12)
    return datetime(year, index + 1, 1, tzinfo=UTC).timestamp()


def _check_quota(plan: KeyPlan, used: int, now: float) -> None:
    limit = plan.conversions_per_month
    if limit is None or used <= limit:
        return
    end = next_month(now)
    when = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    raise QuotaExceeded(
        f"The {limit} conversions of this month are used up.",
        hint=f"The next month begins at {when}.",
        details={"limit": limit, "resets_at": when},
        headers={"Retry-After": str(math.ceil(end - now))},
    )
