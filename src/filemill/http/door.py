"""What the endpoints share: the service behind them, and who is asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Depends
from starlette.requests import Request

from filemill.errors import BadRequest
from filemill.http.body import Form, read_form
from filemill.http.render import Links
from filemill.jobs.keys import Keys
from filemill.model import ApiKey
from filemill.service import MB, Caps, Service, Upload

SYNC_CAPS = Caps(20 * MB, 100 * MB, "Send it to POST /v1/jobs, which takes up to 500 MB.")


@dataclass(frozen=True, slots=True)
class Door:
    service: Service
    keys: Keys
    links: Links
    job_caps: Caps
    anonymous: ApiKey | None = None
    """The key of whoever brings none; None: a key is needed."""
    sync_caps: Caps = SYNC_CAPS
    sync_seconds: float = 120.0

    async def key(self, request: Request) -> ApiKey:
        """Who is asking. Raises `InvalidApiKey`."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if self.anonymous is not None and not secret:
            return self.anonymous
        return await run_sync(
            self.keys.check, secret.strip() if scheme.lower() == "bearer" else None
        )

    async def form(self, request: Request, caps: Caps) -> tuple[Form, Upload]:
        """Raises `FileTooLarge` before a byte is read when the request says its own size."""
        length = request.headers.get("content-length", "")
        if length.isdigit():
            caps.check_body(int(length))

        async def receive(name: str, chunks: AsyncIterator[bytes], source: str | None) -> Upload:
            return await self.service.receive(name, chunks, caps, source=source)

        form = await read_form(request, receive)
        if form.upload is None:
            raise BadRequest("There is no file in this request.")
        return form, form.upload


async def _asking(request: Request) -> ApiKey:
    door: Door = request.app.state.door
    return await door.key(request)


Asking = Annotated[ApiKey, Depends(_asking)]
"""An endpoint's parameter: the key of whoever asks."""
