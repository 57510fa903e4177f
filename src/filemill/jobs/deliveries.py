"""The ledger of webhooks: every delivery, every attempt."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from filemill.jobs.database import Database, Transaction
from filemill.jobs.tables import ATTEMPTS, DELIVERIES, WEBHOOK_SECRETS
from filemill.model import Attempt, Delivery, DeliveryState
from filemill.webhook import new_secret

_C, _A, _W = DELIVERIES.c, ATTEMPTS.c, WEBHOOK_SECRETS.c


class Deliveries:
    """Implements `ports.deliveries.Deliveries`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, delivery: Delivery) -> None:
        transaction.execute(DELIVERIES.insert().values(**asdict(delivery)))

    def get(self, delivery_id: str) -> Delivery | None:
        query = sa.select(DELIVERIES).where(_C.id == delivery_id)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return _delivery(row) if row else None

    def of_job(self, job_id: str) -> Sequence[tuple[Delivery, Sequence[Attempt]]]:
        query = sa.select(DELIVERIES).where(_C.job_id == job_id).order_by(_C.created_at)
        with self._database.engine.connect() as connection:
            found = [_delivery(row) for row in connection.execute(query).mappings()]
            return [(delivery, self._attempts(connection, delivery.id)) for delivery in found]

    def record(
        self,
        transaction: Transaction,
        delivery_id: str,
        attempt: Attempt,
        state: DeliveryState,
        next_at: float | None,
    ) -> bool:
        """Write an attempt down, once: false when this number was written already."""
        update = (
            DELIVERIES.update()
            .where(_C.id == delivery_id, _C.attempts == attempt.number)
            .values(state=state.value, attempts=attempt.number + 1, next_at=next_at)
        )
        if transaction.execute(update).rowcount != 1:
            return False
        transaction.execute(ATTEMPTS.insert().values(delivery_id=delivery_id, **asdict(attempt)))
        return True

    def overdue(self, *, before: float) -> Sequence[Delivery]:
        query = (
            sa.select(DELIVERIES)
            .where(_C.state == DeliveryState.PENDING.value, _C.next_at < before)
            .order_by(_C.next_at)
            .limit(500)
        )
        with self._database.engine.connect() as connection:
            return [_delivery(row) for row in connection.execute(query).mappings()]

    def postpone(self, transaction: Transaction, delivery: Delivery, next_at: float) -> bool:
        update = (
            DELIVERIES.update()
            .where(
                _C.id == delivery.id,
                _C.state == DeliveryState.PENDING.value,
                _C.attempts == delivery.attempts,
                _C.next_at == delivery.next_at,
            )
            .values(next_at=next_at)
        )
        return transaction.execute(update).rowcount == 1

    def reopen(self, transaction: Transaction, delivery: Delivery, *, now: float) -> bool:
        """Make a delivery that has ended pending again; false when it has not."""
        update = (
            DELIVERIES.update()
            .where(_C.id == delivery.id, _C.state != DeliveryState.PENDING.value)
            .values(state=DeliveryState.PENDING.value, next_at=now)
        )
        return transaction.execute(update).rowcount == 1

    def _attempts(self, connection: sa.Connection, delivery_id: str) -> list[Attempt]:
        names = list(Attempt.__dataclass_fields__)
        query = sa.select(*(_A[name] for name in names)).where(_A.delivery_id == delivery_id)
        rows = connection.execute(query.order_by(_A.number)).mappings()
        return [Attempt(**row) for row in rows]


class WebhookSecrets:
    """Each key's secrets, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def active(self, key_id: str) -> Sequence[str]:
        """Those that sign now; the first is made when there is none yet."""
        with self._database.transaction() as transaction:
            query = sa.select(_W.value).where(
                _W.key_id == key_id,
                sa.or_(_W.expires_at.is_(None), _W.expires_at > time.time()),
            )
            found = list(transaction.execute(query.order_by(_W.created_at.desc())).scalars())
            return found or [self._add(transaction, key_id)]

    def rotate(self, key_id: str, *, overlap: float) -> str:
        """A new secret; the old ones keep signing for `overlap` seconds."""
        with self._database.transaction() as transaction:
            transaction.execute(
                WEBHOOK_SECRETS.update()
                .where(_W.key_id == key_id, _W.expires_at.is_(None))
                .values(expires_at=time.time() + overlap)
            )
            return self._add(transaction, key_id)

    def _add(self, transaction: Transaction, key_id: str) -> str:
        secret = new_secret()
        transaction.execute(
            WEBHOOK_SECRETS.insert().values(key_id=key_id, created_at=time.time(), value=secret)
        )
        return secret


def _delivery(row: Mapping[Any, Any]) -> Delivery:
    return Delivery(**{**row, "state": DeliveryState(row["state"])})
