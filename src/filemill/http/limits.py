"""What an answer says about the rate of its asker."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filemill.ratelimit import Rate


def address(request: Request) -> str:
    """Whom a client is counted as when it has no key: its address, or for IPv6 the network of
    64 bits that a single customer has."""
    host = request.client.host if request.client else ""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def note(request: Request, rate: Rate) -> None:
    """Have the answer tell `rate`, whatever it is."""
    request.scope["state"]["rate"] = rate


def told(request: Request) -> Rate:
    rate: Rate = request.scope["state"]["rate"]
    return rate


class RateHeaders:
    """ASGI middleware: puts what was noted on the answer, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def telling_send(message: Message) -> None:
            rate: Rate | None = state.get("rate")
            if rate is not None and message["type"] == "http.response.start":
                told = [(name.lower().encode(), v.encode()) for name, v in rate.headers.items()]
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        await self._app(scope, receive, telling_send)
