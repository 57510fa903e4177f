"""HTTP to addresses that clients name.

Every connection is made by a `Guard`. Certificates, SNI and `Host` stay those of the name.
No redirect is followed, no proxy of the environment used, no cookie kept.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
from yarl import URL

from filemill import __version__
from filemill.errors import BadRequest, FileInvalid, FileTooLarge, ServiceUnavailable, Timeout
from filemill.outbound.addresses import IPNetwork, Target, check_url
from filemill.outbound.guard import Guard, Resolve
from filemill.ports.remote import Reply

CONNECT = 10.0
"""Seconds to resolve, connect and shake hands."""
IDLE = 60.0
"""Seconds without a byte of a body, and without as much of it as `SLOWEST` says."""
ANSWER = 600.0
"""Seconds until the answer to a file that was sent: the last megabytes of it may be in the kernel
still."""
SLOWEST = 1024
"""Bytes a second."""
CHUNK = 256 * 1024
PIECE = 16 * 1024
"""Bytes sent at once: small, since only then is it seen how fast they go."""
SETTLE = 1.0
"""Seconds that a receiver may take to end its answer once the status is known."""
_TOO_SLOWLY = f"too slowly: {SLOWEST // 1024} kB a second is the least."


@dataclass(frozen=True, slots=True)
class Download:
    size: int | None
    """Bytes, if the server says so."""
    chunks: AsyncIterator[bytes]
    """Raises what `Outbound.get` raises. Ends only where the whole body ends."""


class _Slack:
    """How long the other side may still take: waiting uses it up, bytes earn it back. What came
    quickly does not pay for minutes of crawling."""

    def __init__(self) -> None:
        self.left = IDLE

    def spend(self, seconds: float, size: int) -> None:
        self.left = min(IDLE, self.left - seconds + size / SLOWEST)


class Outbound:
    """Nothing is kept between requests but threads for the resolver, so one object serves
    every event loop, and no connection outlives the check it was made after."""

    def __init__(
        self,
        allowed: Sequence[IPNetwork] = (),
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`allowed`: networks to be reached although not public.
        `tls`: default: TLS 1.2 or newer and the system's authorities."""
        self._allowed = tuple(allowed)
        self._resolve = resolve or self._system
        self._tls = tls
        # Of its own: names whose servers never answer must not hold the loop's threads.
        self._threads = ThreadPoolExecutor(16, "resolver")

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        """Never raises for the URL nor for what the receiver does. Redirects are not followed."""
        return await self._send("POST", url, body, headers, seconds, idle=IDLE)

    async def put(
        self,
        url: str,
        chunks: AsyncIterable[bytes],
        size: int,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Reply:
        """Send a stream of exactly `size` bytes. Raises only what `chunks` raises."""
        failed: list[BaseException] = []
        began, slack = monotonic(), _Slack()
        loop = asyncio.get_running_loop()

        async def counted() -> AsyncIterator[bytes]:
            left = size
            try:
                async for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        break
                    for start in range(0, len(chunk), PIECE):
                        piece, now = chunk[start : start + PIECE], loop.time()
                        patience.reschedule(now + slack.left)
                        yield piece  # until it has gone
                        slack.spend(loop.time() - now, len(piece))
                    patience.reschedule(None)
                if left:
                    raise ValueError(f"the stream is not of {size} bytes")
                patience.reschedule(loop.time() + ANSWER)
            except Exception as error:  # the library would call it a broken connection
                failed.append(error)
                raise

        headers = {**headers, "Content-Length": str(size)}
        try:
            async with asyncio.timeout(CONNECT + ANSWER) as patience:
                body = counted() if size else b""
                # Not `IDLE`: the library counts from the start, while there is nothing to answer.
                reply = await self._send("PUT", url, body, headers, seconds, idle=seconds)
        except TimeoutError:
            error = f"The file was not answered, or taken {_TOO_SLOWLY}"
            reply = Reply(None, error, monotonic() - began, late=True)
        if failed:
            raise failed[0]
        return reply

    @asynccontextmanager
    async def get(self, url: str, *, seconds: float, limit: int) -> AsyncIterator[Download]:
        """The body behind a URL, at most `limit` bytes.

        Raises `BadRequest` (the URL is refused), `FileInvalid` (there is no such file, or its
        server sends it elsewhere or compressed), `FileTooLarge`, `Timeout` (its server is
        silent or too slow), or `ServiceUnavailable` (it failed; it may work later).
        """
        target = check_url(url)
        async with self._exchange("GET", target, None, {}, seconds, IDLE) as (response, telling):
            _check_answer(response, target)
            size = response.content_length
            if size is not None and size > limit:
                raise _too_large(limit)

            async def chunks() -> AsyncIterator[bytes]:
                left, slack = limit, _Slack()
                while True:
                    began = monotonic()
                    with telling():
                        try:
                            async with asyncio.timeout(slack.left):
                                chunk = await response.content.read(CHUNK)
                        except TimeoutError:
                            raise Timeout(f"{target.host} sent the file {_TOO_SLOWLY}") from None
                    slack.spend(monotonic() - began, len(chunk))
                    if not chunk:
                        return
                    left -= len(chunk)
                    if left < 0:
                        raise _too_large(limit)
                    yield chunk

            yield Download(size, chunks())

    async def _send(
        self,
        method: str,
        url: str,
        body: bytes | AsyncIterable[bytes],
        headers: Mapping[str, str],
        seconds: float,
        *,
        idle: float,
    ) -> Reply:
        start = monotonic()
        try:
            target = check_url(url)
            async with self._exchange(method, target, body, headers, seconds, idle) as (
                response,
                _,
            ):
                reply = Reply(response.status, None, monotonic() - start)
                # Hanging up on a receiver that still writes would be an error in its log.
                with suppress(aiohttp.ClientError, TimeoutError, EOFError):
                    async with asyncio.timeout(SETTLE):
                        await response.content.readexactly(65536)
                return reply
        except (BadRequest, Timeout, ServiceUnavailable) as error:
            late = isinstance(error, Timeout)
            return Reply(None, error.message, monotonic() - start, late)

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        target: Target,
        body: bytes | AsyncIterable[bytes] | None,
        headers: Mapping[str, str],
        seconds: float,
        idle: float,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Callable[[], Any]]]:
        """One request on a connection of its own, and what tells its failures apart."""
        guard = Guard(target, self._allowed, self._resolve)
        guard.check_literal()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=guard,
                socket_factory=guard.open,
                use_dns_cache=False,
                force_close=True,
                ssl=self._tls or True,
            ),
            timeout=aiohttp.ClientTimeout(
                total=seconds, connect=min(CONNECT, seconds), sock_read=min(idle, seconds)
            ),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=CHUNK,
            headers={"User-Agent": f"filemill/{__version__}", "Accept-Encoding": "identity"},
        )

        @contextmanager
        def telling() -> Iterator[None]:
            try:
                yield
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _told(error, guard, seconds) from error

        async with session:
            with telling():
                response = await session.request(
                    method,
                    _yarl(target),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                )
            async with response:
                yield response, telling

    async def _system(self, host: str) -> Sequence[str]:
        infos = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [str(info[4][0]) for info in infos]


