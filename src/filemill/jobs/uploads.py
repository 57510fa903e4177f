"""The uploads table: files that arrive piece by piece, and who may write to them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from filemill.jobs.database import Database, Transaction
from filemill.jobs.tables import UPLOADS
from filemill.model import Blob, Incoming

_C = UPLOADS.c


class Uploads:
    """Implements `ports.uploads.Incomings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, incoming: Incoming) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(UPLOADS.insert().values(**_row(incoming)))

    def get(self, upload_id: str) -> Incoming | None:
        row = self._first(sa.select(UPLOADS).where(_C.id == upload_id))
        return _incoming(row) if row else None

    def open(self, key_id: str) -> int:
        """How many uploads a key has."""
        query = sa.select(sa.func.count()).select_from(UPLOADS).where(_C.key_id == key_id)
        with self._database.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def lock(self, upload_id: str, token: str, *, now: float, until: float) -> bool:
        """Take the lock, or renew it. False: somebody else holds it, or there is no upload."""
        free = sa.or_(_C.lock.is_(None), _C.lock == token, _C.locked_until <= now)
        update = UPLOADS.update().where(_C.id == upload_id, free)
        return self._changed(update.values(lock=token, locked_until=until))

    def unlock(self, upload_id: str, token: str) -> None:
        update = UPLOADS.update().where(_C.id == upload_id, _C.lock == token)
        self._changed(update.values(lock=None))

    def locked(self, upload_id: str, *, now: float) -> bool:
        held = sa.and_(_C.id == upload_id, _C.lock.is_not(None), _C.locked_until > now)
        return self._first(sa.select(_C.id).where(held)) is not None

    def unlock_all(self) -> None:
        """For the one process of a database, as it starts."""
        self._changed(UPLOADS.update().values(lock=None))

    def grow(self, incoming: Incoming, token: str) -> bool:
        """Write what has arrived, and the format, if `token` holds the lock."""
        row = _row(incoming)
        update = UPLOADS.update().where(_C.id == incoming.id, _C.lock == token)
        return self._changed(update.values(parts=row["parts"], format=row["format"]))

    def consume(self, transaction: Transaction, upload_id: str, token: str) -> bool:
        """Remove the upload, if `token` holds the lock."""
        removal = UPLOADS.delete().where(_C.id == upload_id, _C.lock == token)
        return transaction.execute(removal).rowcount == 1

    def remove(self, upload_id: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(UPLOADS.delete().where(_C.id == upload_id))

    def expired(self, *, now: float) -> Sequence[str]:
        return self._ids(_C.expires_at <= now)

    def existing(self, ids: Iterable[str]) -> Set[str]:
        """Those of `ids` that are on record."""
        return set(self._ids(_C.id.in_(list(ids))))

    def _ids(self, condition: sa.ColumnElement[bool]) -> Sequence[str]:
        with self._database.engine.connect() as connection:
            return list(connection.execute(sa.select(_C.id).where(condition)).scalars())

    def _first(self, query: sa.Select[Any]) -> Mapping[Any, Any] | None:
        with self._database.engine.connect() as connection:
            return connection.execute(query).mappings().first()

    def _changed(self, update: sa.Update) -> bool:
        with self._database.transaction() as transaction:
            return transaction.execute(update).rowcount == 1


def _row(incoming: Incoming) -> dict[str, Any]:
    row = {name: getattr(incoming, name) for name in Incoming.__dataclass_fields__}
    return row | {"parts": [asdict(part) for part in incoming.parts]}


def _incoming(row: Mapping[Any, Any]) -> Incoming:
    values = {name: row[name] for name in Incoming.__dataclass_fields__}
    return Incoming(**values | {"parts": tuple(Blob(**part) for part in row["parts"])})
