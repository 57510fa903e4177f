from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from filemill import watch as module
from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.model import ApiKey, Blob, Job, Plan, State, Step
from filemill.service import Service
from filemill.watch import Watch

LONG = 30.0
"""Seconds; a test that waits so long has failed."""


class Counted(Jobs):
    """The real table; counts the questions, and fails some when told to."""

    asked = 0
    failures = 0

    def versions(self, ids: Iterable[str]) -> Mapping[str, tuple[str, int]]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        return super().versions(ids)


@pytest.fixture
def jobs(tmp_path: Path) -> Counted:
    jobs = Counted(Database(f"sqlite:///{tmp_path / 'test.db'}"))
    plan = Plan("md", "txt", (Step("pandoc", "md", "txt"),))
    with jobs.transaction() as transaction:
        for n in range(200):
            blob = Blob("x", 1, "00")
            job = Job(f"job_{n}", "k", State.QUEUED, plan, "a.md", blob, 1.0, 1e12)
            jobs.insert(transaction, job)
    for n in range(200):
        jobs.claim(f"job_{n}", "a", now=1)
    return jobs


async def _is_told(changed: object, seconds: float = LONG) -> bool:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await changed(seconds)  # type: ignore[operator]
    return loop.time() - before < seconds


def test_change_in_this_process_is_told(jobs: Counted) -> None:
    async def main() -> None:
        watch = Watch(jobs)
        with watch.of("job_1") as changed:
            await _settled(watch, changed)
            threading.Timer(0.05, watch.changed, ["job_1"]).start()
            assert await _is_told(changed)

    asyncio.run(main())


def test_change_before_the_wait_is_not_lost(jobs: Counted) -> None:
    async def main() -> None:
        watch = Watch(jobs)
        with watch.of("job_1") as changed:
            await _settled(watch, changed)
            watch.changed("job_1")  # between the look and the wait
            await asyncio.sleep(0.05)
            assert await _is_told(changed)

    asyncio.run(main())


def test_change_of_another_host_is_found(jobs: Counted) -> None:
    async def main() -> None:
        watch = Watch(jobs)
        with watch.of("job_1") as changed:
            await _settled(watch, changed)
            jobs.progress("job_1", "a", 50)
            assert await _is_told(changed)
            jobs.remove("job_1")
            assert await _is_told(changed)

    asyncio.run(main())


@pytest.mark.parametrize("others", [False, True], ids=["first", "while others wait"])
def test_change_of_another_host_right_after_the_look(jobs: Counted, others: bool) -> None:
    """The job changes after its waiter looked, before the first question for it."""

    async def main() -> None:
        watch = Watch(jobs)
        with watch.of("job_2") as other:
            if others:
                await _settled(watch, other)
            with watch.of("job_1") as changed:
                job = jobs.get("job_1")
                assert job is not None
                jobs.progress("job_1", "a", 50)
                assert await _is_told(changed), "asked only for what it had seen before"

    asyncio.run(main())


def test_one_question_for_all(jobs: Counted) -> None:
    async def wait(watch: Watch, n: int) -> bool:
        with watch.of(f"job_{n}") as changed:
            await _settled(watch, changed)
            return await _is_told(changed)

    async def main() -> None:
        watch = Watch(jobs)
        waiters = [asyncio.create_task(wait(watch, n % 200)) for n in range(1000)]
        await asyncio.sleep(1.5)
        for n in range(200):
            jobs.progress(f"job_{n}", "a", 5)
        assert all(await asyncio.gather(*waiters))
        assert not watch._waiting
        # At most one each POLL, and not one a waiter.
        assert jobs.asked < 200

    asyncio.run(main())


def test_silence_ends_after_so_many_seconds_and_asks_no_more(
    jobs: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 0.01)

    async def main() -> None:
        watch = Watch(jobs)
        with watch.of("job_1") as changed:
            await _settled(watch, changed)
            assert not await _is_told(changed, 0.3)
        await asyncio.sleep(0.2)
        asked = jobs.asked
        await asyncio.sleep(0.2)
        assert jobs.asked == asked

    asyncio.run(main())


def test_failing_database_does_not_end_the_watch(jobs: Counted) -> None:
    async def main() -> None:
        watch = Watch(jobs)
        jobs.failures = 1
        with watch.of("job_1") as changed:
            await asyncio.sleep(0.1)
            jobs.progress("job_1", "a", 50)
            assert await _is_told(changed)

    asyncio.run(main())


def test_many_listeners_cost_as_much_as_one(jobs: Counted) -> None:
    """As server-sent events do: 50 follow one job, which is being done here."""
    key = ApiKey("k", "k", "unlimited", 1.0)
    statements: list[str] = []

    async def follow(service: Service) -> list[int]:
        return [job.progress_pct async for job in service.changes(key, "job_1") if job]

    async def main() -> None:
        watch = Watch(jobs)
        service = Service(jobs, *[None] * 6, watch, None, LONG)  # type: ignore[arg-type]
        sa.event.listen(
            jobs._database.engine,
            "before_cursor_execute",
            lambda _1, _2, statement, *_: statements.append(statement),
        )
        following = [asyncio.create_task(follow(service)) for _ in range(50)]
        await asyncio.sleep(0.5)
        for percent in range(10, 60, 10):
            jobs.progress("job_1", "a", percent)
            watch.changed("job_1")
            await asyncio.sleep(0.5)
        job = jobs.get("job_1")
        assert job is not None
        with jobs.transaction() as transaction:
            assert jobs.settle(
                transaction, replace(job, state=State.CANCELLED, finished_at=2.0), attempt=None
            )
        for seen in await asyncio.gather(*following):
            assert seen == [0, 10, 20, 30, 40, 50, 50]

    asyncio.run(main())
    reads = [statement for statement in statements if statement.startswith("SELECT")]
    # One question each POLL, and two looks at each change: this host and the question tell of it.
    assert len(reads) < 80


async def _settled(watch: Watch, changed: object) -> None:
    """Wait until the first question is over: it wakes everybody once."""
    assert await _is_told(changed)
