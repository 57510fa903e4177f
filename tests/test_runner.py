"""Runs and the sweeper on real tables and a real folder; only the engine is the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from filemill import lease as module
from filemill.admission import Admission
from filemill.blobs import DiskBlobs
from filemill.conversion import Converter
from filemill.courier import LOST_AFTER, Courier
from filemill.engine import Call, Engine, Exit, Limits, Route, Task, Work
from filemill.errors import BadRequest, EngineError, FileInvalid, FilemillError
from filemill.jobs.cuts import Cuts
from filemill.jobs.database import Database, Transaction
from filemill.jobs.deliveries import Deliveries, WebhookSecrets
from filemill.jobs.jobs import Jobs
from filemill.jobs.lines import Lines, Usage
from filemill.lease import Lease
from filemill.model import Delivery, DeliveryState, Facts, Job, Plan, State, Step
from filemill.parts import Parts
from filemill.plans import PLANS
from filemill.ports.remote import Reply
from filemill.runner import MAX_ATTEMPTS, Runner
from filemill.settlement import Settlement
from filemill.sweeper import Sweeper
from sessions import Sessions

Acts = Callable[[Path, Callable[[], bool], Callable[[float], None]], None]


class Killed(BaseException):
    """The process ends here: nothing after it is done."""


class Flaky(Jobs):
    """A database that does not answer some times."""

    away_for = 0

    def _answer(self) -> None:
        if self.away_for:
            self.away_for -= 1
            raise OperationalError("SELECT 1", {}, ConnectionError("it is away"))

    def owns(self, job_id: str, attempt: str) -> bool:
        self._answer()
        return super().owns(job_id, attempt)

    def transaction(self) -> AbstractContextManager[Transaction]:
        self._answer()
        return super().transaction()


class Receivers:
    async def post(self, *_: object) -> Reply:
        return Reply(200, None, 0.1)


@dataclass
class Bench(Sessions):
    """A runner whose two-step plan md -> html -> txt does what the test says."""

    folder: Path
    jobs: Flaky
    deliveries: Deliveries
    blobs: DiskBlobs
    first: list[Acts] = field(default_factory=list)
    """What each try of the first step does; when there is no more, it succeeds."""
    second: list[Acts] = field(default_factory=list)
    tries: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def build(task: Task) -> Work:
            return Work((Call(task.target, {"output": task.output}),), (task.output,))

        engine = Engine("own", "Own", (Route("md", "html"), Route("html", "txt")), build)
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        converter = Converter(
            {"own": engine},
            self,  # type: ignore[arg-type]
            lambda kind, name: Call("probe", {"format": kind, "name": name}),
        )
        self.settlement = Settlement(
            self.jobs,
            self.deliveries,
            self,  # type: ignore[arg-type]
            Admission(PLANS, Lines(), Usage(), self, 1000),  # type: ignore[arg-type]
            self.changes.append,
        )
        self.courier = Courier(
            self.jobs,
            self.deliveries,
            WebhookSecrets(self.jobs._database),
            Receivers(),
            self,  # type: ignore[arg-type]
            link=lambda job: job.id,
            delays=(30.0,),
        )
        shared = (self.jobs, self.blobs, converter, self.scratch, self.settlement)
        parts = Parts(*shared, self.changes.append, Cuts(self.jobs._database), self, 15)  # type: ignore[arg-type]
        nowhere: Any = None  # no job has a file elsewhere
        self.runner = Runner(*shared, self.changes.append, parts, nowhere)
        self.posted: list[Delivery] = []
        self.underway: set[str] = set()

    def post(self, _transaction: object, delivery: Delivery, **_: object) -> None:
        """The queue of deliveries."""
        self.posted.append(delivery)

    def under_way(self, deliveries: Sequence[Delivery]) -> set[str]:
        return {delivery.id for delivery in deliveries} & self.underway

    def run(
        self,
        process: Call,
        *,
        directory: Path,
        limits: Limits,
        report: Callable[[float], None],
        stopped: Callable[[], bool],
    ) -> Exit:
        """The sandbox."""
        if process.function == "probe":
            format, name = process.arguments["format"], process.arguments["name"]
            return Exit(0, value=Facts(format, (directory / name).stat().st_size).to_json())
        self.tries.append(process.function)
        acts = self.first if process.function == "html" else self.second
        (directory / process.arguments["output"]).write_text(f"a result {len(self.tries)}")
        try:
            if acts:
                acts.pop(0)(directory, stopped, report)
        except FilemillError as error:
            return Exit(1, error=error.to_json())
        return Exit(-9, killed="cancelled") if stopped() else Exit(0)

    def add(self, job_id: str = "job_1", **values: Any) -> Job:
        key = f"jobs/{job_id}/in"
        path = self.folder / "upload"
        path.write_text("# hello")
        blob = self.blobs.store(path, key, filename="a.md", media_type="text/markdown")
        plan = Plan(
            "md", "txt", (Step("own", "md", "html"), Step("own", "html", "txt")), ("looks",)
        )
        now = time.time()
        defaults = {"created_at": now, "expires_at": now + 100}
        job = Job(job_id, "k", State.QUEUED, plan, "a.md", blob, **(defaults | values))
        with self.jobs.transaction() as transaction:
            self.jobs.insert(transaction, job)
        return job

    def get(self, job_id: str = "job_1") -> Job:
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def end(self, state: State) -> None:
        with self.jobs.transaction() as transaction:
            assert self.jobs.settle(
                transaction, replace(self.get(), state=state, finished_at=1.0), attempt=None
            )

    def start(self, job_id: str = "job_1", memory: dict[str, Any] | None = None) -> None:
        memory = {} if memory is None else memory

        def checkpoint(name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            if name not in memory:
                memory[name] = step()
            return dict(memory[name])

        self.runner.run(job_id, checkpoint)
        assert not list(self.scratch.iterdir()), "a private directory is left"

    def stored(self) -> list[str]:
        folder = self.folder / "blobs"
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(module, "WRITE_EVERY", 0.0)
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    monkeypatch.setattr(module, "PAUSES", (0.0,) * 3)
    return Bench(tmp_path, Flaky(database), Deliveries(database), DiskBlobs(tmp_path / "blobs"))


def raises(error: BaseException) -> Acts:
    def act(*_: object) -> None:
        raise error

    return act


def test_to_the_end(bench: Bench) -> None:
    bench.add()
    bench.start()
    job = bench.get()
    assert (job.state, job.progress_pct, job.output_name) == (State.DONE, 100, "a.txt")
    assert job.output is not None
    assert (bench.folder / "blobs" / job.output.key).read_text() == "a result 2"
    assert job.media_type == "text/plain"
    assert job.report is not None
    assert [step["engine"] for step in job.report["steps"]] == ["own", "own"]
    assert job.report["losses"] == ["looks"]
    assert set(bench.changes) == {"job_1"}


def test_ended_job_is_left_alone(bench: Bench) -> None:
    bench.add()
    bench.end(State.CANCELLED)
    before = bench.get()
    bench.start()
    bench.start("none")
    assert bench.get() == before
    assert not bench.tries


def test_engine_gets_a_second_try(bench: Bench) -> None:
    bench.add()
    bench.first = [raises(EngineError("it fell over"))]
    bench.start()
    assert bench.get().state is State.DONE
    assert bench.tries == ["html", "html", "txt"]


def test_but_no_third(bench: Bench) -> None:
    bench.add()
    bench.first = [raises(EngineError("it fell over"))] * 2
    bench.start()
    job = bench.get()
    assert (job.state, job.output) == (State.FAILED, None)
    assert job.error == {"code": "engine_error", "message": "it fell over", "retryable": True}
    assert bench.tries == ["html", "html"]


def test_broken_file_is_tried_once(bench: Bench) -> None:
    bench.add()
    bench.first = [raises(FileInvalid("It is cut short.", hint="Send it again."))]
    bench.start()
    assert bench.get().error == {
        "code": "file_invalid",
        "message": "It is cut short.",
        "hint": "Send it again.",
        "retryable": False,
    }
    assert bench.tries == ["html"]


def test_what_nobody_thought_of_says_nothing_of_us(bench: Bench) -> None:
    bench.add()
    bench.first = [raises(ZeroDivisionError("/a/secret/path"))]
    bench.start()
    job = bench.get()
    assert job.state is State.FAILED
    assert "secret" not in str(job.error)


def test_cancel_reaches_the_engine(bench: Bench) -> None:
    bench.add()

    def cancel(_: Path, stopped: Callable[[], bool], __: object) -> None:
        assert not stopped()
        bench.end(State.CANCELLED)
        assert stopped()

    bench.first = [cancel]
    bench.start()
    assert bench.get().state is State.CANCELLED
    assert bench.tries == ["html"]
    assert bench.stored() == ["jobs/job_1/in"]


def test_run_that_lost_its_job_leaves_it_alone(bench: Bench) -> None:
    bench.add()

    def lose(_: Path, stopped: Callable[[], bool], __: object) -> None:
        bench.jobs.claim("job_1", "another", now=1)
        assert stopped()

    bench.second = [lose]
    bench.start()
    job = bench.get()
    assert (job.state, job.attempt, job.output, job.error) == (
        State.PROCESSING,
        "another",
        None,
        None,
    )


def test_run_that_lost_its_job_at_the_very_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last look, before the settle."""
    monkeypatch.setattr(module, "LOOK_EVERY", 1e9)
    bench.add()
    bench.second = [lambda *_: bench.jobs.claim("job_1", "another", now=1) and None]
    bench.start()
    assert (bench.get().state, bench.get().attempt) == (State.PROCESSING, "another")


