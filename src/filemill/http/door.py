"""What the endpoints share: the service behind them, and who is asking."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from starlette.requests import Request

from filemill.disk import Watermark
from filemill.http.body import Form, read_form
from filemill.http.limits import address, note
from filemill.http.once import Onces
from filemill.http.render import Links
from filemill.intake import MB, Caps
from filemill.jobs.keys import Keys
from filemill.model import ApiKey
from filemill.plans import KeyPlan
from filemill.ratelimit import MINUTE, Limiter
from filemill.service import Service
from filemill.submission import Upload
from filemill.uploads import Uploads

SOON_READ = MB
"""A body up to this size is read as soon as the database is asked about its key."""
SYNC_CAPS = Caps(20 * MB, 100 * MB, "Send it to POST /v1/jobs, which takes larger ones.")


@dataclass(frozen=True, slots=True)
class Door:
    service: Service
    uploads: Uploads
    keys: Keys
    links: Links
    job_caps: Caps
    disk: Watermark
    limiter: Limiter
    keys_per_hour: int = 20
    free_keys: bool = True
    onces: Onces = field(default_factory=Onces)
    anonymous: ApiKey | None = None
    """The key of whoever brings none; None: a key is needed."""
    sync_caps: Caps = SYNC_CAPS
    sync_seconds: float = 120.0

    async def key(self, request: Request) -> ApiKey:
        """Who is asking; counts the request. Raises `InvalidApiKey` or `RateLimited`."""
        given = secret(request)
        if self.anonymous is not None and not given:
            key, subject = self.anonymous, f"address:{address(request)}"
        else:
            key = await run_sync(self.keys.check, given)
            subject = key.id
        await self.count(request, subject, self.plan(key).requests_per_minute)
        return key

    async def count(
        self, request: Request, subject: str, limit: int, *, seconds: int = MINUTE
    ) -> None:
        """Count a request of `subject`. Raises `RateLimited`."""
        now = time.time()
        rate = await self.limiter.spend(subject, limit, seconds=seconds, now=now)
        note(request, rate)
        rate.check(now=now)

    def plan(self, key: ApiKey) -> KeyPlan:
        return self.service.admission.plan(key)

    def caps(self, caps: Caps, key: ApiKey) -> Caps:
        """Those of a door, or of the key's plan where it allows less."""
        return self.service.admission.caps(caps, key.plan)

    @asynccontextmanager
    async def form(
        self, request: Request, key: ApiKey, caps: Caps, token: str | None
    ) -> AsyncIterator[Form]:
        """What is asked, its file received; dropped when that fails, or what is done with it.
        Before a byte of the body is read it raises what the head tells already:
        `FileTooLarge`, `ServiceUnavailable`, `QuotaExceeded`, `TooBusy`.

        `token`: the request's Idempotency-Key."""
        caps = self.caps(caps, key)
        length = request.headers.get("content-length", "")
        size = int(length) if length.isdigit() else None
        caps.check_body(size or 0)
        self.disk.check(size or 0)
        if size is None or size > SOON_READ:
            await self.service.foresee(key, token)

        async def receive(name: str, chunks: AsyncIterator[bytes], source: str | None) -> Upload:
            watched = self.disk.watching(chunks)
            return await self.service.receive(name, watched, caps, source=source)

        form = Form()
        try:
            await read_form(request, form, receive)
            yield form
        except BaseException:
            if form.upload:
                await self.service.discard(form.upload)
            raise


def secret(request: Request) -> str | None:
    """What the request brings as a key (RFC 6750)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


_BEARER = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="`ctf_sk_...`, from `filemill keys create`."
)


async def _asking(request: Request, _documented: Annotated[Any, Security(_BEARER)]) -> ApiKey:
    door: Door = request.app.state.door
    return await door.key(request)


Asking = Annotated[ApiKey, Depends(_asking)]
"""An endpoint's parameter: the key of whoever asks."""
