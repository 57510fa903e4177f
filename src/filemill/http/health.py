"""Whether the process serves, and whether it can work; and its metrics."""

from __future__ import annotations

from collections.abc import Callable

from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.responses import Response

from filemill.http.documents import errors


def router(check: Callable[[], None]) -> APIRouter:
    """`check` raises `ServiceUnavailable` while engines or stores are not ready."""
    api = APIRouter(tags=["health"])

    @api.get("/healthz", summary="The process serves")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz", summary="Engines and stores are ready", responses=errors(503))
    async def readyz() -> dict[str, str]:
        await run_sync(check)
        return {"status": "ready"}

    @api.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return api
