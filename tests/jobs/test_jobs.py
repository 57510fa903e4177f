"""One contract for the jobs table, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.model import Blob, Job, Plan, State, Step

PLAN = Plan(
    "docx",
    "png",
    (
        Step("libreoffice", "docx", "pdf", {}, 10.0),
        Step("pdfium", "pdf", "png", {"dpi": 72.5, "pages": "1-3", "alpha": True}),
    ),
    losses=("layout",),
    notes=("ü",),
)


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


def a_job(id: str = "job_1", **values: Any) -> Job:
    defaults: dict[str, Any] = {
        "key_id": "key_1",
        "state": State.QUEUED,
        "plan": PLAN,
        "filename": "a.docx",
        "input": Blob(f"jobs/{id}/in", 5, "ab" * 32),
        "created_at": 1000.0,
        "expires_at": 2000.0,
    }
    return Job(id=id, **defaults | values)


def add(jobs: Jobs, *rows: Job) -> None:
    with jobs.transaction() as transaction:
        for job in rows:
            jobs.insert(transaction, job)


def settle(jobs: Jobs, job: Job, *, attempt: str | None = None) -> bool:
    with jobs.transaction() as transaction:
        return jobs.settle(transaction, job, attempt=attempt)


def ended(job: Job, state: State = State.DONE, **values: Any) -> Job:
    return replace(job, state=state, finished_at=1500.25, **values)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        False,
        0,
        "",
        [],
        {},
        {"a": [1, 2.5, None, True, {"ключ": "значение 🎉"}]},
        "\x00\ud800 \u202e",
        2**63,
        1e300,
    ],
    ids=repr,
)
def test_what_goes_in_comes_out(jobs: Jobs, metadata: Any) -> None:
    job = a_job(
        filename="отчёт 🎉 \"quoted\" 'x'; --.docx", metadata=metadata, webhook_url="https://x/y"
    )
    add(jobs, job)
    found = jobs.get("job_1")
    assert found == job
    assert found is not None
    assert type(found.metadata) is type(metadata)
    assert isinstance(found.plan.steps, tuple)
    assert isinstance(found.state, State)


def test_time_keeps_its_microseconds(jobs: Jobs) -> None:
    job = a_job(created_at=1_795_000_000.123456, expires_at=1_795_086_400.654321)
    add(jobs, job)
    assert jobs.get("job_1") == job


def test_nothing_of_a_rolled_back_transaction(jobs: Jobs) -> None:
    with suppress(ZeroDivisionError), jobs.transaction() as transaction:
        jobs.insert(transaction, a_job())
        raise ZeroDivisionError
    assert jobs.get("job_1") is None


def test_what_a_transaction_read_stays_true(jobs: Jobs) -> None:
    """`waiting` and `insert` are one decision: no other insert comes between on SQLite."""
    if not jobs._database.is_sqlite:
        pytest.skip("PostgreSQL lets writers work side by side")
    other = Database(str(jobs._database.engine.url))
    with jobs.transaction() as transaction:
        assert not jobs.waiting(transaction)
        with other.engine.connect() as second:
            second.exec_driver_sql("PRAGMA busy_timeout=100")
            with pytest.raises(OperationalError, match="locked"):
                second.exec_driver_sql("BEGIN IMMEDIATE")
    other.close()


def test_reading_is_of_one_moment_and_waits_for_nobody(jobs: Jobs) -> None:
    with jobs.reading() as reading:
        assert not jobs.waiting(reading)
        with jobs.transaction() as writing:  # on SQLite this waits for whoever writes
            jobs.insert(writing, a_job())
            with jobs.reading() as another:
                assert not jobs.waiting(another)
        assert not jobs.waiting(reading)
    with jobs.reading() as reading:
        assert jobs.waiting(reading)
    add(jobs, a_job("job_2"))  # the pool's connections may write again


def test_list_pages_through_equal_times(jobs: Jobs) -> None:
    times = {f"job_{n:02d}": 1000.0 + n // 10 for n in range(25)}
    add(jobs, *(a_job(id, created_at=at) for id, at in times.items()))
    add(jobs, a_job("other", key_id="key_2"))
    expected = sorted(times, key=lambda name: (times[name], name), reverse=True)
    seen: list[str] = []
    before: tuple[float, str] | None = None
    while page := jobs.list("key_1", state=None, limit=4, before=before, now=1):
        seen += [job.id for job in page]
        before = page[-1].created_at, page[-1].id
    assert seen == expected


def test_list_of_one_state(jobs: Jobs) -> None:
    add(jobs, a_job("job_1"), a_job("job_2"), a_job("job_3"))
    jobs.claim("job_2", "a", now=1)
    found = jobs.list("key_1", state=State.PROCESSING, limit=10, before=None, now=1)
    assert [job.id for job in found] == ["job_2"]
    assert jobs.counts() == {"queued": 2, "processing": 1}


def test_claim_makes_an_owner(jobs: Jobs) -> None:
    add(jobs, a_job())
    claimed = jobs.claim("job_1", "first", now=1100.5)
    assert claimed is not None
    job, attempts = claimed
    assert (job.state, job.attempt, job.started_at, attempts) == (
        State.PROCESSING,
        "first",
        1100.5,
        1,
    )
    assert jobs.get("job_1") == job
    assert jobs.owns("job_1", "first")
    assert not jobs.owns("job_1", "second")
    again = jobs.claim("job_1", "second", now=1200.0)
    assert again is not None
    # The time it waited for a slot ended with the first attempt.
    assert (again[0].attempt, again[0].started_at, again[1]) == ("second", 1100.5, 2)
    assert jobs.owns("job_1", "second")


def test_lost_attempt_writes_nothing(jobs: Jobs) -> None:
    add(jobs, a_job())
    claimed = jobs.claim("job_1", "first", now=1)
    assert claimed is not None
    jobs.claim("job_1", "second", now=2)
    before = jobs.get("job_1")
    assert not jobs.owns("job_1", "first")
    assert not jobs.progress("job_1", "first", 50)
    assert not settle(jobs, ended(claimed[0], progress_pct=100), attempt="first")
    assert jobs.get("job_1") == before
    assert jobs.progress("job_1", "second", 50)


def test_progress_never_goes_back(jobs: Jobs) -> None:
    add(jobs, a_job())
    assert not jobs.progress("job_1", "first", 10), "nobody has it yet"
    jobs.claim("job_1", "first", now=1)
    for pct, expected in ((40, 40), (20, 40), (41, 41)):
        assert jobs.progress("job_1", "first", pct)
        assert jobs.versions(["job_1", "none"]) == {"job_1": ("processing", expected)}
    jobs.claim("job_1", "second", now=2)
    assert jobs.progress("job_1", "second", 5)
    job = jobs.get("job_1")
    assert job is not None
    assert job.progress_pct == 41


def test_settle_writes_the_end(jobs: Jobs) -> None:
    add(jobs, a_job(metadata={"a": 1}))
    claimed = jobs.claim("job_1", "first", now=1100.0)
    assert claimed is not None
    done = ended(
        claimed[0],
        progress_pct=100,
        output=Blob("jobs/job_1/first-0.png", 9, "cd" * 32),
        output_name="a.png",
        media_type="image/png",
        report={"pages": 3, "checks": ["3 pages"]},
    )
    assert settle(jobs, done, attempt="first")
    assert jobs.get("job_1") == done
    assert done.duration_ms == 400_250


def test_cancel_with_an_old_copy_keeps_what_is_newer(jobs: Jobs) -> None:
    """Who cancels read the job a while ago; meanwhile it was started and got on."""
    old = a_job()
    add(jobs, old)
    jobs.claim("job_1", "first", now=1100.0)
    jobs.progress("job_1", "first", 60)
    assert settle(jobs, ended(old, State.CANCELLED))
    job = jobs.get("job_1")
    assert job is not None
    assert (job.state, job.progress_pct, job.started_at, job.attempt) == (
        State.CANCELLED,
        60,
        1100.0,
        "first",
    )
    assert not jobs.owns("job_1", "first")
    assert not jobs.progress("job_1", "first", 70)


@pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED])
def test_an_end_is_the_end(jobs: Jobs, end: State) -> None:
    add(jobs, a_job())
    jobs.claim("job_1", "first", now=1)
    job = jobs.get("job_1")
    assert job is not None
    assert settle(jobs, ended(job, end, error={"code": "x"}), attempt="first")
    final = jobs.get("job_1")
    assert jobs.claim("job_1", "second", now=2) is None
    assert not jobs.progress("job_1", "first", 99)
    for state in (State.DONE, State.FAILED, State.CANCELLED):
        assert not settle(jobs, ended(job, state))
        assert not settle(jobs, ended(job, state), attempt="first")
    assert jobs.get("job_1") == final


def test_queued_job_cannot_be_done(jobs: Jobs) -> None:
    job = a_job()
    add(jobs, job)
    assert not settle(jobs, ended(job, State.DONE))
    assert jobs.get("job_1") == job


@pytest.mark.parametrize("round_", range(3))
def test_of_many_ends_one_wins(jobs: Jobs, round_: int) -> None:
    add(jobs, a_job())
    jobs.claim("job_1", "first", now=1)
    job = jobs.get("job_1")
    assert job is not None
    start = Barrier(30)

    def end(number: int) -> bool:
        start.wait()
        state = (State.DONE, State.FAILED, State.CANCELLED)[number % 3]
        mine = ended(job, state, error={"by": number})
        return settle(jobs, mine, attempt=None if state is State.CANCELLED else "first")

    with ThreadPoolExecutor(30) as threads:
        won = [number for number, it in enumerate(threads.map(end, range(30))) if it]
    assert len(won) == 1
    final = jobs.get("job_1")
    assert final is not None
    assert final.error == {"by": won[0]}


def test_of_many_claims_the_last_owns(jobs: Jobs) -> None:
    add(jobs, a_job())
    start = Barrier(20)

    def claim(number: int) -> tuple[int, str]:
        start.wait()
        claimed = jobs.claim("job_1", f"attempt{number}", now=1)
        assert claimed is not None
        return claimed[1], f"attempt{number}"

    with ThreadPoolExecutor(20) as threads:
        order = sorted(threads.map(claim, range(20)))
    assert [attempts for attempts, _ in order] == list(range(1, 21))
    assert [name for _, name in order if jobs.owns("job_1", name)] == [order[-1][1]]


def test_waiting_and_position(jobs: Jobs) -> None:
    rows = [a_job(f"job_{n}", created_at=1000.0 + n // 2) for n in range(4)]
    add(jobs, *reversed(rows))
    assert [jobs.position(job) for job in rows] == [1, 2, 3, 4]
    jobs.claim("job_0", "a", now=1)
    assert [jobs.position(job) for job in rows[1:]] == [1, 2, 3]
    with jobs.transaction() as transaction:
        assert jobs.waiting(transaction)
    for job in rows[1:]:
        jobs.claim(job.id, "a", now=1)
    with jobs.transaction() as transaction:
        assert not jobs.waiting(transaction)


def test_lately(jobs: Jobs) -> None:
    add(jobs, *(a_job(f"job_{n}", created_at=1000.0 + n) for n in range(4)))
    for number in (2, 0, 1):
        job, _ = jobs.claim(f"job_{number}", "a", now=1010.0) or (None, 0)
        assert job
        state = State.FAILED if number == 1 else State.DONE
        assert settle(jobs, replace(ended(job, state), finished_at=1020.0 - number))
    assert [job.id for job in jobs.lately()] == ["job_0", "job_2"]


def test_a_list_has_no_expired_ones(jobs: Jobs) -> None:
    add(jobs, a_job("old", expires_at=20.0), a_job("new", expires_at=20.1))
    found = jobs.list("key_1", state=None, limit=10, before=None, now=20.0)
    assert [job.id for job in found] == ["new"]


def test_unfinished_and_expired(jobs: Jobs) -> None:
    add(
        jobs,
        a_job("old", created_at=10.0, expires_at=20.0),
        a_job("ended", created_at=11.0, expires_at=30.0),
        a_job("run", created_at=12.0, expires_at=40.0),
        a_job("new", created_at=50.0, expires_at=60.0),
    )
    jobs.claim("run", "a", now=1)
    settle(jobs, ended(a_job("ended"), State.CANCELLED))
    assert [job.id for job in jobs.unfinished(before=50.0)] == ["old", "run"]
    assert [job.id for job in jobs.expired(now=29.9)] == []
    assert [job.id for job in jobs.expired(now=99.0)] == ["ended"]
    assert [job.id for job in jobs.late(by=39.9)] == ["old"]
    assert [job.id for job in jobs.late(by=40.0)] == ["old", "run"]
    for _ in range(2):
        jobs.remove("old")
    assert jobs.get("old") is None
    assert jobs.claim("old", "a", now=1) is None
    assert not settle(jobs, ended(a_job("old"), State.CANCELLED))
