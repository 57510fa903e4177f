"""Reading a submission out of a request, as a stream: multipart or the raw file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from filemill.errors import BadRequest
from filemill.filename import clean
from filemill.outbound.addresses import check_url
from filemill.submission import Submission, Upload

MAX_FIELD = 64 * 1024
"""Bytes of one text field."""
MAX_PARTS = 64
MAX_DEPTH = 100
"""Of JSON; what shows it later takes twice as much."""

Receive = Callable[[str, AsyncIterator[bytes], str | None], Awaitable[Upload]]
"""(file name, bytes, source format if it is known by now) -> the stored upload."""

_SOURCES = ("upload_id", "source_url")
"""Fields that name a file which is not in the request."""
_FIELDS = {
    "target",
    "source",
    "options",
    "filename",
    "webhook_url",
    "webhook_metadata",
    "output_url",
    *_SOURCES,
}


@dataclass(slots=True)
class Form:
    fields: dict[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    """The file, when the request holds it; else one of the fields names it."""

    def named(self) -> list[str]:
        """The fields that name a file elsewhere."""
        return [name for name in _SOURCES if self.fields.get(name)]


async def read_form(request: Request, form: Form, receive: Receive) -> None:
    """Fill `form`, as far as it comes. Raises `BadRequest` for what is malformed, and what
    `receive` raises."""
    form.fields |= request.query_params
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        if kind == "multipart/form-data":
            await _read_multipart(request, options.get("boundary", ""), form, receive)
        elif form.named():
            pass  # there is no need to look for a body
        elif kind in _PARSERS and "target" not in form.fields:
            # With a target in the query it is the file itself, whatever it is called.
            form.fields |= _PARSERS[kind](await _text("body", request.stream()))
        else:
            if not form.fields.get("target"):
                raise BadRequest("`target` is missing.", hint="Give it in the query: ?target=pdf")
            name = clean(form.fields.get("filename") or "file")
            form.upload = await receive(name, request.stream(), form.fields.get("source"))
    except ClientDisconnect as error:
        raise BadRequest("The upload broke off.") from error
    if "\0" in form.fields.get("upload_id", ""):  # PostgreSQL takes none
        raise BadRequest("`upload_id` holds a NUL character.")
    if len(form.named()) + (form.upload is not None) != 1:
        raise BadRequest(
            "One file is needed, in one way.",
            hint=f"Send `file`, or the raw file with ?target=, or one of: {', '.join(_SOURCES)}.",
        )


def submission(form: Form, base_url: str, *, webhooks: bool) -> Submission:
    """What the form asks for. Any field that is not one of ours is an option.

    `base_url` is where its sender reached us."""
    fields = form.fields
    if not fields.get("target"):
        raise BadRequest("`target` is missing.", hint="Name the format you want, e.g. target=pdf.")
    options = {name: value for name, value in fields.items() if name not in _FIELDS}
    if text := fields.get("options"):
        given = _json(text, "options")
        if not isinstance(given, dict):
            raise BadRequest("`options` is not a JSON object.", hint='E.g. {"quality": 80}')
        options = given | options
    if not webhooks:
        return Submission(fields["target"], fields.get("source") or None, options)
    metadata = fields.get("webhook_metadata")
    return Submission(
        target=fields["target"],
        source=fields.get("source") or None,
        options=options,
        output_url=reachable(url) if (url := fields.get("output_url")) else None,
        webhook_url=reachable(url) if (url := fields.get("webhook_url")) else None,
        metadata=_json(metadata, "webhook_metadata") if metadata else None,
        base_url=base_url,
    )


def reachable(url: str) -> str:
    """An address that we may be asked to send to. Raises `BadRequest`."""
    check_url(url)
    return url


async def _read_multipart(request: Request, boundary: str, form: Form, receive: Receive) -> None:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS, strict=True)
        events = _events(request, parser)
        async for event in events:
            if not isinstance(event, MultipartSegment):
                continue
            if event.name == "file":
                if form.upload is not None:
                    raise BadRequest("There is more than one `file`.", hint="Send one a request.")
                name = clean(form.fields.get("filename") or _filename(event) or "file")
                form.upload = await receive(name, _payload(events), form.fields.get("source"))
            else:
                form.fields[event.name] = await _text(event.name, _payload(events))
        parser.close()
    except MultipartError as error:
        raise BadRequest(f"The multipart body is malformed: {error}.") from error
    if form.upload is None and not form.named():
        raise BadRequest("`file` is missing.", hint="Send the file as the form field `file`.")


async def _events(request: Request, parser: PushMultipartParser) -> AsyncIterator[Any]:
    async for chunk in request.stream():
        if chunk:
            for event in parser.parse(chunk):
                yield event


async def _payload(events: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """The bytes of the part that `events` is in."""
    async for event in events:
        if event is None:
            return
        yield bytes(event)


async def _text(name: str, payload: AsyncIterator[bytes]) -> str:
    value = b""
    async for chunk in payload:
        value += chunk
        if len(value) > MAX_FIELD:
            raise BadRequest(f"The field {name[:40]!r} has more than {MAX_FIELD // 1024} kB.")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The field {name[:40]!r} is not UTF-8.") from error


def _filename(segment: MultipartSegment) -> str | None:
    """`filename`, or the RFC 8187 form that some clients send for names beyond ASCII."""
    _, options = parse_options_header(segment.header("content-disposition", ""))
    charset, _, encoded = options.get("filename*", "").partition("''")
    if encoded and charset.lower() == "utf-8":
        return unquote(encoded)
    name: str | None = segment.filename
    return name


def _json_fields(text: str) -> dict[str, str]:
    """The members of a JSON object, as the texts that a form would hold."""
    given = _json(text, "body")
    if not isinstance(given, dict):
        raise BadRequest("The body is not a JSON object.", hint='E.g. {"target": "pdf", ...}')
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
        if value is not None
    }


def _form_fields(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=MAX_PARTS))
    except ValueError as error:
        raise BadRequest("The body is not a form.") from error


_PARSERS = {"application/json": _json_fields, "application/x-www-form-urlencoded": _form_fields}


def _json(text: str, what: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        found = json.loads(text, parse_constant=refuse)
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()  # as we will have to
        _check_depth(found, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"`{what}` is not JSON.", hint=f"Send {what} as a JSON text.") from error
    return found


def _check_depth(value: Any, most: int) -> None:
    if most < 0:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    inner = value.values() if isinstance(value, dict) else value
    for part in inner if isinstance(value, (dict, list)) else ():
        _check_depth(part, most - 1)
