"""Answering before the request's body has been read, without the client losing the answer.

A client that still sends when the connection closes may get a reset instead of the
answer (RFC 9112, 9.6). So after an early answer the rest of the body is read and
thrown away for a moment, then the connection closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 64 * 1024 * 1024
MAX_SECONDS = 5.0


class Linger:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read_all = False

        async def watched_receive() -> Message:
            nonlocal read_all
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                read_all = True
            return message

        async def lingering_send(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if not last or read_all or _bodiless(scope):
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drain(watched_receive, lambda: read_all)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched_receive, lingering_send)


def _bodiless(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return not names & {b"content-length", b"transfer-encoding"}


async def _drain(receive: Receive, done: Callable[[], bool]) -> None:
    seen = 0
    try:
        async with asyncio.timeout(MAX_SECONDS):
            while not done() and seen < MAX_BYTES:
                seen += len((await receive()).get("body", b""))
    except TimeoutError:
        pass
