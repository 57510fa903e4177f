"""Malformed, endless and lying requests against a live server, byte by byte."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from hostile.wire import Answer, answer, ask, connect, post
from server.running import Server

PATIENCE = 2
TEXT = b"# Hello\n"
FORM = b"Content-Type: multipart/form-data; boundary=b"
RAW = "/v1/convert?target=html&filename=a.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that is not patient; its log must not hold a traceback in the end."""
    data = tmp_path_factory.mktemp("http") / "data"
    with Server(data, client_timeout=str(PATIENCE)) as running:
        yield running
        works(running)
    assert "Traceback" not in running.log, running.log[-5000:]
    assert list((data / "scratch").glob("job_*")) == []


def works(server: Server) -> None:
    with server.client() as client:
        reply = client.post(
            "/v1/convert", content=TEXT, params={"target": "html", "filename": "a.md"}
        )
    assert reply.status_code == 200, reply.text
    assert "Hello" in reply.text


def stored(server: Server) -> set[Path]:
    return set((server.data / "blobs" / "jobs").glob("*/*"))


def part(name: str, content: bytes, disposition: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{disposition}'.encode(
        "utf-8", "surrogateescape"
    )
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(parts) + end


TARGET = part("target", b"html")
FILE = part("file", TEXT, '; filename="a.md"')


def send_form(server: Server, body: bytes, content_type: bytes = FORM) -> Answer:
    return ask(server.url, post("/v1/convert", server.key, content_type, length=len(body)), body)


def refused(reply: Answer, *allowed: int) -> None:
    """An answer of ours that blames the client, or no answer at all (0)."""
    assert reply.status in (allowed or (400,)), (reply.head, reply.body[:500])
    if reply.status:
        error = json.loads(reply.body)["error"]
        assert error["code"]
        assert error["message"]


# Slow clients


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\r\n",
        b"POST /v1/conv",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: aaa",
    ],
    ids=["nothing", "line-end", "method", "headers", "header"],
)
def test_a_head_that_never_ends_is_cut_off(server: Server, start: bytes) -> None:
    with connect(server.url) as client:
        client.sendall(start)
        assert answer(client).status == 0
    works(server)


def test_a_head_that_trickles_is_cut_off(server: Server) -> None:
    """A byte now and then does not buy more time."""
    with connect(server.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert _cut_off(client, b"X-A: b\r\n")


def _cut_off(client: socket.socket, byte: bytes) -> bool:
    for _ in range(600):
        try:
            client.sendall(byte)
        except ConnectionError:
            return True
        time.sleep(0.1)
    return False


def test_a_connection_kept_alive_is_closed_when_nothing_follows(server: Server) -> None:
    with connect(server.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(b"\r\n")
        while client.recv(65536):
            pass


STOPPING = {
    "raw": ((b"Content-Length: 1000",), b"#"),
    "form": ((b"Content-Length: 1000", FORM), TARGET),
    "file": ((b"Content-Length: 1000", FORM), TARGET + FILE[:-4]),
    "chunk": ((b"Transfer-Encoding: chunked",), b"8\r\n# He"),
    "continue": ((b"Content-Length: 1000", b"Expect: 100-continue"), b""),
}


@pytest.mark.parametrize("path", ["/v1/convert", "/v1/jobs"])
def test_bodies_that_stop_are_answered_408(server: Server, path: str) -> None:
    with ExitStack() as opened:
        clients = {name: opened.enter_context(connect(server.url)) for name in STOPPING}
        for name, (headers, body) in STOPPING.items():
            head = post(f"{path}?target=html&filename=a.md", server.key, *headers)
            clients[name].sendall(head + body)
        for client in clients.values():
            reply = answer(client)
            if reply.head.startswith("HTTP/1.1 100"):
                body = reply.body.partition(b"\r\n\r\n")[2]
                reply = Answer(int(reply.body.split()[1]), reply.head, body)
            refused(reply, 408)


def test_a_body_that_trickles_is_answered_408(server: Server) -> None:
    with connect(server.url) as client:
        client.sendall(post(RAW, server.key, length=10_000))
        client.settimeout(0.2)
        got = b""
        for _ in range(600):
            try:
                client.sendall(b"#")
                got += client.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if got:
                break
        assert got.startswith(b"HTTP/1.1 408"), got


def test_many_idle_connections_leave_room(server: Server) -> None:
    with ExitStack() as opened:
        for _ in range(800):
            opened.enter_context(connect(server.url))
        works(server)


def test_clients_that_hang_up_leave_nothing(server: Server) -> None:
    for _ in range(50):
        with connect(server.url) as client:
            client.sendall(post(RAW, server.key, length=1000) + b"# Hel")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    works(server)


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 10_000_000,
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(300)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 100_000 + b": b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" * 20,
        b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\n Folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX A: b\r\n\r\n",
        b"\0" * 1000,
    ],
    ids=[
        "long-path", "endless-header", "long-header", "10000-headers", "300-headers", "long-name",
        "bytes-in-path", "version", "tls", "nul", "folded", "space-in-name", "nuls",
    ],
)  # fmt: skip
def test_absurd_heads(server: Server, head: bytes) -> None:
    refused(ask(server.url, head), 400, 404, 0)
    works(server)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: -1",),
        (b"Content-Length: ten",),
        (b"Content-Length: 1e3",),
        (b"Content-Length: +8",),
        (b"Content-Length: 99999999999999999999999999",),
        (b"Content-Length: 8", b"Content-Length: 9"),
        (b"Content-Length: 8, 8",),
        (b"Content-Length: 8", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: xchunked",),
    ],
    ids=lambda headers: b" ".join(headers).decode(),
)
def test_lengths_that_lie_or_disagree(server: Server, headers: tuple[bytes, ...]) -> None:
    refused(ask(server.url, post(RAW, server.key, *headers) + TEXT), 400, 413, 0)
    works(server)


