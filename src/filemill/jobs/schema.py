"""The tables as they are now: in a new database at once, in an older one by steps, only forward.

To change a table: change `tables`, and append a step that does the same to a database that is
full. `tests/jobs/test_schema.py` fails until both ways lead to the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from filemill.errors import ServiceUnavailable
from filemill.jobs.tables import METADATA, SCHEMA_VERSION

log = logging.getLogger(__name__)

_LOCK = 0x66696C656D696C6C
"""Key of an advisory lock: "filemill" in ASCII."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one version to the next."""

    name: str
    statements: tuple[str, ...]
    """SQL that SQLite and PostgreSQL both know."""


STEPS: tuple[Step, ...] = (
    Step(
        "indexes for what ended lately and for webhooks that are due",
        (
            "DROP INDEX jobs_by_end",
            "CREATE INDEX jobs_by_end ON jobs (state, finished_at)",
            "CREATE INDEX jobs_of_key_by_end ON jobs (key_id, finished_at)",
            "CREATE INDEX deliveries_due ON deliveries (state, next_at)",
        ),
    ),
)
"""The first leads from version 1, that of release 0.1.0, to 2. What was released stays as it is."""


def bring(transaction: sa.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Bring the database to the newest version, or change nothing.

    Raises `ServiceUnavailable` when it is of a newer version already."""
    if transaction.dialect.name != "sqlite":  # two hosts may start at once
        transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    newest = 1 + len(steps)
    there = sa.inspect(transaction).get_table_names()
    if "jobs" not in there:
        METADATA.create_all(transaction)
        transaction.execute(SCHEMA_VERSION.insert().values(version=newest))
        return
    if SCHEMA_VERSION.name not in there:  # from before the first release
        SCHEMA_VERSION.create(transaction)
        transaction.execute(SCHEMA_VERSION.insert().values(version=1))
    version = transaction.execute(sa.select(SCHEMA_VERSION.c.version)).scalar_one()
    if version > newest:
        raise ServiceUnavailable(
            f"The database is of version {version}; this filemill knows versions up to {newest}.",
            hint="Start the newer filemill that has used it, or give this one another database.",
        )
    for step in steps[version - 1 :]:
        log.warning("the database changes: %s", step.name)
        for statement in step.statements:
            transaction.exec_driver_sql(statement)
    if version < newest:
        transaction.execute(SCHEMA_VERSION.update().values(version=newest))
