"""The HTTP application: its routers, and how errors are answered."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from filemill import __version__
from filemill.courier import Courier
from filemill.errors import BadRequest, FilemillError, MethodNotAllowed, NotFound
from filemill.http import convert, discovery, files, health, jobs, keys, uploads, webhooks
from filemill.http.documents import errors
from filemill.http.door import Door
from filemill.http.limits import RateHeaders
from filemill.http.linger import Linger
from filemill.http.patience import Patience
from filemill.http.site import Site

log = logging.getLogger(__name__)

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def build(
    door: Door,
    courier: Courier,
    check: Callable[[], None],
    counts: health.Counts,
    lifespan: Lifespan,
    *,
    client_timeout: float,
    upload_origins: Sequence[str],
    site: Site | None = None,
) -> FastAPI:
    """`client_timeout`: how long a client may be silent before its request is whole, seconds.
    `upload_origins`: of web pages elsewhere that may upload. `site`: whom a server without keys
    serves."""

    @asynccontextmanager
    async def live(_api: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    api = FastAPI(
        title="filemill",
        version=__version__,
        summary="Send a file and a target format, get the converted file back.",
        lifespan=live,
        redoc_url=None,
        dependencies=[Depends(_named), *([Depends(_site(site))] if site else ())],
        responses=errors(403) if site else None,
    )
    api.state.door = door
    for module in (convert, jobs, uploads, files, discovery, keys):
        api.include_router(module.router(door))
    api.include_router(webhooks.router(door, courier))
    api.include_router(health.router(check, counts))
    api.add_middleware(RateHeaders)
    api.add_middleware(Patience, seconds=client_timeout)
    api.add_middleware(uploads.Tus, origins=upload_origins)
    api.add_middleware(Linger)
    api.add_exception_handler(FilemillError, _filemill_error)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(RequestValidationError, _validation_error)
    api.add_exception_handler(Exception, _unthought_of)
    return api


async def _named(request: Request) -> None:
    """PostgreSQL takes no NUL, and nothing of ours has one in its name."""
    if "\0" in request.scope["path"]:
        raise NotFound("There is nothing here.", hint="/docs shows what there is.")


def _site(site: Site) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        site.check(request)

    return check


def _answer(error: FilemillError) -> Response:
    """In ASCII: it may name what the client sent, which UTF-8 cannot always hold."""
    body = json.dumps({"error": error.to_json()})
    return Response(body, error.status, dict(error.headers), "application/json")


async def _filemill_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FilemillError)
    return _answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _answer(
            MethodNotAllowed(
                f"{request.method} does not work here.", headers=dict(error.headers or {})
            )
        )
    if error.status_code == 404:
        return _answer(NotFound("There is nothing here.", hint="/docs shows what there is."))
    return _answer(BadRequest(str(error.detail)))


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(BadRequest(f"{where}: {first['msg']}.", hint="/docs shows what is expected."))


async def _unthought_of(_request: Request, error: Exception) -> Response:
    log.error("a request failed in a way that nobody thought of", exc_info=error)
    return _answer(FilemillError("Something went wrong on our side.", hint="Try again later."))
