"""GET|HEAD /v1/files: downloads by signed link, with ranges (RFC 9110, 14)."""

from __future__ import annotations

import re
import time

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from filemill.errors import NotFound, RangeNotSatisfiable
from filemill.filename import attachment
from filemill.http.documents import errors
from filemill.http.door import Door
from filemill.http.render import signed_text
from filemill.ports.blobs import Presigns


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["files"])
    service, links = door.service, door.links

    @api.api_route(
        "/v1/files/{job_id}/{name}",
        methods=["GET"],
        summary="Download a result",
        description="The link in `download_url`; it needs no key. Takes Range and conditions.",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {}}},
            206: {"description": "The range asked for."},
            304: {"description": "It is what `If-None-Match` says."},
            307: {"description": "The store itself serves it."},
            **errors(403, 404, 410, 416),
        },
    )
    @api.api_route("/v1/files/{job_id}/{name}", methods=["HEAD"], include_in_schema=False)
    async def download(request: Request, job_id: str, name: str, token: str = "") -> Response:
        links.signer.check(signed_text(job_id, name), token, now=time.time())
        job = await service.result(job_id)
        blob = job.output
        if blob is None:
            raise NotFound("This file is gone.")
        if request.method == "GET" and isinstance(service.blobs, Presigns):
            return RedirectResponse(service.blobs.presign(blob.key, seconds=links.ttl), 307)
        etag = f'"{blob.sha256}"'
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=3600",
            "Content-Disposition": attachment(job.output_name or "file"),
            "ETag": etag,
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("if-none-match") in (etag, "*"):
            return Response(status_code=304, headers=headers)
        wanted = request.headers.get("range")
        if wanted and request.headers.get("if-range", etag) != etag:
            wanted = None
        span = byte_range(wanted, blob.size) if wanted and request.method == "GET" else None
        start, end = span or (0, blob.size)
        headers["Content-Length"] = str(end - start)
        if span:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        if request.method == "HEAD":
            return Response(headers=headers, media_type=job.media_type)
        body = service.blobs.read(blob.key, start, end) if span else service.blobs.read(blob.key)
        return StreamingResponse(
            body, 206 if span else 200, media_type=job.media_type, headers=headers
        )

    return api


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The one range [start, end) that a Range header asks for; None for a header to ignore:
    another unit, several ranges, or nonsense. Raises `RangeNotSatisfiable`."""
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", header)
    if not match or not (match[1] or match[2]):
        return None
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise RangeNotSatisfiable(
            f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end
