"""/v1/jobs: submit, look, wait, list, cancel, retry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from filemill.errors import NotFound
from filemill.filename import clean
from filemill.http import schemas
from filemill.http.body import reachable, submission
from filemill.http.documents import asking, submission_body
from filemill.http.door import Asking, Door
from filemill.http.once import REPLAYED, once
from filemill.http.render import cursor, parse_cursor, status
from filemill.model import ApiKey, Job, State
from filemill.submission import Once, Submission


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["jobs"])
    service, links = door.service, door.links

    def accepted(request: Request, job: Job, *, again: bool = False) -> Response:
        where = links.status(request, job.id)
        body = {"job_id": job.id, "state": State.QUEUED.value, "status_url": where}
        return JSONResponse(body, 202, {"Location": where} | (REPLAYED if again else {}))

    async def shown(request: Request, job: Job) -> schemas.JobStatus:
        queued = job.state is State.QUEUED
        place = await service.position(job) if queued else None
        return status(job, links.base(request), links, position=place)

    @api.post(
        "/v1/jobs",
        summary="Submit a file to be converted in the background",
        status_code=202,
        response_model=schemas.Accepted,
        openapi_extra=submission_body(webhooks=True),
        responses=asking(400, 404, 408, 409, 413, 422, 423, 503),
    )
    async def submit(request: Request, key: Asking) -> Response:
        with door.onces.of(request, key) as token:
            async with door.form(request, key, door.job_caps, token) as form:
                wanted = submission(form, links.base(request), webhooks=True)
                repeated = once(token, request, form, form.upload)
                if form.upload:
                    job = await service.submit(key, form.upload, wanted, repeated)
                    again = job.id != form.upload.job_id
                else:
                    job, again = await _elsewhere(door, key, form.fields, wanted, repeated)
            return accepted(request, job, again=again)

    @api.get("/v1/jobs", summary="List jobs, newest first", responses=asking(400))
    async def list_jobs(
        request: Request,
        key: Asking,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor_: Annotated[str | None, Query(alias="cursor")] = None,
    ) -> schemas.JobList:
        before = parse_cursor(cursor_) if cursor_ else None
        jobs = await service.list(key, state=state, limit=limit, before=before)
        more = cursor(jobs[-1]) if len(jobs) == limit else None
        base = links.base(request)
        return schemas.JobList(jobs=[status(job, base, links) for job in jobs], next_cursor=more)

    @api.get(
        "/v1/jobs/{job_id}",
        summary="Look at a job, or wait for its next change",
        response_model_exclude_none=True,
        responses=asking(400, 404),
    )
    async def get_job(
        request: Request,
        job_id: str,
        key: Asking,
        wait: Annotated[float, Query(ge=0, le=60, description="Seconds.")] = 0,
    ) -> schemas.JobStatus:
        job = await (
            service.change(key, job_id, seconds=wait) if wait else service.get(key, job_id)
        )
        return await shown(request, job)

    @api.get(
        "/v1/jobs/{job_id}/events",
        summary="Follow a job as server-sent events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **asking(404),
        },
    )
    async def follow(request: Request, job_id: str, key: Asking) -> StreamingResponse:
        await service.get(key, job_id)  # a job that is not there is a 404, not an empty stream
        events = _events(door, key, job_id, links.base(request))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    @api.delete(
        "/v1/jobs/{job_id}",
        summary="Cancel a job, or delete one that has ended",
        responses={200: {"model": schemas.JobStatus}, 204: {}, **asking(404)},
    )
    async def cancel(request: Request, job_id: str, key: Asking) -> Response:
        job = await service.cancel(key, job_id)
        if job is None:
            return Response(status_code=204)
        body = await shown(request, job)
        return JSONResponse(body.model_dump(mode="json", exclude_none=True))

    @api.post(
        "/v1/jobs/{job_id}/retry",
        summary="Submit the same file again as a new job",
        status_code=202,
        response_model=schemas.Accepted,
        responses=asking(404, 409, 503),
    )
    async def retry(request: Request, job_id: str, key: Asking) -> Response:
        return accepted(request, await service.retry(key, job_id))

    return api


async def _elsewhere(
    door: Door, key: ApiKey, fields: Mapping[str, str], wanted: Submission, once: Once | None
) -> tuple[Job, bool]:
    """A job of a file that is not in the request, and whether it was made before."""
    if upload_id := fields.get("upload_id"):
        return await door.uploads.submit(key, upload_id, wanted, once)
    url = reachable(fields["source_url"])
    name = fields.get("filename") or unquote(urlsplit(url).path.rpartition("/")[2]) or "file"
    return await door.service.submit_url(key, url, clean(name), wanted, once)


async def _events(door: Door, key: ApiKey, job_id: str, base: str) -> AsyncIterator[str]:
    """Server-sent events (WHATWG HTML, 9.2): `state` when it changes, `progress` between."""
    last: State | None = None
    try:
        async for job in door.service.changes(key, job_id):
            if job is None:
                yield ": still here\n\n"
                continue
            name = "state" if job.state is not last else "progress"
            last = job.state
            body = status(job, base, door.links).model_dump(mode="json", exclude_none=True)
            yield f"event: {name}\ndata: {json.dumps(body)}\n\n"
    except NotFound:
        return  # deleted meanwhile