@pytest.mark.parametrize(
    "body",
    [
        b"FFFFFFFFFFFFFFFFFF\r\n# Hello\n\r\n0\r\n\r\n",
        b"-8\r\n# Hello\n\r\n0\r\n\r\n",
        b"8;" + b"x" * 100_000 + b"\r\n# Hello\n\r\n0\r\n\r\n",
        b"zz\r\n# Hello\n\r\n0\r\n\r\n",
        b"8\r\n# Hello\nX\r\n0\r\n\r\n",
        b"8\n# Hello\n\n0\n\n",
        b"7\r\n# Hello",
    ],
    ids=["overflow", "negative", "extension", "letters", "longer", "bare-lf", "cut-off"],
)
def test_chunks_that_lie(server: Server, body: bytes) -> None:
    head = post(RAW, server.key, b"Transfer-Encoding: chunked")
    reply = ask(server.url, head, body)
    assert reply.status in (0, 200, 400, 408), reply.head
    works(server)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"8;a=", b"x" * 65536),
        (b"8\r\n# Hello\n\r\n0\r\nX-A: ", b"x" * 65536),
        (b"8\r\n# Hello\n\r\n0\r\n", b"X-A: b\r\n" * 8192),
    ],
    ids=["extension", "trailer", "trailers"],
)
@pytest.mark.parametrize("key", ["", "none"])
def test_what_is_neither_head_nor_body_ends(
    server: Server, start: bytes, more: bytes, key: str
) -> None:
    sent = 0
    with connect(server.url) as client:
        client.sendall(post(RAW, key or server.key, b"Transfer-Encoding: chunked") + start)
        try:
            while sent < 1000:
                client.sendall(more)
                sent += 1
        except ConnectionError:
            pass
    assert sent < 100  # what the kernel holds for both sides
    works(server)


def test_trailers_are_read_over(server: Server) -> None:
    """They come behind what a proxy has looked at."""
    head = post(RAW, server.key, b"Transfer-Encoding: chunked", b"Trailer: Accept")
    reply = ask(server.url, head, b"8\r\n# Hello\n\r\n0\r\nAccept: application/json\r\n\r\n")
    assert reply.status == 200
    assert b"<!DOCTYPE html>" in reply.body


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


