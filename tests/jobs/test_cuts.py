"""One contract for the tables of steps in parts, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from filemill.jobs.cuts import Cuts
from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.jobs.tables import CUTS, PARTS
from filemill.model import Blob, Cut, Facts, Piece, State
from jobs.test_jobs import a_job, add

T = TypeVar("T")
BLOB = Blob("jobs/job_1/parts/1-0000-a.webm", 5, "ab" * 32)
FACTS = {"frames": 30, "duration": 1.001}
EARLIER = {"blob": {"key": "jobs/job_1/a-0.pdf", "size": 3, "sha256": "cd"}, "format": "pdf"}


class Table:
    """The real tables with one job that is being done; each change a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs, self.cuts = Jobs(database), Cuts(database)
        add(self.jobs, a_job())
        assert self.jobs.claim("job_1", "run", now=1001.0)

    def open(self, cut: Cut, *, base: float = 0.2, span: float = 0.5) -> bool:
        with self.jobs.transaction() as transaction:
            return self.cuts.open(transaction, cut, base=base, span=span)

    def claim(self, number: int, attempt: str, step: int = 1) -> int | None:
        return self.cuts.claim("job_1", step, number, attempt)

    def owns(self, number: int, attempt: str) -> bool:
        return self.cuts.owns("job_1", 1, number, attempt)

    def tell(
        self, number: int, attempt: str, fraction: float, ends_at: float | None = None
    ) -> tuple[float, int] | None:
        return self.cuts.tell("job_1", 1, number, attempt, fraction, ends_at)

    def finish(self, number: int, attempt: str, step: int = 1) -> int | None:
        with self.jobs.transaction() as transaction:
            return self.cuts.finish(
                transaction, "job_1", step, number, attempt, blob=BLOB, facts=FACTS
            )

    def give_up(self) -> bool:
        with self.jobs.transaction() as transaction:
            return self.cuts.give_up(transaction, "job_1", 1)

    def end(self, state: State) -> None:
        job = self.jobs.get("job_1")
        assert job
        with self.jobs.transaction() as transaction:
            assert self.jobs.settle(
                transaction, replace(job, state=state, finished_at=1500.0), attempt=None
            )

    def progress(self) -> int:
        job = self.jobs.get("job_1")
        assert job
        return job.progress_pct

    def count(self, table: sa.Table) -> int:
        with self.database.engine.connect() as connection:
            query = sa.select(sa.func.count()).select_from(table)
            return int(connection.execute(query).scalar_one())


@pytest.fixture
def table(database_url: str) -> Iterator[Table]:
    database = Database(database_url)
    yield Table(database)
    database.close()


def a_cut(*weights: float, **values: Any) -> Cut:
    pieces = tuple(Piece(number, weight) for number, weight in enumerate(weights or (1.0, 1.0)))
    defaults: dict[str, Any] = {
        "step": 1,
        "grain": 0.1,
        "facts": Facts("mp4", 9, rate="30000/1001"),
    }
    return Cut("job_1", **defaults | {"earlier": (EARLIER,), "pieces": pieces} | values)


def at_once(work: Callable[[int], T], count: int) -> list[T]:
    """What `work(n)` gives, all n in threads that begin together."""
    barrier = Barrier(count)

    def together(number: int) -> T:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(together, range(count)))


def test_what_is_opened_is_found(table: Table) -> None:
    assert table.cuts.find("job_1") is None
    cut = a_cut(1.0, 0.3)
    assert table.open(cut)
    assert table.cuts.find("job_1") == cut
    assert not cut.complete
    assert table.cuts.find("job_2") is None


def test_the_last_step_that_was_cut_is_found(table: Table) -> None:
    assert table.open(a_cut(step=2))
    assert table.open(a_cut(step=1))
    found = table.cuts.find("job_1")
    assert found is not None
    assert found.step == 2


def test_opened_twice_is_opened_once(table: Table) -> None:
    assert table.open(a_cut())
    assert table.claim(0, "a") == 1
    assert table.finish(0, "a") == 1
    before = table.cuts.find("job_1")
    assert not table.open(a_cut(1.0, 1.0, 1.0, grain=9.0)), "what is done stays done"
    assert table.cuts.find("job_1") == before


