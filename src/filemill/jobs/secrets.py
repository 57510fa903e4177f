"""Signing secrets, kept in the database so that every host signs alike."""

from __future__ import annotations

import secrets
import time

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
        with self._database.transaction() as transaction:
            values = list(transaction.execute(query).scalars())
            if not values:
                values = [self._add(transaction, purpose)]
        return [value.encode() for value in values]

    def rotate(self, purpose: str) -> None:
        """Sign with a new secret from now on; the old ones stay valid."""
        with self._database.transaction() as transaction:
            self._add(transaction, purpose)

    def _add(self, transaction: sa.Connection, purpose: str) -> str:
        value = secrets.token_hex(32)
        transaction.execute(
            SECRETS.insert().values(purpose=purpose, created_at=time.time(), value=value)
        )
        return value
