"""Idempotency-Key: a request that is sent again makes no second job."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from filemill.errors import BadRequest, Conflict
from filemill.http.body import Form
from filemill.model import ApiKey
from filemill.submission import Once, Upload

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
"""On an answer that was given before."""
_TOKEN = re.compile(r"[A-Za-z0-9._:+/-]{1,128}")


class Onces:
    """The requests with an Idempotency-Key that this process is at. What was accepted is in
    the database; this only saves a second request the sending of its body."""

    def __init__(self) -> None:
        self._at: set[tuple[str, str]] = set()

    @contextmanager
    def of(self, request: Request, key: ApiKey) -> Iterator[str | None]:
        """The request's Idempotency-Key, taken until the answer. Raises `BadRequest` for one
        that is none, `Conflict` while the first request is still being answered."""
        token = request.headers.get(HEADER)
        if token is None:
            yield None
            return
        if not _TOKEN.fullmatch(token):
            raise BadRequest(
                f"`{HEADER}` is up to 128 characters of A-Z a-z 0-9 . _ - : + /",
                hint="A random UUID does.",
            )
        if (key.id, token) in self._at:
            raise in_flight()
        self._at.add((key.id, token))
        try:
            yield token
        finally:
            self._at.discard((key.id, token))


def in_flight() -> Conflict:
    return Conflict(
        "The first request with this Idempotency-Key is not answered yet.",
        hint="Send it again a little later.",
        headers={"Retry-After": "1"},
    )


def once(token: str | None, request: Request, form: Form, upload: Upload | None) -> Once | None:
    """The same for requests that ask the same: method, path, fields in any order and place,
    the file's name and bytes. The boundary of a form does not matter."""
    if token is None:
        return None
    asked = [
        request.method,
        request.url.path,
        sorted(form.fields.items()),
        *((upload.filename, upload.blob.sha256) if upload else ()),
    ]
    return Once(token, hashlib.sha256(json.dumps(asked).encode()).hexdigest())
