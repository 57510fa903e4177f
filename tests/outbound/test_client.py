"""Real requests to real servers on loopback. Where a test needs an address that may be reached
and one that may not, the first is 127.0.0.2, allowed, and the second 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
import trustme
import uvloop
from receivers import head, receiver, scripted

from filemill.errors import (
    BadRequest,
    FileInvalid,
    FilemillError,
    FileTooLarge,
    ServiceUnavailable,
    Timeout,
)
from filemill.outbound import Outbound, check_url, client
from filemill.outbound.guard import Guard

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
SECOND = (ip_network("127.0.0.2/32"),)
MB = 1024 * 1024


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
loop = "asyncio"


@pytest.fixture(autouse=True, params=LOOPS)
def _both_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's loop and the workflows' connect in ways of their own."""
    monkeypatch.setitem(globals(), "loop", request.param)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """A hang fails the test, whatever the timeouts under test do."""

    async def bounded() -> Any:
        return await asyncio.wait_for(work, 60)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(bounded())


class Names:
    """A name server: each look-up takes the next answer, the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def post(outbound: Outbound, url: str, seconds: float = 20) -> Any:
    return await outbound.post(url, b'{"a": 1}', {"Content-Type": "application/json"}, seconds)


async def fetch(outbound: Outbound, url: str, *, seconds: float = 20, limit: int = MB) -> bytes:
    async with outbound.get(url, seconds=seconds, limit=limit) as download:
        return b"".join([chunk async for chunk in download.chunks])


# ---- what may be reached


def test_a_post_arrives_as_it_was_given() -> None:
    with receiver() as told:
        told.status = 204
        told.body = b""
        url = f"http://127.0.0.1:{told.port}/hook%7E?sig=a%2Fb%3d&x=+"
        reply = run(Outbound(LOOPBACK).post(url, b"body", {"X-CTF-Event": "job.completed"}, 20))
        assert (reply.status, reply.error, reply.ok) == (204, None, True)
        [seen] = told.seen
        assert (seen.method, seen.path) == ("POST", "/hook%7E?sig=a%2Fb%3d&x=+")
        assert seen.sha256 == sha256(b"body").hexdigest()
        assert seen.headers["X-CTF-Event"] == "job.completed"
        assert seen.headers["Host"] == f"127.0.0.1:{told.port}"
        assert seen.headers["User-Agent"].startswith("filemill/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.0.0.1.", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"],
)
def test_loopback_is_refused_unless_allowed(host: str) -> None:
    with receiver() as told:
        url = f"http://{host}:{told.port}/"
        outbound = Outbound()
        reply = run(post(outbound, url))
        assert reply.status is None
        assert "not public" in reply.error or "IPv4" in reply.error
        with pytest.raises(BadRequest):
            run(fetch(outbound, url))
        assert told.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1."])
def test_loopback_is_reached_when_allowed(host: str) -> None:
    with receiver() as told:
        assert run(post(Outbound(LOOPBACK), f"http://{host}:{told.port}/")).status == 200
        assert told.connections == 1


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as server:
        try:
            server.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
        server.listen()
        url = f"http://[::1]:{server.getsockname()[1]}/"

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert "loopback" in run(post(Outbound(), url)).error
        assert "loopback" in run(post(Outbound([ip_network("127.0.0.0/8")]), url)).error
        assert run(post(Outbound(LOOPBACK), url)).status == 200
        thread.join()


def test_a_refusal_says_what_to_do() -> None:
    for url in ("http://127.0.0.1/", "https://[::1]/", "ftp://example.com/", "http://10.0.0.1/"):
        with pytest.raises(BadRequest) as caught:
            run(fetch(Outbound(SECOND), url))
        assert caught.value.hint


# ---- names that lie


def test_a_name_is_resolved_once_and_never_trusted_again() -> None:
    with receiver("127.0.0.2") as good, receiver("127.0.0.1") as secret:
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        outbound = Outbound(SECOND, resolve=names)
        reply = run(post(outbound, f"http://rebind.example:{good.port}/"))
        assert reply.status == 200
        assert names.asked == ["rebind.example"]
        assert good.seen[0].headers["Host"] == f"rebind.example:{good.port}"
        reply = run(post(outbound, f"http://rebind.example:{secret.port}/"))
        assert "not public" in reply.error
        assert "127.0.0.1" not in reply.error  # what a name means inside is not told
        assert secret.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "::1"],
        ["127.0.0.2", "::ffff:127.0.0.1"],
        ["127.0.0.2", "64:ff9b::7f00:1"],
        ["127.0.0.2", "fe80::1%1"],
    ],
)
def test_one_bad_address_refuses_the_name(answer: list[str]) -> None:
    with receiver("127.0.0.2") as good:
        outbound = Outbound(SECOND, resolve=Names(answer))
        url = f"http://mixed.example:{good.port}/"
        assert "not public" in run(post(outbound, url)).error
        with pytest.raises(BadRequest):
            run(fetch(outbound, url))
        assert good.connections == 0


def test_falls_back_to_the_next_address_of_a_name() -> None:
    with receiver("127.0.0.2") as good:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.3", "127.0.0.2"]))
        assert run(post(outbound, f"http://two.example:{good.port}/")).status == 200


def test_a_name_without_an_address() -> None:
    for names in (Names([]), None):
        outbound = Outbound(resolve=names)
        assert "has no address" in run(post(outbound, "http://nowhere.invalid/")).error
        with pytest.raises(ServiceUnavailable):
            run(fetch(outbound, "http://nowhere.invalid/"))


@pytest.mark.parametrize("delay", [0.25, None])
def test_every_socket_is_checked_whoever_chose_its_address(delay: float | None) -> None:
    """The second line: a connector whose resolver is not ours, and addresses in URLs."""

    class Liar(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            row = {"hostname": host, "port": port, "family": 0, "proto": 0, "flags": 0}
            return [{**row, "host": address} for address in ("127.0.0.1", "127.0.0.3", "::1")]

        async def close(self) -> None:
            pass

    async def attempt(url: str, guard: Guard) -> None:
        connector = aiohttp.TCPConnector(
            resolver=Liar(), socket_factory=guard.open, happy_eyeballs_delay=delay
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            await session.get(url)

    with receiver() as told:
        for host in ("liar.example", "127.0.0.1", "localhost"):
            url = f"http://{host}:{told.port}/"
            guard = Guard(check_url(url), SECOND, Names(["127.0.0.2"]))
            with pytest.raises(aiohttp.ClientConnectorError):
                run(attempt(url, guard))
            assert guard.refused
        assert told.connections == 0


def test_a_request_makes_its_sockets_by_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first line taken away, an address in a URL still meets the second."""
    monkeypatch.setattr(Guard, "check_literal", lambda self: None)
    with receiver() as told:
        reply = run(post(Outbound(), f"http://127.0.0.1:{told.port}/"))
        assert "not public" in reply.error
        assert told.connections == 0


