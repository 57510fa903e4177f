"""The cores of this host, among the conversions that run on it at once. Core."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 4
"""Threads of one conversion: each takes memory, of which an engine has a limit."""


class Cores:
    """Thread-safe."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._running = 0
        self._lock = threading.Lock()

    @property
    def threads(self) -> int:
        """How many one that begins now should use: on an idle host all cores are its own."""
        return max(1, min(MOST, self._count // (self._running + 1)))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """While one runs."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
