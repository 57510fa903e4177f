"""One contract for quotas, turns, holds and idempotency, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from filemill.admission import Admission, month, next_month, refunds, wait
from filemill.errors import BY_CODE, QuotaExceeded, TooBusy
from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.jobs.keys import Keys
from filemill.jobs.lines import Idempotency, Lines, Usage
from filemill.model import Blob, Job, State
from filemill.plans import PLANS
from jobs.test_jobs import a_job

NOW = 1_790_000_000.0


@dataclass
class Line:
    """Admission on a real database; its queue only notes what was put."""

    database: Database
    max_queue: int = 1000
    put_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.database)
        self.usage = Usage()
        self.admission = Admission(PLANS, Lines(), self.usage, self, self.max_queue)  # type: ignore[arg-type]

    def put(self, _transaction: object, job: Job) -> None:
        self.put_ids.append(job.id)

    def accept(self, job_id: str, key_id: str = "key_1", **limits: Any) -> Job:
        plan = replace(PLANS["unlimited"], **limits)
        with self.jobs.transaction() as transaction:
            job = self.admission.admit(
                transaction, a_job(job_id, key_id=key_id, created_at=NOW), plan
            )
            self.jobs.insert(transaction, job)
        return job

    def end(self, job_id: str, state: State = State.DONE, code: str | None = None) -> None:
        if state is State.DONE:
            assert self.jobs.claim(job_id, "run", now=NOW)
        job = self.jobs.get(job_id)
        assert job
        ended = replace(job, state=state, finished_at=NOW, error={"code": code} if code else None)
        with self.jobs.transaction() as transaction:
            self.admission.lock(transaction, job.key_id)
            assert self.jobs.settle(transaction, ended, attempt=None)
            self.admission.ended(transaction, ended)

    def used(self, key_id: str = "key_1") -> int:
        with self.jobs.transaction() as transaction:
            return self.usage.used(transaction, key_id, month(NOW))


@pytest.fixture
def line(database: Database) -> Line:
    return Line(database)


def test_keys_take_turns(line: Line) -> None:
    hog = [line.accept(f"hog{n}", "hog") for n in range(6)]
    assert [job.turn for job in hog] == [1, 2, 3, 4, 5, 6]
    for n in range(3):
        assert line.jobs.claim(f"hog{n}", "x", now=NOW)
    other = [line.accept(f"other{n}", "other") for n in range(3)]
    assert [job.turn for job in other] == [3, 4, 5]  # turn 3 is being served: no credit for before
    places = [line.jobs.position(job) for job in (*hog[3:], *other)]
    assert sorted(places) == [1, 2, 3, 4, 5, 6]
    assert places[3] == 1
    assert max(places[3:]) <= 5


def test_at_its_concurrency_a_key_waits_for_itself(line: Line) -> None:
    assert line.admission.plans["free"].concurrency == 2
    key = Keys(line.database)
    key_id = key.check(key.create("a", "free")).id
    jobs = [line.accept(f"j{n}", key_id, concurrency=2) for n in range(5)]
    assert [job.held for job in jobs] == [False, False, True, True, True]
    other = line.accept("o", "key_2", concurrency=2)
    assert not other.held
    assert {job.id for job in line.jobs.unfinished(before=NOW + 1)} == {"j0", "j1", "o"}
    line.end("j3", State.CANCELLED)  # one that was held frees nothing
    assert line.put_ids == []
    line.end("j1")
    assert line.put_ids == ["j2"]
    line.end("o")
    assert line.put_ids == ["j2"]
    line.end("j0")
    line.end("j2")
    assert line.put_ids == ["j2", "j4"]


def test_a_released_job_is_released_once(line: Line) -> None:
    key = Keys(line.database)
    key_id = key.check(key.create("a", "free")).id
    for n in range(10):
        line.accept(f"j{n}", key_id, concurrency=4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(line.end, [f"j{n}" for n in range(4)]))
    # Its plan says two at once: with four gone, two go.
    assert line.put_ids == ["j4", "j5"]


def test_the_month_is_counted_in_the_transaction_that_accepts(line: Line) -> None:
    for n in range(3):
        line.accept(f"j{n}", conversions_per_month=3)
    with pytest.raises(QuotaExceeded) as refused:
        line.accept("j3", conversions_per_month=3)
    assert int(refused.value.headers["Retry-After"]) == pytest.approx(next_month(NOW) - NOW, abs=1)
    assert refused.value.details["limit"] == 3
    assert line.used() == 3
    assert line.jobs.get("j3") is None
    line.end("j0", State.FAILED, "file_invalid")
    assert line.used() == 3
    line.end("j1", State.FAILED, "engine_error")
    line.end("j2", State.CANCELLED)
    assert line.used() == 1
    line.accept("j4", conversions_per_month=3)


def test_accepts_at_once_are_counted_and_held_right(line: Line) -> None:
    def one(number: int) -> bool | None:
        try:
            return line.accept(f"j{number}", conversions_per_month=20, concurrency=3).held
        except QuotaExceeded:
            return None

    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(one, range(32)))
    assert (held.count(False), held.count(True), held.count(None)) == (3, 17, 12)
    assert line.used() == 20


def test_a_new_month_begins_at_nought(line: Line) -> None:
    usage = line.usage
    with line.jobs.transaction() as transaction:
        assert [usage.add(transaction, "k", m) for m in ("2026-12", "2026-12", "2027-01")] == [
            1,
            2,
            1,
        ]
        usage.give_back(transaction, "k", "2026-12")  # of a job of the month before
        assert usage.used(transaction, "k", "2027-01") == 1
        assert usage.add(transaction, "k", "2026-12") == 2  # a host whose clock is behind
        assert usage.used(transaction, "k", "2027-01") == 2


def test_bounds_of_the_queue(line: Line) -> None:
    line.accept("j0", queue=2)
    line.accept("j1", queue=2)
    with pytest.raises(TooBusy) as refused:
        line.accept("j2", queue=2)
    assert int(refused.value.headers["Retry-After"]) > 0
    line.accept("o0", "other", queue=2)
    assert line.used() == 2
    small = Line(line.database, max_queue=3)
    with pytest.raises(TooBusy):
        small.accept("o1", "third")
    line.end("j0")
    small.accept("o1", "third")


def test_speed_is_measured_by_what_ended(line: Line) -> None:
    for n in range(4):
        line.accept(f"j{n}", "a" if n else "b")
        line.end(f"j{n}")
    with line.jobs.transaction() as transaction:
        assert Lines().ended_since(transaction, NOW - 1, None) == (4, NOW)
        assert Lines().ended_since(transaction, NOW - 1, "a") == (3, NOW)
        assert Lines().ended_since(transaction, NOW, None)[0] == 0


@pytest.mark.parametrize(
    ("ended", "seconds", "excess", "expected"),
    [(0, 300, 1, 30), (60, 300, 1, 5), (60, 300, 10, 50), (1000, 1, 1, 1), (1, 300, 999, 3600)],
)
def test_wait(ended: int, seconds: float, excess: int, expected: int) -> None:
    assert wait(ended, seconds, excess) == expected


def test_only_our_own_failures_are_given_back() -> None:
    failed = replace(a_job(), state=State.FAILED, started_at=1.0)
    given = {code for code in BY_CODE if refunds(replace(failed, error={"code": code}))}
    assert given == {"internal_error", "engine_error", "service_unavailable", "timeout"}
    assert refunds(replace(a_job(), state=State.CANCELLED))
    assert not refunds(replace(a_job(), state=State.CANCELLED, started_at=1.0))
    assert not refunds(replace(a_job(), state=State.DONE, started_at=1.0))
    kept = replace(failed, error={"code": "service_unavailable"}, output=Blob("x", 1, "00"))
    assert not refunds(kept), "the result is there, it only could not be sent"


def test_one_job_an_idempotency_key(line: Line) -> None:
    memory = Idempotency(line.database)

    def claim(
        job_id: str, fingerprint: str = "f", now: float = NOW, key: str = "k"
    ) -> tuple[str, str]:
        with line.jobs.transaction() as transaction:
            return memory.claim(
                transaction, key, "t", fingerprint, job_id, now=now, expires_at=now + 10
            )

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(claim, [f"j{n}" for n in range(24)]))
    assert len(found) == 1
    assert claim("later", "other") == found.pop()
    assert claim("theirs", key="other key") == ("f", "theirs")
    assert claim("next day", "g", NOW + 10) == ("g", "next day")
    memory.drop("next day")
    assert claim("after", "h", NOW + 11) == ("h", "after")
    memory.forget(before=NOW + 22)
    assert claim("again", "i", NOW + 12) == ("i", "again")
