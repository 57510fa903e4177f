"""Webhooks: what was sent, and what signs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from filemill.model import Attempt, Delivery, DeliveryState
from filemill.ports.jobs import Transaction


class Deliveries(Protocol):
    """The ledger of webhooks."""

    def insert(self, transaction: Transaction, delivery: Delivery) -> None: ...

    def get(self, delivery_id: str) -> Delivery | None: ...

    def of_job(self, job_id: str) -> Sequence[tuple[Delivery, Sequence[Attempt]]]: ...

    def record(
        self,
        transaction: Transaction,
        delivery_id: str,
        attempt: Attempt,
        state: DeliveryState,
        next_at: float | None,
    ) -> bool:
        """Write an attempt down, once: false when this number was written already."""
        ...

    def overdue(self, *, before: float) -> Sequence[Delivery]:
        """Pending ones that were due before that time, those first that wait longest; at most a
        few hundred."""
        ...

    def postpone(self, transaction: Transaction, delivery: Delivery, next_at: float) -> bool:
        """Make the next attempt due at `next_at`; false when it was made or postponed already."""
        ...

    def reopen(self, transaction: Transaction, delivery: Delivery, *, now: float) -> bool:
        """Make a delivery that has ended pending again; false when it has not."""
        ...


class WebhookSecrets(Protocol):
    def active(self, key_id: str) -> Sequence[str]:
        """Those that sign now, newest first; never empty."""
        ...

    def rotate(self, key_id: str, *, overlap: float) -> str:
        """A new secret; the old ones keep signing for `overlap` seconds."""
        ...
