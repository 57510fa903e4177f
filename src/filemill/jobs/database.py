"""Opening the database, and its transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from filemill.jobs.schema import bring

AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
"""What is raised while the database does not answer, or none of its connections is free."""
Transaction = sa.Connection
"""One open transaction; the core passes it on without looking inside."""


class Database:
    """One connection pool, shared with the durable engine so that a job's row and its
    workflow can be written in one transaction."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        with self.transaction() as transaction:
            bring(transaction)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[Transaction]:
        """Commits at the end, rolls back on an exception. What a `lasting` one commits survives a
        power cut, as all does on PostgreSQL; another is quicker and survives a crash of ours.

        On SQLite it holds the write lock from the start: what it reads stays true until it
        commits, and it cannot fail half-way because another wrote meanwhile."""
        with self.engine.begin() as connection:
            if self.is_sqlite:
                if lasting:
                    connection.exec_driver_sql("PRAGMA synchronous=FULL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """What it reads is of one moment; it waits for no writer, and none for it."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN DEFERRED")
            else:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    def ping(self) -> None:
        """Raises SQLAlchemyError when it does not answer."""
        with self.engine.connect() as connection:
            connection.execute(sa.select(1))

    def close(self) -> None:
        self.engine.dispose()


def upsert(transaction: Transaction, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that takes `on_conflict_do_update`, which both databases have."""
    if transaction.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_size=10, pool_pre_ping=True
        )
    engine = sa.create_engine(parsed, pool_size=20, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The durable engine's own transactions: the write lock at the first write, not later.
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        _use_wal(connection)

    @sa.event.listens_for(engine, "checkout")
    def _relax(connection: Any, _record: Any, _proxy: Any) -> None:
        # Enough for the durable engine: a run that is not on record any more is adopted.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _use_wal(connection: Any) -> None:
    """SQLite does not wait for others who do the same to a new database, whatever its timeout."""
    give_up = time.monotonic() + 30
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return
