"""What can be converted, and how: made from the registry, for people and programs."""

from __future__ import annotations

from fastapi import APIRouter

from filemill import catalogue
from filemill.formats import FORMATS, by_name
from filemill.http import schemas
from filemill.http.documents import asking, errors
from filemill.http.door import Asking, Door
from filemill.http.small import Small


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["discovery"], route_class=Small)
    graph = door.service.graph

    @api.get("/v1/formats", summary="The formats, by category")
    async def formats() -> schemas.FormatList:
        return schemas.FormatList.model_validate(catalogue.formats(graph))

    @api.get(
        "/v1/formats/{source}",
        summary="What a format can become, with the options",
        responses=errors(422),
    )
    async def targets(source: str) -> schemas.Targets:
        found = by_name(source).id
        return schemas.Targets.model_validate(catalogue.targets(graph, found))

    @api.post(
        "/v1/plan",
        summary="How a file would be converted, before it is uploaded",
        responses=asking(400, 413, 422),
    )
    async def plan(asked: schemas.PlanRequest, key: Asking) -> schemas.PlanAnswer:
        found = door.service.plan(asked.source, asked.target, asked.options)
        source = FORMATS[found.source]
        sync, jobs = (door.caps(caps, key) for caps in (door.sync_caps, door.job_caps))
        limits = {"convert": sync.of(source), "jobs": jobs.of(source)}
        if asked.size is not None:
            jobs.check(asked.size, source)
        return schemas.PlanAnswer(
            **catalogue.target(graph, found.source, found.target),
            source=found.source,
            sync=(asked.size or 0) <= limits["convert"],
            limits=limits,
            estimate_seconds=await door.service.estimate(found, asked.size),
        )

    return api
