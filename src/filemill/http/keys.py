"""Keys, from the outside: the plans, a free key, a new secret."""

from __future__ import annotations

import time
from functools import partial

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request

from filemill.errors import BadRequest, Conflict, NotFound
from filemill.http import schemas
from filemill.http.documents import asking, errors
from filemill.http.door import Asking, Door, secret
from filemill.http.limits import address, told
from filemill.http.render import moment
from filemill.http.small import Small
from filemill.jobs.keys import OVERLAP
from filemill.ratelimit import HOUR

FREE = "free"


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["keys"], route_class=Small)

    async def count(request: Request) -> None:
        """Keys are handed out slowly, whoever asks."""
        subject = f"keys:{address(request)}"
        await door.count(request, subject, door.keys_per_hour, seconds=HOUR)

    @api.get("/v1/plans", summary="The plans and their limits")
    async def plans() -> schemas.PlanList:
        rows = [
            schemas.PlanRow(name=name, **plan.to_json())
            for name, plan in door.service.admission.plans.items()
        ]
        return schemas.PlanList(plans=rows)

    @api.get("/v1/usage", summary="What a key used of its plan", responses=asking())
    async def usage(request: Request, key: Asking) -> schemas.Usage:
        plan, used = door.plan(key), await door.service.consumption(key)
        rate, limit = told(request), plan.conversions_per_month
        return schemas.Usage(
            plan=key.plan,
            requests=schemas.UsedRequests(
                limit=rate.limit, remaining=rate.remaining, resets_at=moment(rate.reset)
            ),
            conversions=schemas.UsedConversions(
                limit=limit,
                used=used.conversions,
                remaining=None if limit is None else max(0, limit - used.conversions),
                resets_at=moment(used.resets_at),
            ),
            jobs=schemas.OpenJobs(
                processing=used.running,
                queued=used.waiting,
                concurrency=plan.concurrency,
                queue=plan.queue,
            ),
        )

    @api.post(
        "/v1/keys/free",
        summary="Get a key of the plan `free`",
        responses=errors(400, 404, 409, 429),
    )
    async def free(request: Request, asked: schemas.FreeKeyRequest) -> schemas.FreeKey:
        if not door.free_keys:
            raise NotFound("This server gives out no keys.", hint="Ask its operator for one.")
        await count(request)
        try:
            created = await run_sync(door.keys.create, asked.email.lower(), FREE)
        except BadRequest as error:
            raise Conflict(
                "There is a key for this address already.",
                hint="POST /v1/keys/rotate replaces it; the operator can, when it is lost.",
            ) from error
        return schemas.FreeKey(
            api_key=created,
            plan=FREE,
            monthly_limit=door.service.admission.plans[FREE].conversions_per_month,
            message="Keep this key safe: it is shown only now.",
        )

    @api.post(
        "/v1/keys/rotate",
        summary="Replace the secret of the key that asks",
        responses=asking(400, 409),
    )
    async def rotate(request: Request, key: Asking) -> schemas.RotatedKey:
        if key == door.anonymous:
            raise BadRequest("Without a key there is nothing to rotate.")
        await count(request)
        until = time.time() + OVERLAP
        return schemas.RotatedKey(
            api_key=await run_sync(partial(door.keys.rotate, key.id, by=secret(request))),
            plan=key.plan,
            previous_expires_at=moment(until),
            message="Keep this key safe: it is shown only now. The old one works for 24 h more.",
        )

    return api