def test_of_many_that_open_at_once_one_does(table: Table) -> None:
    assert sorted(at_once(lambda _: table.open(a_cut()), 8)) == [False] * 7 + [True]
    assert table.count(PARTS) == 2


def test_nothing_of_a_rolled_back_transaction(table: Table) -> None:
    with suppress(ZeroDivisionError), table.jobs.transaction() as transaction:
        assert table.cuts.open(transaction, a_cut(), base=0.0, span=1.0)
        raise ZeroDivisionError
    assert table.cuts.find("job_1") is None
    assert table.count(PARTS) == 0


def test_a_run_that_cut_its_step_was_none_that_took_the_process_down(table: Table) -> None:
    claimed = table.jobs.claim("job_1", "run", now=1002.0)
    assert claimed is not None
    assert claimed[1] == 2
    assert table.open(a_cut())
    claimed = table.jobs.claim("job_1", "run", now=1003.0)
    assert claimed is not None
    assert claimed[1] == 1


def test_the_last_to_claim_owns(table: Table) -> None:
    table.open(a_cut())
    assert table.claim(0, "a") == 1
    assert table.owns(0, "a")
    assert not table.owns(1, "a")
    assert table.claim(0, "b") == 2
    assert not table.owns(0, "a")
    assert table.tell(0, "a", 0.5) is None
    assert table.finish(0, "a") is None
    assert table.owns(0, "b")
    assert table.finish(0, "b") == 1
    assert table.claim(2, "a") is None, "there is no such part"


def test_of_many_that_claim_at_once_one_owns(table: Table) -> None:
    table.open(a_cut())
    assert sorted(at_once(lambda n: table.claim(0, f"t{n}") or 0, 8)) == list(range(1, 9))
    assert sum(table.owns(0, f"t{n}") for n in range(8)) == 1


def test_a_part_that_is_done_stays_done(table: Table) -> None:
    table.open(a_cut())
    table.claim(0, "a")
    assert table.finish(0, "a") == 1
    assert table.finish(0, "a") is None, "counted once"
    assert table.claim(0, "b") is None
    assert not table.owns(0, "a")
    assert table.tell(0, "a", 0.1) is None
    found = table.cuts.find("job_1")
    assert found is not None
    assert found.pieces == (
        Piece(0, 1.0, blob=BLOB, facts=FACTS),
        Piece(1, 1.0),
    )
    assert not found.complete
    table.claim(1, "a")
    assert table.finish(1, "a") == 0
    found = table.cuts.find("job_1")
    assert found is not None
    assert found.complete


def test_a_finish_that_was_rolled_back_is_none(table: Table) -> None:
    table.open(a_cut())
    table.claim(0, "a")
    with suppress(ZeroDivisionError), table.jobs.transaction() as transaction:
        table.cuts.finish(transaction, "job_1", 1, 0, "a", blob=BLOB, facts=FACTS)
        raise ZeroDivisionError
    assert table.finish(0, "a") == 1


def test_of_many_that_finish_at_once_one_is_the_last(table: Table) -> None:
    count = 16
    table.open(a_cut(*[1.0] * count))
    for number in range(count):
        table.claim(number, f"t{number}")
    left = at_once(lambda n: table.finish(n, f"t{n}"), count)
    assert sorted(each for each in left if each is not None) == list(range(count))
    assert table.progress() == 70, "0.2 + 0.5 of all"


def test_one_part_that_is_finished_again_and_again_at_once_counts_once(table: Table) -> None:
    table.open(a_cut(1.0, 1.0, 1.0))
    table.claim(0, "a")
    left = at_once(lambda _: table.finish(0, "a"), 8)
    assert [each for each in left if each is not None] == [2]


