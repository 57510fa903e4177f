"""Talking to a server byte by byte, as no client library would."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    """0: the connection was closed without an answer."""
    head: str
    body: bytes


def connect(url: str, *, timeout: float = 60) -> socket.socket:
    place = urlsplit(url)
    assert place.hostname
    return socket.create_connection((place.hostname, place.port or 80), timeout=timeout)


def answer(client: socket.socket) -> Answer:
    """All that comes until the other side closes."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first = head.split(b" ", 2)
    return Answer(int(first[1]) if len(first) > 1 else 0, head.decode("latin-1"), body)


def ask(url: str, *pieces: bytes) -> Answer:
    """Send `pieces`, whatever becomes of them, and read the answer."""
    with connect(url) as client:
        with suppress(ConnectionError):
            for piece in pieces:
                client.sendall(piece)
        return answer(client)


def post(path: str, key: str, *headers: bytes, length: int | None = None) -> bytes:
    """The head of a POST that asks for the connection to be closed afterwards."""
    lines = [
        f"POST {path} HTTP/1.1".encode(),
        b"Host: filemill",
        f"Authorization: Bearer {key}".encode(),
        b"Connection: close",
        *headers,
    ]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"
