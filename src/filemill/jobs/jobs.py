"""The jobs table: every change of a job is one compare-and-set here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from filemill.jobs.database import AWAY, Database, Transaction
from filemill.jobs.tables import JOBS
from filemill.model import TRANSITIONS, Blob, Job, Plan, State

_C = JOBS.c
_OPEN = [state.value for state in State if not state.terminal]
_END = ("state", "finished_at", "output", "output_name", "media_type", "report", "error")


class Jobs:
    """Implements `ports.jobs.Jobs`."""

    away = AWAY

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[Transaction]:
        return self._database.transaction()

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._database.reading()

    def insert(self, transaction: Transaction, job: Job) -> None:
        transaction.execute(JOBS.insert().values(**_row(job)))

    def get(self, job_id: str) -> Job | None:
        with self._database.engine.connect() as connection:
            row = connection.execute(sa.select(JOBS).where(_C.id == job_id)).mappings().first()
        return job_of(row) if row else None

    def list(
        self,
        key_id: str,
        *,
        state: State | None,
        limit: int,
        before: tuple[float, str] | None,
        now: float,
    ) -> Sequence[Job]:
        query = sa.select(JOBS).where(_C.key_id == key_id, _C.expires_at > now)
        if state:
            query = query.where(_C.state == state.value)
        if before:
            query = query.where(
                sa.tuple_(_C.created_at, _C.id) < sa.tuple_(*map(sa.literal, before))
            )
        query = query.order_by(_C.created_at.desc(), _C.id.desc()).limit(limit)
        with self._database.engine.connect() as connection:
            return [job_of(row) for row in connection.execute(query).mappings()]

    def claim(self, job_id: str, attempt: str, *, now: float) -> tuple[Job, int] | None:
        update = (
            _from(State.PROCESSING)
            .where(_C.id == job_id)
            .values(
                state=State.PROCESSING.value,
                attempt=attempt,
                attempts=_C.attempts + 1,
                started_at=sa.func.coalesce(_C.started_at, now),
            )
            .returning(JOBS)
        )
        with self._database.transaction(lasting=False) as transaction:
            row = transaction.execute(update).mappings().first()
        return (job_of(row), row["attempts"]) if row else None

    def arrived(self, job: Job, attempt: str) -> bool:
        row = _row(job)
        update = JOBS.update().where(
            _C.id == job.id, _C.attempt == attempt, _C.state == State.PROCESSING.value
        )
        with self.transaction() as transaction:
            changed = transaction.execute(update.values(input=row["input"], plan=row["plan"]))
        return changed.rowcount == 1

    def progress(
        self, job_id: str, attempt: str, pct: int, *, ends_at: float | None = None
    ) -> bool:
        """Whether `attempt` still owns the job; its progress never goes back."""
        update = (
            JOBS.update()
            .where(_C.id == job_id, _C.attempt == attempt, _C.state == State.PROCESSING.value)
            .values(progress_pct=sa.case((_C.progress_pct > pct, _C.progress_pct), else_=pct))
        )
        if ends_at is not None:
            update = update.values(ends_at=ends_at)
        with self._database.transaction(lasting=False) as transaction:
            return transaction.execute(update).rowcount == 1

    def owns(self, job_id: str, attempt: str) -> bool:
        query = sa.select(sa.literal(1)).where(
            _C.id == job_id, _C.attempt == attempt, _C.state == State.PROCESSING.value
        )
        with self._database.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def settle(self, transaction: Transaction, job: Job, *, attempt: str | None) -> bool:
        # Only what an end says: `job` may be older than the row, and progress never goes back.
        row = _row(job)
        update = (
            _from(job.state)
            .where(_C.id == job.id)
            .values(
                **{name: row[name] for name in _END},
                progress_pct=sa.case(
                    (_C.progress_pct > job.progress_pct, _C.progress_pct), else_=job.progress_pct
                ),
            )
        )
        if attempt is not None:
            update = update.where(_C.attempt == attempt)
        return transaction.execute(update).rowcount == 1

    def remove(self, job_id: str) -> None:
        with self.transaction() as transaction:
            transaction.execute(JOBS.delete().where(_C.id == job_id))

    def waiting(self, transaction: Transaction) -> bool:
        waits = (_C.state == State.QUEUED.value, _C.held.is_(False))
        query = sa.select(sa.literal(1)).where(*waits).limit(1)
        return transaction.execute(query).first() is not None

    def position(self, job: Job) -> int:
        query = (
            sa.select(sa.func.count())
            .select_from(JOBS)
            .where(
                _C.state == State.QUEUED.value,
                sa.tuple_(_C.turn, _C.created_at, _C.id)
                < sa.tuple_(*map(sa.literal, (job.turn, job.created_at, job.id))),
            )
        )
        with self._database.engine.connect() as connection:
            return int(connection.execute(query).scalar_one()) + 1

    def unfinished(self, *, before: float) -> Sequence[Job]:
        return self._select(_C.state.in_(_OPEN), _C.created_at < before, _C.held.is_(False))

    def expired(self, *, now: float) -> Sequence[Job]:
        return self._select(_C.state.not_in(_OPEN), _C.expires_at <= now, first=_C.expires_at)

    def late(self, *, by: float) -> Sequence[Job]:
        return self._select(_C.state.in_(_OPEN), _C.expires_at <= by)

    def lately(self) -> Sequence[Job]:
        query = sa.select(JOBS).where(_C.state == State.DONE.value)
        query = query.order_by(_C.finished_at.desc()).limit(300)
        with self._database.engine.connect() as connection:
            return [job_of(row) for row in connection.execute(query).mappings()]

    def versions(self, ids: Iterable[str]) -> Mapping[str, tuple[str, int]]:
        query = sa.select(_C.id, _C.state, _C.progress_pct).where(_C.id.in_(list(ids)))
        with self._database.engine.connect() as connection:
            return {row.id: (row.state, row.progress_pct) for row in connection.execute(query)}

    def counts(self) -> Mapping[str, int]:
        """How many jobs there are in each state."""
        query = sa.select(_C.state, sa.func.count().label("jobs")).group_by(_C.state)
        with self._database.engine.connect() as connection:
            return {row.state: row.jobs for row in connection.execute(query)}

    def _select(
        self, *conditions: sa.ColumnElement[bool], first: sa.Column[float] = _C.created_at
    ) -> Sequence[Job]:
        query = sa.select(JOBS).where(*conditions).order_by(first).limit(500)
        with self._database.engine.connect() as connection:
            return [job_of(row) for row in connection.execute(query).mappings()]


def _from(state: State) -> sa.Update:
    """An update of jobs that may legally become `state`."""
    sources = [source.value for source, targets in TRANSITIONS.items() if state in targets]
    return JOBS.update().where(_C.state.in_(sources))


def _row(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in Job.__dataclass_fields__}
    return row | {
        "state": job.state.value,
        "plan": job.plan.to_json(),
        "input": asdict(job.input),
        "output": asdict(job.output) if job.output else None,
    }


def job_of(row: Mapping[Any, Any]) -> Job:
    values = {name: row[name] for name in Job.__dataclass_fields__}
    return Job(
        **values
        | {
            "state": State(row["state"]),
            "plan": Plan.from_json(row["plan"]),
            "input": Blob(**row["input"]),
            "output": Blob(**row["output"]) if row["output"] else None,
        }
    )