def _yarl(target: Target) -> URL:
    host = f"[{target.host}]" if ":" in target.host else target.host
    # As given (`encoded`): yarl would write `%7E` as `~`, which breaks signatures.
    return URL.build(
        scheme=target.scheme,
        host=host,
        port=target.port,
        path=target.path,
        query_string=target.query,
        encoded=True,
    )


def _check_answer(response: aiohttp.ClientResponse, target: Target) -> None:
    status, details = response.status, {"status": response.status}
    if status == 429 or status >= 500:
        raise ServiceUnavailable(f"{target.host} answered {status}.", details=details)
    if 300 <= status < 400:
        raise FileInvalid(
            f"{target.host} answered {status}: a redirect, and none is followed.",
            hint="Give the URL of the file itself.",
            details=details,
        )
    if status != 200:
        raise FileInvalid(
            f"{target.host} answered {status}.",
            hint="Check that the URL is right and has not expired.",
            details=details,
        )
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        # Not undone: a few bytes could become a disk full of them.
        raise FileInvalid(
            f"{target.host} sends the file compressed ({coding[:40]}) although not asked to.",
            hint="Store the file without Content-Encoding.",
        )


def _told(
    error: Exception, guard: Guard, seconds: float
) -> BadRequest | Timeout | ServiceUnavailable:
    """The error to tell: of ours, and without the insides of a library."""
    host = guard.target.host
    match error:
        case _ if guard.refused:
            return guard.refused
        case aiohttp.ConnectionTimeoutError():
            what = f"{host} could not be connected to within {min(CONNECT, seconds):g} s"
        case TimeoutError():
            return Timeout(f"{host} did not answer in time.")
        case aiohttp.ClientConnectorCertificateError():
            what = f"the certificate of {host} is not valid: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            what = f"no TLS connection to {host}"
        case aiohttp.ClientConnectorDNSError():
            what = f"{host} has no address"
        case aiohttp.ClientConnectorError():
            # Not the loop's own words: they name the address, which may be an inner, allowed one.
            what = f"{host}: {os.strerror(error.os_error.errno or errno.ECONNABORTED)}"
        case aiohttp.ClientPayloadError():
            what = f"{host} stopped before the end"
        case aiohttp.ClientResponseError():
            what = f"{host} did not answer in valid HTTP"
        case _:
            what = f"{host} closed the connection"
    return ServiceUnavailable(f"{what[0].upper()}{what[1:]}.")


def _too_large(limit: int) -> FileTooLarge:
    return FileTooLarge(
        f"The file is larger than {limit} bytes.", details={"limit": "size", "allowed": limit}
    )