# ---- ways around


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_reported_not_followed(status: int) -> None:
    with receiver("127.0.0.2") as good, receiver() as secret:
        good.status = status
        good.headers = {"Location": f"http://127.0.0.1:{secret.port}/"}
        outbound = Outbound(LOOPBACK)
        url = f"http://127.0.0.2:{good.port}/"
        reply = run(post(outbound, url))
        assert (reply.status, reply.ok) == (status, False)
        with pytest.raises(FileInvalid) as caught:
            run(fetch(outbound, url))
        assert caught.value.details == {"status": status}
        assert secret.connections == 0


def test_proxies_credentials_and_cookies_of_others_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with receiver("127.0.0.2") as good, receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        (tmp_path / "netrc").write_text("machine 127.0.0.2 login me password secret\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", os.fspath(tmp_path / "netrc"))
        good.headers = {"Set-Cookie": "a=b; Path=/"}
        outbound = Outbound(LOOPBACK)
        for _ in range(2):
            assert run(post(outbound, f"http://127.0.0.2:{good.port}/")).status == 200
        assert proxy.connections == 0
        assert good.connections == 2
        for seen in good.seen:
            assert not {"Cookie", "Authorization", "Proxy-Authorization"} & set(seen.headers)


# ---- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def served(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_is_for_the_name_not_the_address(authority: trustme.CA) -> None:
    with receiver("127.0.0.2", served(authority, "hooks.example")) as told:
        outbound = Outbound(SECOND, resolve=Names(["127.0.0.2"]), tls=trusting(authority))
        reply = run(post(outbound, f"https://hooks.example:{told.port}/"))
        assert (reply.status, reply.error) == (200, None)
        assert told.server_names == ["hooks.example"]
        assert told.seen[0].headers["Host"] == f"hooks.example:{told.port}"
        assert run(fetch(outbound, f"https://HOOKS.example.:{told.port}/")) == b"ok"


