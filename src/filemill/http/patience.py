"""A limit to how slowly a request's body may come, which uvicorn has not.

A client may be silent for some seconds, and over the whole body has that time and a second
more for each kilobyte: a connection is neither held by silence nor by a byte now and then.
Time that we take ourselves does not count.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filemill.errors import RequestTimeout

SLOWEST = 1024
"""Bytes a second."""


class Patience:
    """ASGI middleware. `receive` raises `RequestTimeout`."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left, whole = self._seconds, False

        async def patient() -> Message:
            nonlocal left, whole
            if whole:  # what comes now is only that the client has gone
                return await receive()
            began = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(left, self._seconds))):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(
                    "The upload came too slowly, or not at all.",
                    hint=f"Go on sending at least every {self._seconds:.0f} seconds.",
                    headers={"Connection": "close"},
                ) from None
            left += len(message.get("body", b"")) / SLOWEST - (time.monotonic() - began)
            whole = message["type"] == "http.disconnect" or not message.get("more_body")
            return message

        await self._app(scope, patient, send)
