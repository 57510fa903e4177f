"""A TCP relay that cuts connections, as networks do."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Cutting:
    """Relays to `url`; `cut(n)` ends the connection that carries the n-th byte from now on."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._left: int | None = None
        self.cuts = 0

    def cut(self, after: int) -> None:
        self._left = after

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.create_connection((self._to.hostname, self._to.port))
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        with suppress(OSError):
            while data := client.recv(65536):
                if self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                server.sendall(data)
                if self._left is not None and self._left <= 0:
                    self._left = None
                    self.cuts += 1
                    break
        for end in (server, client):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for end in (server, client):
            end.close()  # else who sends would wait for ever

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
