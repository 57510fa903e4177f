"""Connections that nobody can hold for nothing: uvicorn's own protocol, with bounds.

uvicorn waits for ever for a request's head and takes one of any size. Here a head has to
arrive within some seconds and below a size, and whoever reads an answer too slowly is cut off.
What comes after the head is up to `patience`.
"""

from __future__ import annotations

import json
from asyncio import TimerHandle
from asyncio.transports import BaseTransport
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from filemill.errors import BadRequest

MAX_HEAD = 64 * 1024
"""Bytes of a request's first line and headers; and of what comes between or after its chunks."""
MAX_HEADERS = 200
MAX_PIPELINED = 100
"""Requests of a client that does not wait for answers. One read can hold thousands."""
READING = 10
"""How many times as long a client may take to read as to write: players pause."""


class Connection(HttpToolsProtocol):
    def __init__(self, *, seconds: float, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._seconds = seconds
        self._timer: TimerHandle | None = None
        self._bare = 0
        """Bytes that came since a request began, or the last ones of its body: of its head, of
        what frames its chunks, of its trailer."""
        self._in_head = True
        self._plain: bytes | None = None
        """The head of a request that asks for another protocol, without that wish."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait(self._seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bare += len(data)
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade):  # the latter: CONNECT
            self.send_400_response("This is no HTTP request.")
        if self.transport.is_closing():
            return
        if self._bare > MAX_HEAD:
            self.send_400_response("The head or the trailer of the request is too large.")
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(self._seconds)  # something came that is no request yet

    def _feed(self, data: bytes) -> None:
        """Parse, as if nobody asked for another protocol (RFC 9110, 7.8): the parser would take
        the body for that one's. Java's clients ask for HTTP/2 with every request."""
        while True:
            self._plain = None
            try:
                return self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if self._plain is None:
                    raise
                data = self._plain + data[upgrade.args[0] :]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._bare = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer may not say what no proxy has seen (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._bare = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD or len(self.headers) > MAX_HEADERS:
            raise ValueError("the head of the request is too large")  # the parser stops: 400
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests await their answers")
        if self.parser.should_upgrade() and any(name == b"upgrade" for name, _ in self.headers):
            self._plain = self._head_without(b"upgrade")
            return
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._plain is None:
            super().on_message_complete()

    def _head_without(self, left_out: bytes) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != left_out]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:  # else each answer lets in as many requests more as a read holds
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, in the words of our errors."""
        if self.transport.is_closing():
            return
        body = json.dumps({"error": BadRequest(msg).to_json()}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: "
        self.transport.write(b"%s%s%d\r\n\r\n%s" % (STATUS_LINE[400], head, len(body), body))
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(READING * self._seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        self.transport.abort()
