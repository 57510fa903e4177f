"""Whether the process serves, and whether it can work; and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from filemill.http.documents import errors
from filemill.model import State

Counts = Callable[[], Mapping[str, int]]
"""Jobs by state. Raises `ServiceUnavailable`."""


def router(check: Callable[[], None], counts: Counts) -> APIRouter:
    """`check` raises `ServiceUnavailable` while the database does not answer."""
    api = APIRouter(tags=["health"])
    own = CollectorRegistry()
    own.register(Jobs(counts))

    @api.get("/healthz", summary="The process serves")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz", summary="The database answers", responses=errors(503))
    async def readyz() -> dict[str, str]:
        await run_sync(check)
        return {"status": "ready"}

    @api.get(
        "/metrics",
        summary="Metrics of the process and the jobs, for Prometheus",
        response_class=Response,
        responses=errors(503),
    )
    async def metrics() -> Response:
        text = generate_latest(REGISTRY) + await run_sync(generate_latest, own)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return api


class Jobs(Collector):
    """What every host of one database tells alike: take the maximum of them, not the sum."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._counts()
        family = GaugeMetricFamily("filemill_jobs", "Jobs on record.", labels=["state"])
        for state in State:
            family.add_metric([state.value], found.get(state.value, 0))
        yield family
