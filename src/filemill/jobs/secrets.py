"""Signing secrets, kept in the database so that every host signs alike."""

from __future__ import annotations

import secrets
from contextlib import suppress

import sqlalchemy as sa

from filemill.jobs.database import Database
from filemill.jobs.tables import SECRETS

_C = SECRETS.c


class Secrets:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, purpose: str) -> list[bytes]:
        """Newest first; the first is made when there is none yet."""
        query = sa.select(_C.value).where(_C.purpose == purpose).order_by(_C.created_at.desc())
        while True:
            with self._database.engine.connect() as connection:
                if values := list(connection.execute(query).scalars()):
                    return [value.encode() for value in values]
            # All that find none make the same row: one of them wins, the others read it.
            row = {"purpose": purpose, "created_at": 0, "value": secrets.token_hex(32)}
            with suppress(sa.exc.IntegrityError), self._database.transaction() as transaction:
                transaction.execute(SECRETS.insert().values(**row))
