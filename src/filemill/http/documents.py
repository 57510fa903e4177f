"""Pieces of the OpenAPI document that more than one endpoint uses."""

from __future__ import annotations

from typing import Any

from filemill.errors import BY_CODE, FilemillError
from filemill.http import schemas


def _described(status: int) -> str:
    codes = sorted(
        code
        for code, kind in BY_CODE.items()
        if kind.status == status and kind is not FilemillError
    )
    return f"One of: {', '.join(codes)}."


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": schemas.ErrorEnvelope, "description": _described(status)}
        for status in statuses
    }


def asking(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Of an endpoint that needs a key: that may be wrong, or ask too often."""
    return errors(*sorted({401, 429, *statuses}))


def submission_body(*, webhooks: bool) -> dict[str, Any]:
    """The bodies of a submission: a form; the raw file with the form's fields in the query; and,
    where the file is elsewhere, JSON or a urlencoded form."""
    fields: dict[str, Any] = {
        "target": {"type": "string", "description": "Format wanted: id, extension or media type."},
        "source": {"type": "string", "description": "Format of the file, when it is not detected."},
        "quality": {"type": "integer", "minimum": 1, "maximum": 100},
        "options": {"type": "string", "description": "JSON object of the route's options."},
    }
    if webhooks:
        fields |= {
            "upload_id": {"type": "string", "description": "A complete upload, instead of a file."},
            "source_url": {"type": "string", "description": "Where to fetch the file from."},
            "output_url": {"type": "string", "description": "Where to PUT the result, presigned."},
            "webhook_url": {"type": "string", "description": "Told when the job has ended."},
            "webhook_metadata": {"type": "string", "description": "JSON, given back as JSON."},
        }
    fields["filename"] = {"type": "string", "description": "Name of the file."}
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": binary, **fields}}
    bodies = {"multipart/form-data": form, "application/octet-stream": binary}
    if webhooks:
        elsewhere = {"type": "object", "properties": fields}
        bodies |= {"application/json": elsewhere, "application/x-www-form-urlencoded": elsewhere}
    else:
        form["required"] = ["file"]
    return {
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": schema} for kind, schema in bodies.items()},
        },
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in fields.items()
        ]
        + [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:+/-]{1,128}$"},
                "description": "Sent again with the same request: the same answer, no second job.",
            }
        ],
    }