def test_a_certificate_must_be_of_that_name_and_of_a_known_authority(
    authority: trustme.CA,
) -> None:
    names = Names(["127.0.0.2"])
    with receiver("127.0.0.2", served(authority, "hooks.example", "127.0.0.3")) as told:
        trusted = Outbound(SECOND, resolve=names, tls=trusting(authority))
        stranger = Outbound(SECOND, resolve=names)
        for outbound, url in (
            (trusted, f"https://other.example:{told.port}/"),
            (trusted, f"https://127.0.0.2:{told.port}/"),
            (stranger, f"https://hooks.example:{told.port}/"),
        ):
            assert "certificate" in run(post(outbound, url)).error
            with pytest.raises(ServiceUnavailable, match="certificate"):
                run(fetch(outbound, url))
        assert told.seen == []


def test_plain_http_where_tls_is_meant() -> None:
    with receiver() as told:
        reply = run(post(Outbound(LOOPBACK), f"https://127.0.0.1:{told.port}/"))
        assert "TLS" in reply.error


# ---- servers that misbehave


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hinting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("script", [silent, dripping, hinting])
def test_an_answer_that_never_comes_ends_in_time(script: Any) -> None:
    async def work() -> None:
        async with scripted(script) as url:
            outbound = Outbound(LOOPBACK)
            reply = await post(outbound, url, 0.5)
            assert reply.status is None
            assert "in time" in reply.error or "valid HTTP" in reply.error
            assert reply.seconds < 20
            with pytest.raises((Timeout, ServiceUnavailable)):
                await fetch(outbound, url, seconds=0.5)

    run(work())


def test_a_socket_that_nobody_accepts_ends_in_time() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)  # the kernel completes the handshake; nobody ever speaks TLS
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        reply = run(post(Outbound(LOOPBACK), url, 0.5))
        assert reply.status is None
        assert "in time" in reply.error or "within 0.5 s" in reply.error


def test_a_slow_name_server_ends_in_time() -> None:
    async def never(host: str) -> Sequence[str]:
        await asyncio.sleep(3600)
        return []

    reply = run(post(Outbound(resolve=never), "http://slow.example/", 0.5))
    assert reply.status is None
    assert "slow.example" in reply.error


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01\x02\x00\x01",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 200_000,
    ],
)
def test_an_answer_that_is_not_http_is_an_error_not_a_traceback(answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async def work() -> None:
        async with scripted(script) as url:
            outbound = Outbound(LOOPBACK)
            reply = await post(outbound, url)
            assert reply.status is None
            assert reply.error.startswith("127.0.0.1")
            with pytest.raises(ServiceUnavailable):
                await fetch(outbound, url)

    run(work())


def test_a_reset_is_an_error() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.transport.abort()

    async def work() -> None:
        async with scripted(script) as url:
            reply = await post(Outbound(LOOPBACK), url)
            assert "closed the connection" in reply.error
        refused = await post(Outbound(LOOPBACK), url)
        assert "refused" in refused.error.lower()

    run(work())


def test_an_endless_answer_to_a_webhook_is_not_read() -> None:
    sent = 0
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
        finally:
            ended.set()

    async def work() -> None:
        async with scripted(script) as url:
            assert (await post(Outbound(LOOPBACK), url)).status == 200
            await ended.wait()

    run(work())
    assert sent < 16 * MB


def test_a_status_is_an_answer_though_the_body_never_ends() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n1")
        await reader.read()

    async def work() -> None:
        async with scripted(script) as url:
            assert (await post(Outbound(LOOPBACK), url)).status == 202

    run(work())


# ---- files


def test_a_file_comes_as_a_stream_with_its_size() -> None:
    body = os.urandom(5 * MB)
    with receiver() as told:
        told.body = body

        async def work() -> None:
            outbound = Outbound(LOOPBACK)
            url = f"http://127.0.0.1:{told.port}/file"
            async with outbound.get(url, seconds=20, limit=len(body)) as download:
                assert download.size == len(body)
                digest = sha256()
                async for chunk in download.chunks:
                    assert len(chunk) <= MB
                    digest.update(chunk)
                assert digest.digest() == sha256(body).digest()

        run(work())
        assert told.seen[0].headers["Accept-Encoding"] == "identity"


def test_a_file_is_no_larger_than_its_limit() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536

    async def work() -> None:
        async with scripted(endless) as url:
            with pytest.raises(FileTooLarge):
                await fetch(Outbound(LOOPBACK), url, limit=3 * MB)
        assert sent < 20 * MB

    run(work())
    with receiver() as told:
        told.body = b"a" * 1000
        url = f"http://127.0.0.1:{told.port}/"
        assert len(run(fetch(Outbound(LOOPBACK), url, limit=1000))) == 1000
        with pytest.raises(FileTooLarge):
            run(fetch(Outbound(LOOPBACK), url, limit=999))


def test_a_reader_that_waits_makes_the_server_wait() -> None:
    """What is read but not taken yet must not pile up here."""
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"a" * 65536)
            await writer.drain()
            sent += 65536

    async def work() -> None:
        async with (
            scripted(endless) as url,
            Outbound(LOOPBACK).get(url, seconds=50, limit=10**12) as download,
        ):
            await anext(download.chunks)
            before = -1
            while before != sent:  # until it stands still
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 16 * MB

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    ],
)
def test_half_a_file_is_no_file(answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)

    async def work() -> None:
        async with scripted(script) as url:
            with pytest.raises(ServiceUnavailable):
                await fetch(Outbound(LOOPBACK), url)

    run(work())