def test_progress_is_of_all_parts_by_weight_and_never_goes_back(table: Table) -> None:
    table.open(a_cut(3.0, 1.0))
    table.claim(0, "a")
    table.claim(1, "b")
    assert table.tell(0, "a", 0.5, 1234.5) == (pytest.approx(0.2 + 0.5 * 0.375), 1)
    job = table.jobs.get("job_1")
    assert job is not None
    assert (job.progress_pct, job.ends_at) == (38, 1234.5)
    assert table.tell(1, "b", 0.5) == (pytest.approx(0.2 + 0.5 * 0.5), 2)
    assert table.progress() == 45
    job = table.jobs.get("job_1")
    assert job is not None
    assert job.ends_at == 1234.5, "what is not said is not unsaid"
    assert table.claim(0, "c") == 2, "begun anew: what was done of it is lost"
    assert table.tell(0, "c", 0.1) == (pytest.approx(0.2 + 0.5 * 0.2), 2)
    assert table.progress() == 45
    assert table.finish(0, "c") == 1
    assert table.progress() == 63
    assert table.tell(1, "b", 0.6) == (pytest.approx(0.2 + 0.5 * 0.9), 1)
    assert table.progress() == 65


def test_many_that_tell_at_once(table: Table) -> None:
    count = 8
    table.open(a_cut(*[1.0] * count))
    seen = []

    def work(number: int) -> None:
        table.claim(number, "a")
        for percent in range(10, 100, 30):
            assert table.tell(number, "a", percent / 100)
            seen.append((number, table.progress()))

    at_once(work, count)
    for number in range(count):
        mine = [pct for teller, pct in seen if teller == number]
        assert mine == sorted(mine)
    assert table.tell(0, "a", 0.7) == (pytest.approx(0.2 + 0.5 * 0.7), count)
    assert table.progress() == 55


def test_given_up_once_and_then_no_part_is_wanted(table: Table) -> None:
    table.open(a_cut(1.0, 1.0, 1.0))
    table.claim(0, "a")
    table.claim(1, "b")
    assert table.finish(0, "a") == 2
    assert sorted(at_once(lambda _: table.give_up(), 4)) == [False] * 3 + [True]
    found = table.cuts.find("job_1")
    assert found is not None
    assert found.whole
    assert not table.owns(1, "b")
    assert table.tell(1, "b", 0.5) is None
    assert table.finish(1, "b") is None
    assert table.claim(2, "c") is None


def test_what_is_done_is_not_given_up(table: Table) -> None:
    table.open(a_cut())
    for number in range(2):
        table.claim(number, "a")
        table.finish(number, "a")
    assert not table.give_up()
    found = table.cuts.find("job_1")
    assert found is not None
    assert not found.whole


def test_the_first_outcome_stays(table: Table) -> None:
    table.open(a_cut())
    table.open(a_cut(step=0))
    table.cuts.close("job_1", 1, {"format": "webm", "blob": {"size": 2**63}})
    table.cuts.close("job_1", 1, {"format": "mp4"})
    found = table.cuts.find("job_1")
    assert found is not None
    assert found.outcome == {"format": "webm", "blob": {"size": 2**63}}
    with table.database.engine.connect() as connection:
        other = connection.execute(sa.select(CUTS.c.outcome).where(CUTS.c.step == 0))
        assert other.scalar_one() is None


@pytest.mark.parametrize("state", [State.CANCELLED, State.FAILED])
def test_a_job_that_has_ended_wants_no_part(table: Table, state: State) -> None:
    table.open(a_cut())
    table.claim(0, "a")
    table.tell(0, "a", 0.5)
    table.end(state)
    before = table.progress()
    assert not table.owns(0, "a")
    assert table.tell(0, "a", 0.9) is None
    assert table.finish(0, "a") is None
    assert table.claim(1, "b") is None
    assert table.progress() == before


def test_they_go_with_their_job(table: Table) -> None:
    add(table.jobs, a_job("job_2"))
    table.open(a_cut(1.0, 1.0, 1.0))
    table.open(replace(a_cut(), job_id="job_2"))
    table.claim(0, "a")
    table.jobs.remove("job_1")
    assert table.cuts.find("job_1") is None
    assert (table.count(CUTS), table.count(PARTS)) == (1, 2), "the other job's"
    assert table.claim(0, "b") is None
    assert not table.owns(0, "a")
    assert table.tell(0, "a", 0.5) is None
    assert table.finish(0, "a") is None
