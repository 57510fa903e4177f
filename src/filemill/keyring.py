"""The API keys alone, for the command line: without all that serving takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filemill.jobs.database import Database
from filemill.jobs.keys import Keys
from filemill.settings import Settings


@contextmanager
def open_keys() -> Iterator[Keys]:
    """The keys of the database that the settings name, which is made where there is none."""
    settings = Settings()
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    try:
        yield Keys(database, settings.key_plans)
    finally:
        database.close()