def test_a_body_that_stops_ends_in_time() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def work() -> None:
        async with scripted(script) as url:
            with pytest.raises(Timeout):
                await fetch(Outbound(LOOPBACK), url, seconds=1)

    run(work())


def test_a_body_that_crawls_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for long, and quick at first."""
    monkeypatch.setattr(client, "IDLE", 1.0)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(MB))
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.1)

    async def work() -> None:
        async with scripted(script) as url:
            with pytest.raises(Timeout, match="too slowly"):
                await fetch(Outbound(LOOPBACK), url, seconds=20, limit=10 * MB)

    began = time.monotonic()
    run(work())
    assert time.monotonic() - began < 5


def test_a_slow_but_steady_body_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than anybody may be silent, and while we take our time."""
    monkeypatch.setattr(client, "IDLE", 1.0)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(9):
            writer.write(bytes(1000))
            await writer.drain()
            await asyncio.sleep(0.3)

    async def work() -> None:
        async with (
            scripted(script) as url,
            Outbound(LOOPBACK).get(url, seconds=20, limit=MB) as download,
        ):
            size = 0
            async for chunk in download.chunks:
                size += len(chunk)
                await asyncio.sleep(0.4)
            assert size == 9000

    run(work())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, FileInvalid),
        (403, FileInvalid),
        (206, FileInvalid),
        (204, FileInvalid),
        (429, ServiceUnavailable),
        (500, ServiceUnavailable),
        (503, ServiceUnavailable),
    ],
)
def test_what_is_not_the_file_is_not_taken_for_it(status: int, kind: type[FilemillError]) -> None:
    with receiver() as told:
        told.status = status
        told.body = b""
        with pytest.raises(kind) as caught:
            run(fetch(Outbound(LOOPBACK), f"http://127.0.0.1:{told.port}/"))
        assert caught.value.details == {"status": status}


def test_a_compressed_answer_is_refused_not_blown_up() -> None:
    with receiver() as told:
        told.headers = {"Content-Encoding": "gzip"}
        with pytest.raises(FileInvalid, match="gzip"):
            run(fetch(Outbound(LOOPBACK), f"http://127.0.0.1:{told.port}/"))


def test_errors_of_the_reader_stay_its_own() -> None:
    with receiver() as told:

        async def work() -> None:
            url = f"http://127.0.0.1:{told.port}/"
            for error in (OSError("disk"), TimeoutError("lock"), KeyError("x")):
                with pytest.raises(type(error)) as caught:
                    async with Outbound(LOOPBACK).get(url, seconds=20, limit=MB):
                        raise error
                assert caught.value is error

        run(work())


async def blocks(count: int, size: int = 65536) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * size


