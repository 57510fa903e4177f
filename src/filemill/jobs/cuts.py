"""Steps that are done in parts, and those parts: the checkpoints of long work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from filemill.jobs.database import Database, Transaction, upsert
from filemill.jobs.tables import CUTS, JOBS, PARTS
from filemill.model import Blob, Cut, Facts, Piece, State

_C, _P, _J = CUTS.c, PARTS.c, JOBS.c


def _cut(job_id: str, step: int) -> sa.ColumnElement[bool]:
    return sa.and_(_C.job_id == job_id, _C.step == step)


def _part(job_id: str, step: int, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(_P.job_id == job_id, _P.step == step, _P.number == number)


def _mine(job_id: str, step: int, number: int, attempt: str) -> sa.ColumnElement[bool]:
    """The part is this attempt's, is not done, and its job still wants it."""
    return sa.and_(_part(job_id, step, number), _P.attempt == attempt, _wanted(job_id, step))


def _wanted(job_id: str, step: int) -> sa.ColumnElement[bool]:
    runs = sa.exists().where(_J.id == job_id, _J.state == State.PROCESSING.value)
    return sa.and_(
        _P.blob.is_(None), runs, sa.exists().where(_cut(job_id, step), _C.whole.is_(False))
    )


class Cuts:
    """Implements `ports.cuts.Cuts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, transaction: Transaction, cut: Cut, *, base: float, span: float) -> bool:
        row = upsert(transaction, CUTS).values(
            job_id=cut.job_id,
            step=cut.step,
            grain=cut.grain,
            facts=cut.facts.to_json(),
            earlier=list(cut.earlier),
            waiting=len(cut.pieces),
            whole=False,
            base=base,
            span=span,
        )
        # Not by `rowcount`: after an INSERT it is not told on PostgreSQL.
        if not transaction.execute(row.on_conflict_do_nothing().returning(_C.step)).all():
            return False
        transaction.execute(
            PARTS.insert(),
            [
                {
                    "job_id": cut.job_id,
                    "step": cut.step,
                    "number": piece.number,
                    "weight": piece.weight,
                }
                for piece in cut.pieces
            ],
        )
        # A run that came this far was none that took the process down.
        transaction.execute(JOBS.update().where(_J.id == cut.job_id).values(attempts=0))
        return True

    def find(self, job_id: str) -> Cut | None:
        query = sa.select(CUTS).where(_C.job_id == job_id).order_by(_C.step.desc()).limit(1)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            pieces = sa.select(PARTS).where(_P.job_id == job_id, _P.step == row["step"])
            found = connection.execute(pieces.order_by(_P.number)).mappings().all()
        return Cut(
            job_id=job_id,
            step=row["step"],
            grain=row["grain"],
            facts=Facts.from_json(row["facts"]),
            earlier=tuple(row["earlier"]),
            whole=row["whole"],
            outcome=row["outcome"],
            pieces=tuple(map(_piece, found)),
        )

    def claim(self, job_id: str, step: int, number: int, attempt: str) -> int | None:
        update = (
            PARTS.update()
            .where(_part(job_id, step, number), _wanted(job_id, step))
            .values(attempt=attempt, attempts=_P.attempts + 1, fraction=0.0)
            .returning(_P.attempts)
        )
        with self._database.transaction() as transaction:
            return transaction.execute(update).scalar()

    def owns(self, job_id: str, step: int, number: int, attempt: str) -> bool:
        query = sa.select(sa.literal(1)).where(_mine(job_id, step, number, attempt))
        with self._database.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def tell(
        self,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        fraction: float,
        ends_at: float | None,
    ) -> tuple[float, int] | None:
        update = PARTS.update().where(_mine(job_id, step, number, attempt))
        with self._database.transaction() as transaction:
            if transaction.execute(update.values(fraction=fraction)).rowcount != 1:
                return None
            return self._progress(transaction, job_id, step, ends_at)

    def finish(
        self,
        transaction: Transaction,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        *,
        blob: Blob,
        facts: Mapping[str, Any],
    ) -> int | None:
        done = {"blob": asdict(blob), "facts": dict(facts), "fraction": 1.0}
        update = PARTS.update().where(_mine(job_id, step, number, attempt)).values(**done)
        if transaction.execute(update).rowcount != 1:
            return None
        # The row is locked by this: of two that end at once only one sees 0.
        count = CUTS.update().where(_cut(job_id, step)).values(waiting=_C.waiting - 1)
        left = int(transaction.execute(count.returning(_C.waiting)).scalar_one())
        self._progress(transaction, job_id, step, None)
        return left

    def give_up(self, transaction: Transaction, job_id: str, step: int) -> bool:
        update = CUTS.update().where(_cut(job_id, step), _C.whole.is_(False), _C.waiting > 0)
        return transaction.execute(update.values(whole=True)).rowcount == 1

    def close(self, job_id: str, step: int, outcome: Mapping[str, Any]) -> None:
        with self._database.transaction() as transaction:
            update = CUTS.update().where(_cut(job_id, step), _C.outcome.is_(None))
            transaction.execute(update.values(outcome=dict(outcome)))

    def _progress(
        self, transaction: Transaction, job_id: str, step: int, ends_at: float | None
    ) -> tuple[float, int]:
        """Write the job's progress; gives it, and how many parts are being done."""
        share = sa.func.sum(_P.weight * _P.fraction) / sa.func.sum(_P.weight)
        running = sa.func.sum(sa.case((sa.and_(_P.fraction > 0, _P.blob.is_(None)), 1), else_=0))
        query = sa.select(share, running).where(_P.job_id == job_id, _P.step == step)
        done, count = transaction.execute(query).one()
        base, span = transaction.execute(
            sa.select(_C.base, _C.span).where(_cut(job_id, step))
        ).one()
        fraction = base + span * done
        pct = min(int(fraction * 100), 99)
        values: dict[str, Any] = {
            "progress_pct": sa.case((_J.progress_pct > pct, _J.progress_pct), else_=pct)
        }
        if ends_at is not None:
            values["ends_at"] = ends_at
        runs = sa.and_(_J.id == job_id, _J.state == State.PROCESSING.value)
        transaction.execute(JOBS.update().where(runs).values(**values))
        return fraction, max(int(count), 1)


def _piece(row: Mapping[Any, Any]) -> Piece:
    return Piece(
        number=row["number"],
        weight=row["weight"],
        blob=Blob(**row["blob"]) if row["blob"] else None,
        facts=row["facts"],
    )