@pytest.mark.parametrize("late", [False, True], ids=["noticed", "at the very end"])
def test_nothing_stays_of_a_job_that_was_removed_meanwhile(
    bench: Bench, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add()

    def remove(*_: object) -> None:
        if late:
            monkeypatch.setattr(module, "LOOK_EVERY", 1e9)
        bench.blobs.delete("jobs/job_1/in")
        bench.jobs.remove("job_1")

    bench.second = [remove]
    bench.start()
    assert bench.stored() == []


def test_killed_run_goes_on_where_it_was(bench: Bench) -> None:
    bench.add()
    bench.second = [raises(Killed())]
    memory: dict[str, Any] = {}
    with pytest.raises(Killed):
        bench.start(memory=memory)
    assert bench.get().state is State.PROCESSING
    bench.start(memory=memory)
    assert bench.get().state is State.DONE
    assert bench.tries == ["html", "txt", "txt"]


def test_file_that_takes_everything_down_is_given_up(bench: Bench) -> None:
    bench.add()
    bench.first = [raises(Killed())] * 10
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            bench.start()
    bench.start()
    job = bench.get()
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["code"] == "engine_error"
    assert len(bench.tries) == MAX_ATTEMPTS


def away(times: int) -> Acts:
    def act(_: Path, stopped: Callable[[], bool], report: Callable[[float], None]) -> None:
        bench = stopped.__self__.jobs  # type: ignore[attr-defined]
        bench.away_for = times
        report(0.5)
        assert not stopped()

    return act


@pytest.mark.parametrize("times", [1, 2, 4], ids=["at a look", "at two", "at the settle"])
def test_a_moment_without_the_database_costs_nothing(bench: Bench, times: int) -> None:
    bench.add()
    bench.second = [away(times)]
    bench.start()
    assert bench.jobs.away_for == 0
    assert bench.get().state is State.DONE
    assert bench.tries == ["html", "txt"]


def test_run_that_lost_the_database_says_nothing_of_its_job(bench: Bench) -> None:
    bench.add()
    bench.second = [away(1000)]
    with pytest.raises(OperationalError):
        bench.start()
    bench.jobs.away_for = 0
    assert bench.get().state is State.PROCESSING
    bench.start()
    assert bench.get().state is State.DONE


def test_progress_is_monotone_and_100_only_when_done(bench: Bench) -> None:
    seen: list[int] = []

    def work(_: Path, stopped: Callable[[], bool], report: Callable[[float], None]) -> None:
        for fraction in (0.1, 0.5, 0.3, -1.0, 0.9, 7.0):
            report(fraction)
            assert not stopped()
            seen.append(bench.get().progress_pct)

    bench.add()
    bench.first, bench.second = [work], [work]
    bench.start()
    assert seen == [5, 25, 25, 25, 45, 50, 55, 75, 75, 75, 95, 99]
    assert bench.get().progress_pct == 100


def test_lease_asks_only_now_and_then(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 1000.0)
    bench.add()
    bench.jobs.claim("job_1", "mine", now=1)
    lease = Lease(bench.jobs, "job_1", "mine", bench.changes.append)
    assert not lease.lost()
    bench.end(State.CANCELLED)
    assert not lease.lost(), "it asked again at once"
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)
    assert lease.lost()
    monkeypatch.setattr(module, "LOOK_EVERY", 1000.0)
    assert lease.lost(), "what is lost stays lost"


