"""Routes whose body FastAPI reads whole, before it asks who sends it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from filemill.http.body import MAX_FIELD


class Small(APIRoute):
    """A route that takes a body of up to `MAX_FIELD` bytes; more would be held in memory.

    Not FastAPI's `max_body_size`: what that answers is not one of our errors."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            size = 0

            async def receive() -> Message:
                nonlocal size
                message = await request.receive()
                size += len(message.get("body", b""))
                if size > MAX_FIELD:
                    # FastAPI lets no other exception through as it is.
                    raise HTTPException(400, f"The body has more than {MAX_FIELD // 1024} kB.")
                return message

            return await handle(Request(request.scope, receive))

        return bounded
