"""Counts of requests, by whom and by window of time."""

from __future__ import annotations

from filemill.jobs.database import Database, upsert
from filemill.jobs.tables import REQUEST_COUNTS

_C = REQUEST_COUNTS.c


class Counters:
    """Implements `ports.counters.Counters` and `ports.counters.Forgets`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, subject: str, start: int, end: int, count: int) -> int:
        with self._database.transaction(lasting=False) as transaction:
            add = upsert(transaction, REQUEST_COUNTS).values(
                subject=subject, start=start, ends_at=end, used=count
            )
            add = add.on_conflict_do_update(
                index_elements=[_C.subject, _C.start], set_={"used": _C.used + count}
            )
            return int(transaction.execute(add.returning(_C.used)).scalar_one())

    def forget(self, *, before: float) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(REQUEST_COUNTS.delete().where(_C.ends_at < before))