@dataclass
class Runs:
    """The queue as the sweeper sees it."""

    known: dict[str, bool] = field(default_factory=dict)
    forgotten: float = 0

    def adopt(self, job: Job) -> bool:
        return self.known.setdefault(job.id, True)

    def forget(self, *, before: float) -> None:
        self.forgotten = before


def sweep(bench: Bench, **changes: Any) -> None:
    sweeper = Sweeper(bench.jobs, bench.blobs, Runs(), bench.settlement, bench.courier, 10)  # type: ignore[arg-type]
    replace(sweeper, **changes).sweep()


def test_sweeper_removes_what_expired(bench: Bench) -> None:
    bench.add("ended", expires_at=time.time() - 1)
    bench.start("ended")
    bench.add("new")
    sweep(bench)
    assert bench.jobs.get("ended") is None
    assert bench.get("new").state is State.QUEUED
    assert bench.stored() == ["jobs/new/in"]


def test_sweeper_gets_through_any_number(bench: Bench) -> None:
    """More than one look at the table gives."""
    job, now = bench.add(), time.time()
    with bench.jobs.transaction() as transaction:
        for number in range(501):
            for kind, expires_at in (("late", now + 1), ("gone", now - 1)):
                row = replace(job, id=f"{kind}_{number}", expires_at=expires_at)
                bench.jobs.insert(transaction, row)
                if kind == "gone":
                    cancelled = replace(row, state=State.CANCELLED, finished_at=1.0)
                    assert bench.jobs.settle(transaction, cancelled, attempt=None)
    sweep(bench)
    assert bench.jobs.counts() == {"queued": 1, "failed": 501}


