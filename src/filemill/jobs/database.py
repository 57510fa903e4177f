"""Opening the database, and its transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from filemill.jobs.tables import METADATA

Transaction = sa.Connection
"""One open transaction; the core passes it on without looking inside."""


class Database:
    """One connection pool, shared with the durable engine so that a job's row and its
    workflow can be written in one transaction."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        METADATA.create_all(self.engine)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commits at the end, rolls back on an exception."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_size=10, pool_pre_ping=True
        )
    engine = sa.create_engine(parsed, pool_size=20, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # A transaction takes the write lock when it begins, so that it never fails half-way.
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "busy_timeout=30000",
            "foreign_keys=ON",
            "journal_mode=WAL",
            # An accepted job survives a power cut, not just a crash of the process.
            "synchronous=FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine
