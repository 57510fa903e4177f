"""POST /v1/convert: submit, wait, answer with the bytes."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from filemill.errors import BadRequest, Cancelled, FilemillError, Timeout, from_json
from filemill.filename import attachment
from filemill.http import schemas
from filemill.http.body import submission
from filemill.http.documents import asking, submission_body
from filemill.http.door import Asking, Door
from filemill.http.once import REPLAYED, in_flight, once
from filemill.http.render import status
from filemill.model import ApiKey, Job, State


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["convert"])
    service, links = door.service, door.links

    @api.post(
        "/v1/convert",
        summary="Convert a small file in one request",
        response_class=Response,
        openapi_extra=submission_body(webhooks=False),
        responses={
            200: {
                "description": "The converted file, or an envelope for `Accept: application/json`.",
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                    "application/json": {"schema": schemas.Converted.model_json_schema()},
                },
            },
            202: {"model": schemas.Accepted, "description": "It goes on as a job (`Prefer`)."},
            **asking(400, 404, 408, 409, 413, 422, 502, 503, 504),
        },
    )
    async def convert(request: Request, key: Asking) -> Response:
        with door.onces.of(request, key) as token:
            async with door.form(request, key, door.sync_caps, token) as form:
                if (upload := form.upload) is None:
                    raise BadRequest(
                        "There is no file in this request.",
                        hint="POST /v1/jobs takes files by upload_id or source_url.",
                    )
                wanted = submission(form, "", webhooks=False)
                repeated = once(token, request, form, upload)
                job = await service.submit(key, upload, wanted, repeated)
            patience = preference(request.headers.get("prefer", ""), door.sync_seconds)
            if job.id != upload.job_id:
                return _again(request, job, patience)
            job = await _ended(request, key, job, min(patience, door.sync_seconds))
            return _ended_or_not(request, job, patience)

    def _again(request: Request, job: Job, patience: float) -> Response:
        """The answer of an earlier request, from its job."""
        if not job.state.terminal and patience:
            raise in_flight()
        resp = _ended_or_not(request, job, patience) if patience else _later(request, job)
        resp.headers.update(REPLAYED)
        return resp

    def _ended_or_not(request: Request, job: Job, patience: float) -> Response:
        if job.state.terminal:
            return _answer(request, job)
        if patience < door.sync_seconds:
            return _later(request, job)
        raise Timeout(
            f"The conversion takes longer than {door.sync_seconds:.0f} s. It goes on as a job.",
            hint="Poll `status_url`; next time send files like this to POST /v1/jobs.",
            details={"job_id": job.id, "status_url": links.status(request, job.id)},
        )

    def _later(request: Request, job: Job) -> Response:
        accepted = {
            "job_id": job.id,
            "state": job.state.value,
            "status_url": links.status(request, job.id),
        }
        headers = {"Location": accepted["status_url"], "Preference-Applied": "respond-async"}
        return JSONResponse(accepted, 202, headers)

    async def _ended(request: Request, key: ApiKey, job: Job, seconds: float) -> Job:
        """Wait for the end; a client that goes away takes its conversion with it."""
        waiting = asyncio.create_task(service.end(key, job.id, seconds=seconds))
        leaving = asyncio.create_task(_left(request))
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            leaving.cancel()
            return waiting.result()
        waiting.cancel()
        with suppress(FilemillError):
            await service.cancel(key, job.id)
            await run_sync(service.idempotency.drop, job.id)  # it comes back for a result
        raise Cancelled("The client went away.")

    def _answer(request: Request, job: Job) -> Response:
        if job.state is not State.DONE or job.output is None:
            raise from_json(job.error or {"code": "cancelled", "message": "It was cancelled."})
        if "application/json" in request.headers.get("accept", ""):
            whole = status(job, links.base(request), links)
            return JSONResponse(
                whole.model_dump(include=set(schemas.Converted.model_fields), mode="json")
            )
        headers: dict[str, Any] = {
            "Content-Length": str(job.output.size),
            "Content-Disposition": attachment(job.output_name or "file"),
            "X-Conversion-Time": f"{job.duration_ms}ms",
            "X-Job-Id": job.id,
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(
            service.blobs.read(job.output.key), media_type=job.media_type, headers=headers
        )

    return api


def preference(header: str, default: float) -> float:
    """Seconds a client is willing to wait, by its Prefer header (RFC 7240)."""
    wait = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", header, re.IGNORECASE)
    if wait:
        return float(wait[1])
    return 0.0 if re.search(r"(?:^|[,\s])respond-async\b", header, re.IGNORECASE) else default


async def _left(request: Request) -> None:
    """Return when the client has gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
