"""Who waits for a slot, in which order; how much each key used; what was asked before."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from filemill.jobs.database import Database, Transaction, upsert
from filemill.jobs.jobs import job_of
from filemill.jobs.tables import IDEMPOTENCY, JOBS, KEYS, USAGE
from filemill.model import Job, State
from filemill.ports.lines import Standing

_C, _U, _I = JOBS.c, USAGE.c, IDEMPOTENCY.c
_ENDED = [state.value for state in State if state.terminal]
_QUEUED, _RUNNING = State.QUEUED.value, State.PROCESSING.value


class Lines:
    """Implements `ports.lines.Lines`."""

    def standing(self, transaction: Transaction, key_id: str) -> Standing:
        queued = _C.state == _QUEUED
        own = sa.select(
            sa.func.count().filter(queued),
            sa.func.count().filter(_C.held.is_(False)),
            sa.func.max(_C.turn),
        ).where(_C.key_id == key_id, _C.state.in_([_QUEUED, _RUNNING]))
        waiting, released, last = transaction.execute(own).one()
        count = sa.select(sa.func.count()).select_from(JOBS).where(queued)
        served = transaction.execute(
            sa.select(sa.func.max(_C.turn)).where(_C.state == _RUNNING)
        ).scalar()
        if served is None:
            served = transaction.execute(sa.select(sa.func.min(_C.turn)).where(queued)).scalar()
        return Standing(
            waiting=waiting,
            released=released,
            waiting_in_all=transaction.execute(count).scalar_one(),
            turn=max(served or 1, (last or 0) + 1),
        )

    def held(self, transaction: Transaction, key_id: str) -> int:
        query = sa.select(sa.func.count()).select_from(JOBS).where(*_held(key_id))
        return int(transaction.execute(query).scalar_one())

    def release(self, transaction: Transaction, key_id: str, count: int) -> Sequence[Job]:
        query = sa.select(_C.id).where(*_held(key_id)).order_by(_C.turn, _C.created_at, _C.id)
        ids = list(transaction.execute(query.limit(count)).scalars())
        update = JOBS.update().where(_C.id.in_(ids), _C.state == _QUEUED).values(held=False)
        rows = transaction.execute(update.returning(JOBS)).mappings() if ids else ()
        return sorted((job_of(row) for row in rows), key=lambda job: job.turn)

    def keys_with_held(self, transaction: Transaction) -> Sequence[str]:
        query = sa.select(_C.key_id).where(_C.state == _QUEUED, _C.held.is_(True)).distinct()
        return list(transaction.execute(query).scalars())

    def ended_since(
        self, transaction: Transaction, moment: float, key_id: str | None
    ) -> tuple[int, float]:
        whose = _C.state.in_(_ENDED) if key_id is None else _C.key_id == key_id  # as the indexes
        query = sa.select(sa.func.count(), sa.func.min(_C.finished_at))
        query = query.where(whose, _C.finished_at > moment)
        count, first = transaction.execute(query).one()
        return count, first or moment

    def plan_name(self, transaction: Transaction, key_id: str) -> str | None:
        name: str | None = transaction.execute(
            sa.select(KEYS.c.plan).where(KEYS.c.id == key_id)
        ).scalar()
        return name


def _held(key_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_C.key_id == key_id, _C.state == _QUEUED, _C.held.is_(True))


class Usage:
    """Implements `ports.lines.Usage`. One row a key: also what accepts and ends of its jobs
    lock."""

    def add(self, transaction: Transaction, key_id: str, month: str) -> int:
        row = upsert(transaction, USAGE).values(key_id=key_id, month=month, used=1)
        # The clock of a host that is still in the old month must not begin that one anew.
        newer = row.excluded.month > _U.month
        row = row.on_conflict_do_update(
            index_elements=[_U.key_id],
            set_={
                "used": sa.case((newer, 1), else_=_U.used + 1),
                "month": sa.case((newer, row.excluded.month), else_=_U.month),
            },
        )
        return int(transaction.execute(row.returning(_U.used)).scalar_one())

    def lock(self, transaction: Transaction, key_id: str) -> None:
        transaction.execute(USAGE.update().where(_U.key_id == key_id).values(used=_U.used))

    def give_back(self, transaction: Transaction, key_id: str, month: str) -> None:
        mine = (_U.key_id == key_id, _U.month == month, _U.used > 0)
        transaction.execute(USAGE.update().where(*mine).values(used=_U.used - 1))

    def used(self, transaction: Transaction, key_id: str, month: str) -> int:
        query = sa.select(_U.used).where(_U.key_id == key_id, _U.month == month)
        return int(transaction.execute(query).scalar() or 0)


class Idempotency:
    """Implements `ports.lines.Idempotency` and `ports.counters.Forgets`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        transaction: Transaction,
        key_id: str,
        token: str,
        fingerprint: str,
        job_id: str,
        *,
        now: float,
        expires_at: float,
    ) -> tuple[str, str]:
        row = {"fingerprint": fingerprint, "job_id": job_id, "expires_at": expires_at}
        add = upsert(transaction, IDEMPOTENCY).values(key_id=key_id, token=token, **row)
        add = add.on_conflict_do_update(
            index_elements=[_I.key_id, _I.token], set_=row, where=_I.expires_at <= now
        )
        transaction.execute(add)
        found = transaction.execute(
            sa.select(_I.fingerprint, _I.job_id).where(_I.key_id == key_id, _I.token == token)
        ).one()
        return found.fingerprint, found.job_id

    def knows(self, transaction: Transaction, key_id: str, token: str, *, now: float) -> bool:
        query = sa.select(_I.job_id).where(_I.key_id == key_id, _I.token == token)
        return transaction.execute(query.where(_I.expires_at > now)).first() is not None

    def drop(self, job_id: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(IDEMPOTENCY.delete().where(_I.job_id == job_id))

    def forget(self, *, before: float) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(IDEMPOTENCY.delete().where(_I.expires_at <= before))
