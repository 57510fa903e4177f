from __future__ import annotations

from collections.abc import Iterator

import pytest

from filemill.jobs.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty one, on SQLite and on PostgreSQL."""
    database = Database(database_url)
    yield database
    database.close()
