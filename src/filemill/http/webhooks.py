"""Webhooks: their secret, a test, the ledger of deliveries, redelivery."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from anyio.to_thread import run_sync
from fastapi import APIRouter

from filemill.courier import Courier
from filemill.http import schemas
from filemill.http.body import reachable
from filemill.http.documents import asking
from filemill.http.door import Asking, Door
from filemill.http.render import moment
from filemill.http.small import Small
from filemill.model import Attempt, Delivery

OVERLAP = 24 * 3600.0
"""Seconds that a rotated secret keeps signing."""


def router(door: Door, courier: Courier) -> APIRouter:
    api = APIRouter(tags=["webhooks"], route_class=Small)
    service = door.service

    @api.post(
        "/v1/webhooks/secret",
        summary="Make a new signing secret",
        responses=asking(),
    )
    async def rotate(key: Asking) -> schemas.WebhookSecret:
        secret = await run_sync(partial(courier.secrets.rotate, key.id, overlap=OVERLAP))
        return schemas.WebhookSecret(secret=secret)

    @api.post(
        "/v1/webhooks/test",
        summary="Send a `webhook.test` event now",
        responses=asking(400),
    )
    async def test(asked: schemas.WebhookTest, key: Asking) -> schemas.DeliveryAttempt:
        return _attempt(await courier.test(key.id, reachable(asked.webhook_url)))

    @api.get(
        "/v1/jobs/{job_id}/deliveries",
        summary="Every attempt to deliver a job's webhook",
        responses=asking(404),
    )
    async def deliveries(job_id: str, key: Asking) -> schemas.DeliveryList:
        await service.get(key, job_id)
        found = await run_sync(courier.deliveries.of_job, job_id)
        return schemas.DeliveryList(deliveries=[_delivery(*row) for row in found])

    @api.post(
        "/v1/jobs/{job_id}/deliveries/{delivery_id}/redeliver",
        summary="Deliver a webhook once more",
        status_code=202,
        responses=asking(404, 409),
    )
    async def redeliver(job_id: str, delivery_id: str, key: Asking) -> schemas.DeliveryStatus:
        await service.get(key, job_id)
        return _delivery(await run_sync(courier.redeliver, job_id, delivery_id), [])

    return api


def _delivery(delivery: Delivery, attempts: Sequence[Attempt]) -> schemas.DeliveryStatus:
    return schemas.DeliveryStatus(
        id=delivery.id,
        event=delivery.event,
        url=delivery.url,
        state=delivery.state.value,
        created_at=moment(delivery.created_at),
        next_attempt_at=moment(delivery.next_at) if delivery.next_at else None,
        attempts=[_attempt(attempt) for attempt in attempts],
    )


def _attempt(attempt: Attempt) -> schemas.DeliveryAttempt:
    return schemas.DeliveryAttempt(
        at=moment(attempt.at),
        status=attempt.status,
        latency_ms=round(attempt.seconds * 1000),
        error=attempt.error,
        acknowledged=attempt.acknowledged,
    )