def test_a_put_streams_with_its_length() -> None:
    expected = sha256(b"".join(bytes([n % 251]) * 65536 for n in range(320))).hexdigest()
    with receiver() as told:
        url = f"http://127.0.0.1:{told.port}/bucket/key?X-Amz-Signature=a%2Fb"
        size = 320 * 65536
        headers = {"Content-Type": "video/webm"}
        reply = run(Outbound(LOOPBACK).put(url, blocks(320), size, headers, 50))
        assert reply.status == 200
        [seen] = told.seen
        assert (seen.method, seen.size, seen.sha256) == ("PUT", size, expected)
        assert seen.path == "/bucket/key?X-Amz-Signature=a%2Fb"
        assert seen.headers["Content-Length"] == str(size)
        assert seen.headers["Content-Type"] == "video/webm"
        assert "Transfer-Encoding" not in seen.headers
        told.seen.clear()
        assert run(Outbound(LOOPBACK).put(url, blocks(0), 0, {}, 20)).ok
        assert (told.seen[0].size, told.seen[0].headers["Content-Length"]) == (0, "0")


@pytest.mark.parametrize("size", [1, 65536, 65536 * 3])
def test_a_put_of_another_length_than_said_fails(size: int) -> None:
    with receiver() as told:
        url = f"http://127.0.0.1:{told.port}/"
        with pytest.raises(ValueError, match="not of"):
            run(Outbound(LOOPBACK).put(url, blocks(2), size, {}, 20))


def test_an_error_of_the_stream_is_not_the_receivers() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a" * 65536
        raise FileInvalid("gone")

    with receiver() as told:
        url = f"http://127.0.0.1:{told.port}/"
        with pytest.raises(FileInvalid, match="gone"):
            run(Outbound(LOOPBACK).put(url, broken(), 131072, {}, 20))
        assert told.seen == []


def test_a_receiver_that_takes_nothing_ends_a_put_in_time() -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        async for block in blocks(10_000):
            taken += len(block)
            yield block

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(50)

    async def work() -> None:
        async with scripted(script) as url:
            reply = await Outbound(LOOPBACK).put(url, counted(), 10_000 * 65536, {}, 1)
            assert reply.status is None
            assert "in time" in reply.error
            assert taken < 32 * MB

    run(work())


@pytest.mark.parametrize(("size", "rate", "status"), [(32 * MB, 5_000, None), (MB, 500_000, 200)])
def test_a_receiver_that_crawls_ends_a_put_soon(
    size: int, rate: int, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes longer than anybody may be silent, but steadily, gets all of it."""
    monkeypatch.setattr(client, "IDLE", 1.0)
    monkeypatch.setattr(client, "SLOWEST", 50_000)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        left = size
        while left:
            left -= len(await reader.read(rate // 20))
            await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def work() -> None:
        async with scripted(script) as url:
            reply = await Outbound(LOOPBACK).put(url, blocks(size // 65536), size, {}, 20)
            assert reply.status == status
            assert reply.late is (status is None)
            if status is None:
                assert "too slowly" in str(reply.error)

    began = time.monotonic()
    run(work())
    assert time.monotonic() - began < 8


def test_a_receiver_may_refuse_a_put_early() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(10 * MB)

    async def work() -> None:
        async with scripted(script) as url:
            reply = await Outbound(LOOPBACK).put(url, blocks(1000), 1000 * 65536, {}, 20)
            assert reply.status == 403

    run(work())


def test_one_object_serves_many_event_loops_at_once() -> None:
    with receiver() as told:
        outbound = Outbound(LOOPBACK)
        replies: list[Any] = []

        async def some() -> None:
            url = f"http://localhost:{told.port}/"
            replies.extend(await asyncio.gather(*(post(outbound, url) for _ in range(10))))

        threads = [threading.Thread(target=run, args=(some(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [reply.status for reply in replies] == [200] * 60
        assert told.connections == 60


def test_nothing_is_left_open(recwarn: pytest.WarningsRecorder) -> None:
    with receiver() as told:
        url = f"http://127.0.0.1:{told.port}/"
        before = len(os.listdir("/proc/self/fd"))
        outbound = Outbound(LOOPBACK)

        async def work() -> None:
            for _ in range(20):
                await post(outbound, url)
                await post(Outbound(), url)
                async with outbound.get(url, seconds=20, limit=MB):
                    pass

        run(work())
        deadline = time.monotonic() + 20
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
            time.sleep(0.05)  # the receiver's own ends
        assert len(os.listdir("/proc/self/fd")) <= before
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]
