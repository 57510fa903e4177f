"""/v1/uploads: resumable uploads by tus 1.0.0 (core, creation, creation-with-upload,
expiration, checksum, termination, concatenation)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filemill.errors import (
    BadRequest,
    FileTooLarge,
    MethodNotAllowed,
    PreconditionFailed,
    RequestTimeout,
    UnsupportedMediaType,
)
from filemill.filename import clean
from filemill.http.documents import asking
from filemill.http.door import Asking, Door
from filemill.model import ApiKey, Incoming
from filemill.uploads import Checksum, Uploads

PATH = "/v1/uploads"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination,concatenation"
CHECKSUMS = ("sha256", "sha1", "md5")
BYTES = "application/offset+octet-stream"
LONGEST_METADATA = 8192


def router(door: Door) -> APIRouter:
    api = APIRouter(tags=["uploads"])
    uploads, links = door.uploads, door.links

    def headers(incoming: Incoming) -> dict[str, str]:
        return {
            "Upload-Offset": str(incoming.offset),
            "Upload-Expires": formatdate(incoming.expires_at, usegmt=True),
            "Cache-Control": "no-store",
        }

    @api.options(PATH, summary="What is spoken here: tus 1.0.0", status_code=204)
    @api.options(PATH + "/{upload_id}", include_in_schema=False)
    async def options() -> Response:
        return Response(
            status_code=204,
            headers={
                "Tus-Version": VERSION,
                "Tus-Extension": EXTENSIONS,
                "Tus-Max-Size": str(max(uploads.caps.other, uploads.caps.media)),
                "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
            },
        )

    @api.post(
        PATH,
        summary="Begin a resumable upload",
        description="By the tus protocol, 1.0.0; any client of it works. Metadata: `filename`, "
        "and `source` when the format is not to be detected. A complete upload becomes a job by "
        "POST /v1/jobs with `upload_id`, the last part of `Location`.",
        status_code=201,
        response_class=Response,
        responses=asking(400, 404, 409, 412, 413, 415, 422, 423, 460, 503),
    )
    async def create(request: Request, key: Asking, _version: Spoken) -> Response:
        text = request.headers.get("upload-metadata", "")
        metadata = parse_metadata(text)
        partial, parts = _concatenation(request.headers.get("upload-concat", ""))
        incoming = await uploads.create(
            key,
            filename=clean(metadata.get("filename") or metadata.get("name") or "file"),
            metadata=text,
            size=0 if parts else _number(request, "upload-length"),
            caps=door.caps(door.job_caps, key),
            source=metadata.get("source") or None,
            partial=partial,
            parts=parts,
        )
        if _sends_bytes(request):
            incoming = await _receive(uploads, request, key, incoming.id, 0)
        where = f"{links.base(request)}{PATH}/{incoming.id}"
        return Response(status_code=201, headers={"Location": where, **headers(incoming)})

    @api.head(
        PATH + "/{upload_id}",
        summary="How much of an upload has arrived",
        response_class=Response,
        responses=asking(404, 412),
    )
    async def look(upload_id: str, key: Asking, _version: Spoken) -> Response:
        incoming = await uploads.get(key, upload_id)
        shown = {**headers(incoming), "Upload-Length": str(incoming.size)}
        if incoming.metadata:
            shown["Upload-Metadata"] = incoming.metadata
        if incoming.partial:
            shown["Upload-Concat"] = "partial"
        return Response(headers=shown)

    @api.patch(
        PATH + "/{upload_id}",
        summary="Send what comes next",
        status_code=204,
        response_class=Response,
        responses=asking(400, 404, 409, 412, 413, 415, 422, 423, 460, 503),
    )
    async def append(request: Request, upload_id: str, key: Asking, _version: Spoken) -> Response:
        if not _sends_bytes(request):
            raise UnsupportedMediaType(
                "The bytes of an upload come as another type.", hint=f"Content-Type: {BYTES}"
            )
        offset = _number(request, "upload-offset")
        incoming = await _receive(uploads, request, key, upload_id, offset)
        return Response(status_code=204, headers=headers(incoming))

    @api.delete(
        PATH + "/{upload_id}",
        summary="Give an upload up",
        status_code=204,
        response_class=Response,
        responses=asking(404, 412, 423),
    )
    async def remove(upload_id: str, key: Asking, _version: Spoken) -> Response:
        await uploads.remove(key, upload_id)
        return Response(status_code=204)

    @api.post(PATH + "/{upload_id}", include_in_schema=False)
    async def overridden(
        request: Request, upload_id: str, key: Asking, _version: Spoken
    ) -> Response:
        """For clients that can only GET and POST."""
        match request.headers.get("x-http-method-override", "").upper():
            case "PATCH":
                return await append(request, upload_id, key, _version)
            case "DELETE":
                return await remove(upload_id, key, _version)
            case "HEAD":
                return await look(upload_id, key, _version)
        raise MethodNotAllowed("POST does not work here.", headers={"Allow": "HEAD, PATCH, DELETE"})

    return api


async def _speaking(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise PreconditionFailed(
            "Uploads speak tus 1.0.0 only.",
            hint=f"Send the header Tus-Resumable: {VERSION}, or use a tus client.",
            headers={"Tus-Version": VERSION},
        )


Spoken = Annotated[None, Depends(_speaking)]


async def _receive(
    uploads: Uploads, request: Request, key: ApiKey, upload_id: str, offset: int
) -> Incoming:
    checksum = parse_checksum(request.headers.get("upload-checksum", ""))
    length = request.headers.get("content-length", "")
    if length.isdigit():
        uploads.room(int(length))
    return await uploads.receive(key, upload_id, offset, _body(request), checksum=checksum)


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The body, ending where the connection or our patience does: what came before it counts."""
    try:
        async for chunk in request.stream():
            yield chunk
    except (ClientDisconnect, RequestTimeout):
        return