@pytest.mark.parametrize("left", [9, -1], ids=["in its grace", "after all hosts were down"])
def test_a_job_that_did_not_end_fails_before_it_goes(bench: Bench, left: float) -> None:
    now = time.time()
    bench.add("waits", expires_at=now + left, webhook_url="http://a/hook")
    bench.add("runs", expires_at=now + left)
    bench.jobs.claim("runs", "a", now=1)
    bench.add("has time", expires_at=now + 60)
    sweep(bench)
    for job_id in ("waits", "runs"):
        job = bench.get(job_id)
        assert job.state is State.FAILED
        assert job.error is not None
        assert job.error["code"] == "timeout"
    assert bench.get("has time").state is State.QUEUED
    ((delivery, _),) = bench.deliveries.of_job("waits")
    assert delivery.event == "job.failed"
    assert [posted.id for posted in bench.posted] == [delivery.id]


def test_sweeper_posts_a_lost_delivery_again(bench: Bench) -> None:
    bench.add(webhook_url="http://a/hook")
    bench.start()
    (first,) = bench.posted
    sweep(bench)
    assert bench.posted == [first], "it is due since now only"
    with bench.jobs.transaction() as transaction:
        assert bench.deliveries.postpone(transaction, first, time.time() - LOST_AFTER - 1)
    bench.underway = {first.id}
    sweep(bench)
    assert bench.posted == [first], "it only waits for its turn"
    bench.underway = set()
    for _ in range(2):
        sweep(bench)
    _, again = bench.posted
    assert (again.id, again.attempts) == (first.id, 0)
    assert again.next_at != first.next_at
    for delivery in bench.posted:  # both are made after all
        asyncio.run(bench.courier.deliver(delivery.id, delivery.attempts))
    ((delivery, attempts),) = bench.deliveries.of_job("job_1")
    assert delivery.state is DeliveryState.DELIVERED
    assert len(attempts) == 1


def test_sweeper_comes_back_for_what_it_could_not_remove(bench: Bench) -> None:
    bench.add("old", expires_at=time.time() - 1)
    bench.start("old")

    class Away(DiskBlobs):
        def delete(self, prefix: str) -> None:
            raise BadRequest("the store is away")

    with pytest.raises(BadRequest):
        sweep(bench, blobs=Away(bench.folder / "blobs"))
    sweep(bench)
    assert bench.stored() == []
    assert bench.jobs.get("old") is None


def test_sweeper_adopts_and_fails_what_nothing_runs(bench: Bench) -> None:
    now = time.time()
    runs = Runs({"lost": False})
    for job_id, age in (("lost", 60), ("waiting", 60), ("new", 0), ("done", 60)):
        bench.add(job_id, created_at=now - age)
    bench.start("done")
    sweep(bench, queue=runs)
    assert runs.known == {"lost": False, "waiting": True}
    states = {
        job_id: bench.get(job_id).state.value for job_id in ("lost", "waiting", "new", "done")
    }
    assert states == {"lost": "failed", "waiting": "queued", "new": "queued", "done": "done"}
    assert now - 3700 < runs.forgotten < now - 3500
