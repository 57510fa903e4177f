"""What is on the disk when a transaction has ended, on SQLite: PostgreSQL is as its host set it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from filemill.jobs.database import Database

NORMAL, FULL = 1, 2
"""Values of SQLite's `PRAGMA synchronous`; in WAL mode only FULL waits for the disk."""


def synchronous(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def test_only_what_must_last_waits_for_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    try:
        for _ in range(2):  # the same connection each time
            with database.transaction() as transaction:
                assert synchronous(transaction) == FULL
            with database.transaction(lasting=False) as transaction:
                assert synchronous(transaction) == NORMAL
            with database.engine.connect() as connection:  # as the durable engine's own
                assert synchronous(connection) == NORMAL
    finally:
        database.close()
