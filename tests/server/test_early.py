"""What is of no use is refused before it was sent: only the beginning of each body is."""

from __future__ import annotations

import json
import random
import socket
from urllib.parse import urlsplit

import pytest

from server.running import Server

MB = 1 << 20
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + random.Random(2).randbytes(200_000)
FORM = (
    b'--xx\r\nContent-Disposition: form-data; name="target"\r\n\r\npdf\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.docx"\r\n\r\n'
)


def answer(server: Server, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """Status and error code of a request whose body never ends."""
    parts = urlsplit(server.url)
    lines = {"Host": parts.netloc, **server.headers, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        got = b""
        while b'"code"' not in got or not got.rstrip(b"0\r\n").endswith(b"}}"):
            more = connection.recv(65536)
            if not more:
                break
            got += more
    start, _, rest = got.partition(b"\r\n\r\n")
    found = json.loads(rest[rest.index(b"{") : rest.rindex(b"}") + 1])
    return int(start.split()[1]), found["error"]["code"]


@pytest.mark.parametrize("door", ["jobs", "convert"])
@pytest.mark.parametrize("how", ["raw", "chunked", "form"])
def test_an_unsupported_type(server: Server, door: str, how: str) -> None:
    path, headers, body = f"/v1/{door}?target=pdf&filename=a.docx", {}, ELF
    if how == "chunked":
        headers = {"Transfer-Encoding": "chunked"}
        body = f"{len(ELF):x}\r\n".encode() + ELF + b"\r\n"
    else:
        headers = {"Content-Length": str(15 * MB)}
    if how == "form":
        path, body = f"/v1/{door}", FORM + ELF
        headers["Content-Type"] = "multipart/form-data; boundary=xx"
    assert answer(server, path, headers, body) == (422, "unsupported_route")


@pytest.mark.parametrize(("door", "size"), [("jobs", 502 * MB), ("convert", 102 * MB)])
@pytest.mark.parametrize("how", ["raw", "form"])
def test_too_large_by_its_own_word(server: Server, door: str, size: int, how: str) -> None:
    headers = {"Content-Length": str(size)}
    if how == "form":
        headers["Content-Type"] = "multipart/form-data; boundary=xx"
    assert answer(server, f"/v1/{door}?target=pdf", headers, b"") == (413, "file_too_large")


def test_nothing_is_left_of_what_was_refused(server: Server) -> None:
    before = set((server.data / "blobs" / "jobs").glob("*/*"))
    for path in ("/v1/jobs?target=pdf", "/v1/convert?target=pdf"):
        answer(server, path, {"Content-Length": str(15 * MB)}, ELF)
    assert set((server.data / "blobs" / "jobs").glob("*/*")) <= before
