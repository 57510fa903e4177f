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


_UPLOADS_ONLY = {412, 415, 423, 460}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": schemas.ErrorEnvelope, "description": _described(status)}
        for status in statuses
    }


ERRORS = errors(*sorted({kind.status for kind in BY_CODE.values()} - {500} - _UPLOADS_ONLY))
"""Every error of a submission, by status."""


def submission_body(*, webhooks: bool) -> dict[str, Any]:
    """The two bodies of a submission: a form, or the raw file with the form's fields in the
    query."""
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
    binary = {"type": "string", "format": "binary"}
    query = fields | {"filename": {"type": "string", "description": "Name of the raw file."}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file", "target"],
                        "properties": {"file": binary, **fields},
                    }
                },
                "application/octet-stream": {"schema": binary},
            },
        },
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in query.items()
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
