"""Delivering webhooks: at least once, on a schedule, each attempt on record. Core.

An attempt is a queued piece of work of its own; the next one is queued, with its
delay, in the transaction that records this one. Nothing sleeps in between, so any
number of dead receivers costs nothing but rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from anyio.to_thread import run_sync

from filemill.errors import Conflict, NotFound
from filemill.lease import insist
from filemill.model import Attempt, Delivery, DeliveryState, Job
from filemill.ports.deliveries import Deliveries, WebhookSecrets
from filemill.ports.jobs import Jobs
from filemill.ports.queue import Post
from filemill.ports.remote import Sender
from filemill.webhook import TEST, body_of, headers

TIMEOUT = 15.0
"""Seconds that a receiver has to answer."""
LOST_AFTER = 60.0
"""Seconds after which an attempt that was due is looked for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Courier:
    jobs: Jobs
    deliveries: Deliveries
    secrets: WebhookSecrets
    sender: Sender
    post: Post
    link: Callable[[Job], str]
    """A fresh download address for a finished job."""
    delays: Sequence[float]
    """Seconds before each further attempt."""

    async def deliver(self, delivery_id: str, number: int) -> None:
        """Make attempt `number` of a delivery, unless it was made already."""
        prepare = partial(self._prepare, delivery_id, number)
        found = await run_sync(insist, self.jobs.away, prepare)
        if found is None:
            return
        delivery, job, secrets = found
        body = body_of(job, self.link(job) if job.output else None)
        attempt = await self._send(
            delivery.url, body, delivery.event, delivery.id, secrets, number=number
        )
        await run_sync(insist, self.jobs.away, partial(self._record, delivery, attempt))

    async def test(self, key_id: str, url: str) -> Attempt:
        """Send a `webhook.test` event now, once."""
        secrets = await run_sync(self.secrets.active, key_id)
        body = b'{"job_id": "job_test", "state": "done", "metadata": null, "duration_ms": 0}'
        name = f"dlv_test_{time.time_ns():x}"
        return await self._send(url, body, TEST, name, secrets, number=0)

    def redeliver(self, job_id: str, delivery_id: str) -> Delivery:
        """Deliver once more what has been delivered or given up.

        Raises `NotFound`, or `Conflict` while it is on its way."""
        delivery = self.deliveries.get(delivery_id)
        if delivery is None or delivery.job_id != job_id:
            raise NotFound("There is no such delivery.")
        now = time.time()
        with self.jobs.transaction() as transaction:
            if not self.deliveries.reopen(transaction, delivery, now=now):
                raise Conflict("This delivery is still on its way.", hint="See its `next_at`.")
            self.post.post(transaction, replace(delivery, next_at=now))
        return self.deliveries.get(delivery_id) or delivery

    def find_lost(self) -> None:
        """Post the attempts again that were due and are not under way: what ran them ended while
        the database was away. Should one be made twice it is recorded once."""
        now = time.time()
        overdue = self.deliveries.overdue(before=now - LOST_AFTER)
        under_way = self.post.under_way(overdue)
        for delivery in overdue:
            if delivery.id in under_way:
                continue
            log.warning("delivery %s was lost on its way, it is posted again", delivery.id)
            with self.jobs.transaction() as transaction:
                if self.deliveries.postpone(transaction, delivery, now):
                    self.post.post(transaction, replace(delivery, next_at=now))

    def _prepare(self, delivery_id: str, number: int) -> tuple[Delivery, Job, Sequence[str]] | None:
        delivery = self.deliveries.get(delivery_id)
        if (
            delivery is None
            or delivery.state is not DeliveryState.PENDING
            or delivery.attempts != number
        ):
            return None
        job = self.jobs.get(delivery.job_id)
        return (delivery, job, self.secrets.active(delivery.key_id)) if job else None

    async def _send(
        self,
        url: str,
        body: bytes,
        event: str,
        name: str,
        secrets: Sequence[str],
        *,
        number: int,
    ) -> Attempt:
        now = time.time()
        signed = headers(body, event=event, delivery_id=name, now=int(now), secrets=secrets)
        reply = await self.sender.post(url, body, signed, TIMEOUT)
        return Attempt(number, now, reply.seconds, reply.status, reply.error)

    def _record(self, delivery: Delivery, attempt: Attempt) -> None:
        state, next_at = DeliveryState.DELIVERED, None
        if not attempt.acknowledged:
            state = DeliveryState.FAILED
            if attempt.number < len(self.delays):
                state, next_at = DeliveryState.PENDING, time.time() + self.delays[attempt.number]
        with self.jobs.transaction() as transaction:
            recorded = self.deliveries.record(transaction, delivery.id, attempt, state, next_at)
            if recorded and next_at is not None:
                following = replace(delivery, attempts=attempt.number + 1, next_at=next_at)
                self.post.post(transaction, following)
