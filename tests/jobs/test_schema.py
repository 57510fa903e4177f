"""A database of any version becomes one of the newest, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from filemill.errors import ServiceUnavailable
from filemill.jobs.database import Database
from filemill.jobs.deliveries import Deliveries
from filemill.jobs.jobs import Jobs
from filemill.jobs.lines import Lines
from filemill.jobs.schema import STEPS, Step, bring
from filemill.jobs.tables import JOBS, METADATA
from jobs.test_jobs import a_job, add

FIRST = (Path(__file__).parent / "schema_1.sql").read_text()
COLOUR = Step("jobs have a colour", ("ALTER TABLE jobs ADD COLUMN colour TEXT",))
RED = Step(
    "a red one, and an index",
    ("UPDATE jobs SET colour = 'red'", "CREATE INDEX jobs_by_colour ON jobs (colour)"),
)
BROKEN = Step("broken", ("UPDATE jobs SET colour = 'blue'", "UPDATE nothing SET x = 1"))


@pytest.fixture
def first(database: Database) -> Database:
    """As release 0.1.0 made it, with a job."""
    with database.transaction() as transaction:
        METADATA.drop_all(transaction)
        script = FIRST.replace("DOUBLE PRECISION", "DOUBLE") if database.is_sqlite else FIRST
        for statement in script.split(";\n"):
            if statement.strip():
                transaction.exec_driver_sql(statement)
        transaction.exec_driver_sql(
            "INSERT INTO jobs (id, key_id, state, plan, filename, input, created_at, expires_at,"
            " turn, held, progress_pct, attempts, base_url) VALUES ('job_old', 'key_1', 'queued',"
            """ '{"source": "png", "target": "jpg", "steps": [{"engine": "vips", "source": "png","""
            """ "target": "jpg", "options": {"quality": 80}, "cost": 1.0}], "losses": [],"""
            """ "notes": [], "wish": null}', 'ü.png',"""
            """ '{"key": "jobs/job_old/in", "size": 5, "sha256": "ab"}', 1000.5, 2000,"""
            " 1, false, 0, 0, 'http://a')"
        )
    return database


def shape(database: Database) -> dict[str, Any]:
    """Everything about the tables but the order of columns, which steps cannot choose."""
    seen = sa.inspect(database.engine)
    return {
        name: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"])
                for column in seen.get_columns(name)
            },
            "key": seen.get_pk_constraint(name)["constrained_columns"],
            "links": [
                (key["constrained_columns"], key["referred_table"], key["options"])
                for key in seen.get_foreign_keys(name)
            ],
            "indexes": {
                (index["name"], *index["column_names"], bool(index["unique"]))
                for index in seen.get_indexes(name)
            },
        }
        for name in seen.get_table_names()
    }


def plans(database: Database, ask: Callable[[], object]) -> str:
    """How SQLite goes about the queries that `ask` makes."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _d: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    ask()
    sa.event.remove(database.engine, "before_cursor_execute", note)
    with database.engine.connect() as connection:
        rows = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", of) for text, of in seen]
        return "\n".join(row[-1] for found in rows for row in found)


def version(database: Database) -> int:
    with database.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar_one())


def test_from_the_first_version_to_this_one(first: Database) -> None:
    """Fails when `tables` was changed without a step: append one to `schema.STEPS`."""
    with first.transaction() as transaction:
        bring(transaction)
    led, job = shape(first), Jobs(first).get("job_old")
    assert job
    assert (job.filename, job.created_at, job.plan.steps[0].engine) == ("ü.png", 1000.5, "vips")
    assert version(first) == 1 + len(STEPS)
    with first.transaction() as transaction:
        METADATA.drop_all(transaction)
        bring(transaction)
    assert led == shape(first)
    assert version(first) == 1 + len(STEPS)


def test_steps_go_in_order_from_where_the_database_is(first: Database) -> None:
    for steps in ((COLOUR,), (COLOUR, RED), (COLOUR, RED)):
        with first.transaction() as transaction:
            bring(transaction, steps)
    assert version(first) == 3
    with first.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT colour FROM jobs").scalars().all() == ["red"]


def test_a_database_from_before_versions_were_kept(first: Database) -> None:
    with first.transaction() as transaction:
        transaction.exec_driver_sql("DROP TABLE schema_version")
        bring(transaction, (COLOUR,))
    assert version(first) == 2
    assert "colour" in shape(first)["jobs"]["columns"]


def test_a_new_database_is_of_the_newest_version(database: Database) -> None:
    with database.transaction() as transaction:
        METADATA.drop_all(transaction)
        bring(transaction, (COLOUR, RED))  # its tables are those of now: no step is made
    assert version(database) == 3
    add(Jobs(database), a_job())


def test_a_step_that_fails_leaves_everything_as_it_was(first: Database) -> None:
    before = shape(first)
    with pytest.raises(sa.exc.DBAPIError), first.transaction() as transaction:
        bring(transaction, (COLOUR, BROKEN))
    assert shape(first) == before
    assert version(first) == 1


def test_hosts_that_start_at_once_make_a_step_once(first: Database) -> None:
    def start(_: int) -> None:
        with first.transaction() as transaction:
            bring(transaction, (COLOUR, RED))  # a second COLOUR would fail

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    assert version(first) == 3


def test_a_newer_database_is_refused(database_url: str, database: Database) -> None:
    add(Jobs(database), a_job())
    with database.transaction() as transaction:
        transaction.exec_driver_sql("UPDATE schema_version SET version = version + 1")
    with pytest.raises(ServiceUnavailable, match=f"version {2 + len(STEPS)}; this"):
        Database(database_url)
    with database.engine.connect() as connection:
        assert connection.execute(sa.select(JOBS.c.id)).scalars().all() == ["job_1"]


def test_what_is_asked_again_and_again_has_its_index(tmp_path: Path) -> None:
    """Else each round of the sweeper, each plan and each refusal reads all jobs or deliveries."""
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    jobs, lines, deliveries = Jobs(database), Lines(), Deliveries(database)
    with database.transaction() as transaction:
        asked = {
            "jobs_by_expiry": lambda: jobs.expired(now=1),
            "jobs_by_end": jobs.lately,
            "jobs_by_end ": lambda: lines.ended_since(transaction, 1, None),
            "jobs_of_key_by_end": lambda: lines.ended_since(transaction, 1, "key_1"),
            "deliveries_due": lambda: deliveries.overdue(before=1),
        }
        for index, ask in asked.items():
            plan = plans(database, ask)
            assert plan.startswith("SEARCH"), plan
            assert f"INDEX {index.strip()} (" in plan, plan
            assert "\n" not in plan, plan  # in its order: none is read and then sorted
    database.close()