def test_a_wish_for_another_protocol_is_not_heard(server: Server) -> None:
    """Java's HttpClient asks for HTTP/2 with every request; the body is still one of HTTP/1.1."""
    head = post(RAW, server.key).replace(b"Connection: close\r\n", H2C)[:-2]
    sized = head + b"Content-Length: 8\r\n\r\n" + TEXT
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + TEXT + b"\r\n0\r\n\r\n"
    asking = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    every = sized + asking + chunked + asking + sized + last
    for size in (len(every), 7):  # at once, and in pieces that split everything
        with connect(server.url) as client:
            for start in range(0, len(every), size):
                client.sendall(every[start : start + size])
            data = b""
            while chunk := client.recv(65536):
                data += chunk
        assert data.count(b"HTTP/1.1 200 OK") == 6
        assert data.count(b"Hello") >= 3
        assert data.count(b'"ok"') == 3
    flood = ask(server.url, asking * 5000)
    assert flood.status in (0, 200, 400)
    refused(ask(server.url, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n" + H2C + b"\r\n"))
    refused(ask(server.url, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"))


def test_a_body_shorter_than_it_says(server: Server) -> None:
    refused(ask(server.url, post(RAW, server.key, length=100) + TEXT), 408)


def test_a_body_longer_than_it_says_is_no_second_request(server: Server) -> None:
    reply = ask(
        server.url, post(RAW, server.key, length=8) + TEXT + b"GET /healthz HTTP/1.1\r\n\r\n"
    )
    assert reply.status == 200
    assert reply.body.count(b"HTTP/1.1 ") == 0  # `Connection: close` was asked for


@pytest.mark.parametrize("path", ["/v1/keys/free", "/v1/plan", "/v1/webhooks/test"])
def test_json_that_never_ends_is_not_kept(server: Server, path: str) -> None:
    """It is read before anybody asks for a key, so this one is wrong."""
    head = post(path, "none", b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    with connect(server.url) as client:
        client.sendall(head)
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        client.sendall(chunk * 3)
        reply = answer(client)
    refused(reply, 400)
    assert b"64 kB" in reply.body
    works(server)


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    one = post(RAW, server.key, length=8).replace(b"Connection: close\r\n", b"") + TEXT
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(server.url) as client:
        client.sendall(one * 5 + last)
        data = b""
        while chunk := client.recv(65536):
            data += chunk
    assert data.count(b"HTTP/1.1 200 OK") == 6


def test_pipelined_requests_wait_outside(server: Server) -> None:
    """More are not read while some wait, and no more may wait than a client could mean."""
    wave = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50
    taken = 0
    with connect(server.url, timeout=1) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(ConnectionError, TimeoutError):
            for _ in range(20_000):
                slow.sendall(wave)
                taken += len(wave)
    assert taken < 8 << 20
    with connect(server.url) as client:
        with suppress(ConnectionError):
            client.sendall(wave * 100)
        reply = answer(client)
    assert reply.status in (0, 200, 400)
    assert reply.body.count(b"HTTP/1.1 200") < 1000
    works(server)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("a.md", b"# Hello, this is text\n" * 47662 + b"#" * 12),
        ("file", random.Random(3).randbytes(1 << 20)),
    ],
    ids=["text", "noise"],
)
def test_chunked_bodies_end_at_the_cap(server: Server, name: str, block: bytes) -> None:
    """No length is told, so it is the server that has to stop reading."""
    sent, before = 0, stored(server)
    with connect(server.url) as client:
        client.sendall(post(f"/v1/convert?target=html&filename={name}", server.key,
                            b"Transfer-Encoding: chunked"))  # fmt: skip
        chunk = b"100000\r\n" + block + b"\r\n"
        try:
            while sent < 200:
                client.sendall(chunk)
                sent += 1
        except ConnectionError:
            pass
        reply = answer(client)
    assert sent < 200
    refused(reply, 413, 0)
    assert stored(server) == before
    works(server)


# Forms


@pytest.mark.parametrize(
    "body",
    [
        form(*(part(f"f{n}", b"x") for n in range(10_000)), TARGET, FILE),
        form(part("target", b"x" * 1_000_000), FILE),
        form(part("x" * 100_000, b"x"), TARGET, FILE),
        form(TARGET, FILE, FILE),
        form(TARGET),
        form(TARGET, FILE, end=b""),
        form(TARGET, FILE[:-6], end=b""),
        form(TARGET, b"--b\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n\r\n", FILE),
        form(TARGET, b"--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n", FILE),
        form(TARGET, b"--b\r\n\r\nx\r\n", FILE),
        form(part("target", b"\xff\xfe"), FILE),
        form(part("options", b"[" * 50_000), TARGET, FILE),
        form(part("options", b'{"quality": NaN}'), TARGET, FILE),
        form(part("options", b'{"a": ' + b"9" * 5000 + b"}"), TARGET, FILE),
        form(part("options", b'{"quality": 1e999}'), TARGET, FILE),
        form(part("options", b'{"\\ud800": 1}'), TARGET, FILE),
        form(part("options", b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}"), TARGET, FILE),
        form(part("source", b"m\0d"), TARGET, FILE),
        b"--b\r\n" * 10_000,
        b"x" * 100_000,
        b"",
    ],
    ids=[
        "10000-fields", "huge-field", "huge-name", "two-files", "no-file", "no-end",
        "cut-in-the-file", "10000-part-headers", "attachment", "no-disposition", "not-utf8",
        "deep-options", "nan-options", "long-number", "infinite", "surrogate", "nested", "nul",
        "only-boundaries", "noise", "empty",
    ],
)  # fmt: skip
def test_malformed_forms(server: Server, body: bytes) -> None:
    before = stored(server)
    refused(send_form(server, body), 400, 422)
    assert stored(server) == before
    works(server)


@pytest.mark.parametrize(
    "after",
    [
        (),
        (part("target", b"html"), part("options", b"[")),
        (part("target", b"html"), part("webhook_metadata", b"{")),
        (part("target", b"html"), part("webhook_metadata", b'"\\ud800"')),
        (part("target", b"html"), part("webhook_metadata", b"[" * 260 + b"]" * 260)),
        (part("target", b"html"), part("webhook_metadata", b"1e999")),
        (part("target", b"html"), part("webhook_url", b"ftp://x")),
        (part("target", b"html"), part("source_url", b"http://example.com/a.md")),
        (part("target", b"html"), part("source", b"nothing")),
        (part("target", b"html"), b"--b\r\nContent-Disp"),
    ],
    ids=[
        "no-target",
        "options",
        "metadata",
        "surrogate",
        "nested",
        "infinite",
        "webhook",
        "source_url",
        "source",
        "cut-off",
    ],
)
def test_a_file_that_came_before_the_mistake_is_dropped(
    server: Server, after: tuple[bytes, ...]
) -> None:
    before = stored(server)
    body = form(FILE, *after)
    head = post("/v1/jobs", server.key, FORM, length=len(body))
    refused(ask(server.url, head, body), 400, 422)
    assert stored(server) == before


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=b; boundary=c",
        b"multipart/form-data; boundary=" + b"b" * 10_000,
        b'multipart/form-data; boundary="b\r"',
        b"multipart/form-data; boundary=\xc3\xa4",
        b"multipart/form-data; boundary*=utf-8''b",
    ],
    ids=["none", "empty", "two", "long", "control", "umlaut", "encoded"],
)
def test_malformed_boundaries(server: Server, kind: bytes) -> None:
    reply = send_form(server, form(TARGET, FILE), b"Content-Type: " + kind)
    assert reply.status in (200, 400), reply.head
    works(server)


def test_a_form_inside_a_form_is_just_a_file(server: Server) -> None:
    inner = b"--c\r\nContent-Disposition: file; filename=x\r\n\r\nx\r\n--c--\r\n"
    nested = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n'
    nested += b"Content-Type: multipart/mixed; boundary=c\r\n\r\n" + inner + b"\r\n"
    assert send_form(server, form(TARGET, nested)).status in (200, 400, 422)


@pytest.mark.parametrize(
    ("upload_id", "status"), [("\\ud800", 400), ("\\u0000", 400), ("upl_none", 404)]
)
def test_an_upload_by_a_name_that_none_has(server: Server, upload_id: str, status: int) -> None:
    body = f'{{"target": "pdf", "upload_id": "{upload_id}"}}'.encode()
    head = post("/v1/jobs", server.key, b"Content-Type: application/json", length=len(body))
    refused(ask(server.url, head, body), status)


@pytest.mark.parametrize("path", ["/v1/jobs/%00", "/v1/jobs/a%00/events", "/v1/jobs?cursor=MSAA"])
def test_nul_in_a_name(server: Server, path: str) -> None:
    with server.client() as client:
        reply = client.get(path)
    assert reply.status_code == (400 if "cursor" in path else 404), reply.text
    assert reply.json()["error"]["code"] in ("bad_request", "not_found")


# Names

NAMES = {
    "crlf": "a\r\nX-Evil: 1\r\n\r\n<b>.md",
    "up": "../../../../tmp/filemill-evil.md",
    "windows": "..\\..\\..\\evil.md",
    "absolute": "/etc/cron.d/evil.md",
    "nul": "evil.md\0.png",
    "long": "e" * 300 + ".md",
    "long-umlauts": "ä" * 300 + ".md",
    "long-extension": "a." + "x" * 300 + ".md",
    "bidi": "evil\u202edm.exe.md",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈.md",
    "quotes": 'a"; filename="evil.exe"; x=".md',
    "percent": "%0d%0aX-Evil: 1%00.md",
    "dots": "....md",
    "dot": ".md",
    "space": "   .md   ",
    "option": "--output=/tmp/evil.md",
    "shell": "$(touch evil);`id`|&.md",
    "markup": "<script>alert(1)</script>.md",
    "separators": "a\u2028b\u2029c.md",
    "template": "{{7*7}}${jndi:ldap://127.0.0.1/}%s%n.md",
    "escape": "\x1b[2J\x1b]0;evil\x07.md",
}


@pytest.mark.parametrize("how", ["query", "header", "encoded", "field"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_stay_words(server: Server, name: str, how: str) -> None:
    """Whatever a file is called, it converts, and its name is in no place where it could act."""
    before = _names(server.data)
    match how:
        case "query":
            path = f"/v1/convert?target=html&source=md&filename={quote(name, safe='')}"
            reply = ask(server.url, post(path, server.key, length=len(TEXT)), TEXT)
        case "field":
            body = form(TARGET, part("source", b"md"), part("filename", name.encode()), FILE)
            reply = send_form(server, body)
        case "header":
            raw = name.replace("\\", "\\\\").replace('"', '\\"')
            reply = send_form(
                server,
                form(TARGET, part("source", b"md"), part("file", TEXT, f'; filename="{raw}"')),
            )
        case _:
            encoded = f"; filename=\"x.md\"; filename*=UTF-8''{quote(name, safe='')}"
            reply = send_form(
                server, form(TARGET, part("source", b"md"), part("file", TEXT, encoded))
            )
    if reply.status != 200:  # some names cannot be in a header of a part
        refused(reply, 400)
        assert how == "header"
        return
    lines = reply.head.split("\r\n")
    assert not [line for line in lines if line.lower().startswith("x-evil")]
    (disposition,) = (line for line in lines if line.lower().startswith("content-disposition"))
    assert disposition.isascii()
    assert disposition.isprintable()
    assert len(disposition) < 2000
    told = disposition.partition("filename*=UTF-8''")[0].partition('filename="')[2]
    assert told.count('"') == 1
    assert not set("/\\") & set(told)
    new = _names(server.data) - before
    assert not [path for path in new if "evil" in path or not path.isascii()], new
    assert not Path("/tmp/filemill-evil.html").exists()
    assert "\x1b" not in server.log
    assert "X-Evil: 1\n" not in server.log


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Downloads


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("bytes=0-0", 206),
        ("bytes=-0", 416),
        ("bytes=99999999999-", 416),
        ("bytes=" + "9" * 5000 + "-", 200),
        ("bytes=5-2", 200),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(5000)), 200),
        ("bytes=0-0," * 1000, 200),
        ("bytes=--1", 200),
        ("bytes=-18446744073709551617", 200),
        ("lines=1-2", 200),
        ("bytes=٣-٤", 200),
        ("", 200),
    ],
    ids=lambda value: str(value)[:30],
)
def test_absurd_ranges(server: Server, wanted: str, status: int) -> None:
    with server.client() as client:
        made = client.post(
            "/v1/convert",
            content=TEXT,
            params={"target": "html", "filename": "a.md"},
            headers={"Accept": "application/json"},
        ).json()
        whole = client.get(made["download_url"])
        reply = client.get(made["download_url"], headers={"Range": wanted.encode()})
    assert whole.status_code == 200
    assert reply.status_code == status
    if status == 200:
        assert reply.content == whole.content


def test_links_that_were_tampered_with(server: Server) -> None:
    with server.client() as client:
        url = client.post(
            "/v1/convert",
            content=TEXT,
            params={"target": "html", "filename": "a.md"},
            headers={"Accept": "application/json"},
        ).json()["download_url"]
    place, _, token = url.partition("?token=")
    for bad in (
        place,
        f"{place}?token=",
        f"{place}?token={token[:-1]}",
        f"{place}?token={token}x",
        f"{place}?token={'9' * 5000}",
        f"{place}?token={quote(chr(0) * 10)}",
        f"{place}?token=%ff%fe",
        f"{place}x?token={token}",
        f"{place}/../../../../etc/passwd?token={token}",
        f"{place.rpartition('/')[0]}/..%2f..%2fetc%2fpasswd?token={token}",
    ):
        assert httpx.get(bad).status_code in (403, 404), bad