def _sends_bytes(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == BYTES


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadRequest(f"The header {name.title()} is missing or no number of bytes.")
    return int(text)


def _concatenation(header: str) -> tuple[bool, Sequence[str]]:
    """(whether it is a part of another upload, ids of the uploads that it is made of)."""
    kind, _, urls = header.partition(";")
    if kind == "partial" and not urls:
        return True, ()
    ids = [url.rstrip("/").rpartition("/")[2] for url in urls.split()]
    if header and (kind != "final" or not ids):
        raise BadRequest("Upload-Concat is neither `partial` nor `final;` with addresses.")
    return False, ids


def parse_metadata(header: str) -> dict[str, str]:
    """Upload-Metadata: comma-separated, each a key and its base64 value. Raises `BadRequest`."""
    if len(header) > LONGEST_METADATA:
        raise FileTooLarge(f"Upload-Metadata has more than {LONGEST_METADATA} characters.")
    found = {}
    for pair in filter(None, (pair.strip() for pair in header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise BadRequest("Upload-Metadata holds a value that is no base64 of UTF-8.") from None
    return found


def parse_checksum(header: str) -> Checksum | None:
    """Upload-Checksum: an algorithm and a base64 digest. Raises `BadRequest`."""
    if not header:
        return None
    name, _, value = header.partition(" ")
    if name not in CHECKSUMS:
        raise BadRequest("Upload-Checksum names an algorithm that is not known here.")
    try:
        expected = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("Upload-Checksum holds no base64.") from None
    return Checksum(hashlib.new(name, usedforsecurity=False), expected)


class Tus:
    """ASGI middleware: what every answer of the uploads says, errors too, and CORS (WHATWG
    Fetch) for them, so that web pages elsewhere can upload. The key is a header that a page must
    know, not a cookie that a browser adds, so any page may try."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=[
                "Location",
                "Retry-After",
                "Tus-Checksum-Algorithm",
                "Tus-Extension",
                "Tus-Max-Size",
                "Tus-Resumable",
                "Tus-Version",
                "Upload-Concat",
                "Upload-Expires",
                "Upload-Length",
                "Upload-Metadata",
                "Upload-Offset",
            ],
            max_age=86400,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == PATH or path.startswith(PATH + "/")):
            await self._app(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        await self._open(scope, receive, telling)
