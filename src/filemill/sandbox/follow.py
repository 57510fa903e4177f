"""Following one process from outside: its output, its time, its room, its end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filemill.engine import Call, Command, Exit, Limits, Process
from filemill.ports.sandbox import Report, Stopped, silent
from filemill.sandbox.pulse import Pulse
from filemill.sandbox.room import excess
from filemill.sandbox.zygote import BEGAN

LOOK = 0.25
"""Seconds between two looks at the clock, the directory and `stopped`."""
GRACE = 5.0
"""Seconds to wait for the end of what was killed."""
START = 60.0
"""Seconds that a fork server may take to begin: it may still be loading libraries."""
TAIL = 8192
LINE = 8 * 1024 * 1024
"""The longest line kept; what a `Call` returns is one."""


BY_SIGNAL = {-signal.SIGXCPU: "cpu", -signal.SIGXFSZ: "file_size"}


def readable(link: socket.socket, seconds: float = 0.0) -> bool:
    """Not by select(2): that knows no descriptors above 1023."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


class Lines:
    """Cuts chunks into lines. Keeps no more than one line of `LINE` bytes."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> None:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            if not self._skipping:
                self._take(bytes(self._rest) + line)
            self._rest.clear()
            self._skipping = False
        self._rest += rest
        if len(self._rest) > LINE:
            self._rest.clear()
            self._skipping = True


class Follower:
    """Descriptors are non-blocking and belong to the caller."""

    def __init__(
        self,
        process: Process,
        link: socket.socket,
        stderr: int,
        lines: int | None,
    ) -> None:
        self._process, self._link, self._lines = process, link, lines
        self._report: Report = silent
        self._pid: int | None = None
        self._gone = False
        self.settled = False
        """Whether its fork server said that it, and all it started, is gone."""
        self._tail = b""
        self._returned = False
        self._value: Any = None
        self._max_rss = 0
        self._error: dict[str, Any] | None = None
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._feeds: dict[int, Callable[[bytes], None]] = {stderr: self._keep}
        if lines is not None:
            take = self._message if isinstance(process, Call) else self._line
            self._feeds[lines] = Lines(take).feed
        for fd in self._feeds:
            self._poll.register(fd, select.POLLIN)

    def ask(self, call: Call) -> bool:
        """Have the worker that returned from a call do another one. False: it cannot."""
        assert self._lines is not None
        if self._gone or self._lines not in self._feeds or self._link_says():
            return False
        self._drain(self._lines)
        asked = json.dumps({"function": call.function, "arguments": dict(call.arguments)})
        data = asked.encode() + b"\n"
        try:  # all or nothing: one that does not read is not to be waited for
            if os.write(self._lines, data) < len(data):
                return False
        except OSError:
            return False
        self._tail, self._returned, self._value, self._error = b"", False, None, None
        return True

    def doom(self) -> None:
        """Have the process ended, and all it started; `kill` waits for that."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End the process and all it started, and wait for that."""
        give_up = time.monotonic() + GRACE
        self.doom()
        while not self._gone and self._link_says(give_up - time.monotonic()):
            self._note(self._link.recv(4096))

    def ended(self) -> bool:
        """Whether it is gone although nobody waits for that: then there is nothing to wait for."""
        while not self._gone and self._link_says():
            self._note(self._link.recv(4096))
        return self._gone

    def _note(self, message: bytes) -> None:
        if message.startswith(BEGAN):
            self._pid = int(message.removeprefix(BEGAN))
        else:
            self._gone, self.settled = True, bool(message)

    def _link_says(self, seconds: float = 0.0) -> bool:
        return readable(self._link, seconds)

    def end(
        self,
        directory: Path,
        limits: Limits,
        stopped: Stopped,
        done: socket.socket | None = None,
        *,
        keep: bool = False,
        report: Report = silent,
    ) -> Exit | None:
        """Wait for the end, or for a call to return; bring it about when it must be.
        None: it never began.

        `done`: where a process says that it has done what it was to do. It is killed then, unless
        we are to `keep` it."""
        finished = lost = False
        self._report = report
        if done:
            self._returned, self._tail = False, b""
            self._poll.register(done, select.POLLIN)
        killed: str | None = None
        answer: dict[str, Any] | None = None
        asked = now = time.monotonic()
        start = None if self._pid is None else now
        pulse = None if self._pid is None else Pulse(self._pid, limits.idle)
        look, give_up = now + LOOK, float("inf")
        while answer is None and not (self._returned and not killed) and now < give_up:
            until = look if start is None else min(look, start + limits.wall)
            for fd, _ in self._poll.poll(max(0.0, until - now) * 1000 + 1):
                if done and fd == done.fileno():
                    self._poll.unregister(done)
                    said = b""
                    with suppress(OSError):
                        said = done.recv(64)
                    finished = killed is None and bool(said)
                    if finished and keep:
                        self._returned = True
                    elif finished:
                        self._link.shutdown(socket.SHUT_WR)
                        give_up = time.monotonic() + GRACE
                    continue
                if fd != self._link.fileno():
                    self._read(fd)
                    continue
                message = self._link.recv(4096)
                now = time.monotonic()
                if message.startswith(b"{"):
                    answer = json.loads(message)
                elif message:
                    start = now
                    self._pid = int(message.removeprefix(BEGAN))
                    pulse = Pulse(self._pid, limits.idle)
                elif start is None:
                    return None
                else:  # its fork server was killed, and it with it
                    lost = True
                    answer = {"code": -signal.SIGKILL, "max_rss": 0}
            now = time.monotonic()
            if start is None and now > asked + START:
                return None
            late = start is not None and now >= start + limits.wall
            ended = answer is not None or self._returned
            if ended or finished or killed or not (late or now >= look):
                continue
            look = now + LOOK
            killed = (
                "timeout"
                if late
                else "idle"
                if pulse and pulse.stopped(now)
                else "cancelled"
                if stopped()
                else excess(directory, disk=limits.disk, files=limits.files)
            )
            if killed:
                self._link.shutdown(socket.SHUT_WR)
                give_up = now + GRACE
        for fd in list(self._feeds):
            self._drain(fd)
        self._gone = answer is not None
        self.settled = answer is not None and not lost
        if answer is None:
            code = 0 if self._returned and not killed else -signal.SIGKILL
            answer = {"code": code, "max_rss": self._max_rss}
        if finished:
            answer["code"] = 0
        return Exit(
            code=answer["code"],
            killed=killed or BY_SIGNAL.get(answer["code"]),
            stderr=self._tail[-TAIL:].decode(errors="replace"),
            value=self._value,
            error=self._error,
            wall=now - (start or now),
            max_rss=answer["max_rss"],
        )

    def _drain(self, fd: int) -> None:
        while fd in self._feeds and self._read(fd):
            pass

    def _read(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            return False
        if chunk:
            self._feeds[fd](chunk)
        else:
            self._poll.unregister(fd)
            del self._feeds[fd]
        return True

    def _keep(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-TAIL:]

    def _line(self, line: bytes) -> None:
        assert isinstance(self._process, Command)
        assert self._process.progress is not None
        # Lines are the process's: a parser that stumbles over one says nothing about it.
        with suppress(ValueError, ArithmeticError, LookupError):
            fraction = self._process.progress(line.decode(errors="replace").rstrip("\r"))
            if fraction is not None:
                self._report(min(max(fraction, 0.0), 1.0))

    def _message(self, line: bytes) -> None:
        """One JSON line of a `Call`; it may be forged by what took the process over."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return
        match message:
            case {"progress": float() | int() as fraction}:
                self._report(min(max(float(fraction), 0.0), 1.0))
            case {"value": value, "max_rss": int() as max_rss}:
                self._value, self._max_rss, self._returned = value, max_rss, True
            case {"error": {"code": str(), "message": str()} as error}:
                self._error = error
