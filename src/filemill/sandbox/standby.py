"""Processes that wait, started, for one task each: warm, and yet nothing is shared.

Each waits in a private directory, as a user and behind walls of its own, like any other.
A task's files move there and back; the process is killed after its one task, and a
new one takes its place in the background.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import shutil
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from filemill.engine import Command, Exit, Limits, Standby
from filemill.errors import FilemillError
from filemill.ports.sandbox import Stopped
from filemill.sandbox.room import lend, take_back
from filemill.sandbox.session import Start

log = logging.getLogger(__name__)

START = 30.0
"""Seconds that one may take to get ready."""
WAIT = 10.0
"""Seconds that a task waits for one that is about to be ready: sooner than a cold start."""
PAUSE, LONGEST_PAUSE = 1.0, 600.0
"""Seconds between two attempts, when they fail."""


class Spare:
    """One that waits. Used once."""

    def __init__(self, standby: Standby, limits: Limits, rooms: Path, start: Start) -> None:
        """Raises OSError or FilemillError when it does not get ready."""
        self.gone = threading.Event()
        self._standby, self._limits = standby, limits
        self._ended = False
        with ExitStack() as opened:
            self._room = Path(tempfile.mkdtemp(dir=rooms))
            opened.callback(shutil.rmtree, self._room, ignore_errors=True)
            for name, content in standby.files.items():
                path = self._room / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._follower, self._uid = start(standby.command, self._room, limits, opened)
            opened.callback(self._end)
            self._link = opened.enter_context(socket.socket(socket.AF_UNIX))
            addresses = standby.sockets(self._room, self._uid)
            for address in addresses:
                opened.callback(Path(address).unlink, missing_ok=True)
            _connect(self._link, addresses, time.monotonic() + START)
            said = self._link.recv(len(standby.ready), socket.MSG_WAITALL)
            if said != standby.ready:
                raise OSError(f"{standby.command.argv[0]} said {said!r} when it was to be ready")
            self._opened = opened.pop_all()

    def alive(self) -> bool:
        # Readable: it said something unasked, or will say nothing ever again.
        return not select.select([self._link], [], [], 0)[0]

    def run(
        self, command: Command, directory: Path, limits: Limits, stopped: Stopped
    ) -> Exit | None:
        """Do a command that was to run in `directory`. None: it could not even begin."""
        with self._opened:
            self._opened.callback(self.gone.set)
            try:
                _move(directory, self._room)
                if os.geteuid() != self._uid:
                    lend(self._room, self._uid)
                try:
                    self._link.sendall(self._standby.request(command.argv))
                except OSError:
                    return None
                ended = self._follower.end(self._room, limits, stopped, self._link)
                self._ended = True
                return ended
            finally:
                self._end()
                take_back(self._room)
                _move(self._room, directory)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._follower.end(self._room, self._limits, lambda: True)

    def close(self) -> None:
        self._opened.close()
        self.gone.set()


class Pool:
    """Keeps `count` of them waiting. Thread-safe."""

    def __init__(
        self, standby: Standby, limits: Limits, count: int, rooms: Path, start: Start
    ) -> None:
        self._standby, self._limits = standby, limits
        self._rooms, self._start = rooms, start
        self._ready: queue.SimpleQueue[Spare] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._failing = False
        self._keepers = [threading.Thread(target=self._keep, daemon=True) for _ in range(count)]
        for keeper in self._keepers:
            keeper.start()

    def does(self, command: Command, limits: Limits) -> bool:
        """Whether these are for such a command."""
        same = replace(limits, wall=self._limits.wall) == self._limits
        return same and command.argv[0] == self._standby.command.argv[0]

    def take(self) -> Spare | None:
        """One that is ready, or will be sooner than a new one. None: start it yourself."""
        while True:
            try:
                spare = self._ready.get(timeout=0.0 if self._failing else WAIT)
            except queue.Empty:
                return None
            if spare.alive():
                return spare
            spare.close()

    def close(self) -> None:
        """End those that wait. Call it when no more can be started."""
        self._closed.set()
        with suppress(queue.Empty):
            while True:
                self._ready.get_nowait().close()
        for keeper in self._keepers:
            keeper.join(1)

    def _keep(self) -> None:
        """Have one ready, again and again."""
        pause = PAUSE
        while not self._closed.is_set():
            try:
                spare = Spare(self._standby, self._limits, self._rooms, self._start)
            except (OSError, FilemillError) as error:
                self._failing = True
                if not self._closed.wait(pause):
                    log.warning("%s does not wait ready: %s", self._standby.command.argv[0], error)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._failing, pause = False, PAUSE
            self._ready.put(spare)
            if self._closed.is_set():
                self.close()
            spare.gone.wait()


def _connect(link: socket.socket, addresses: tuple[str, ...], until: float) -> None:
    link.settimeout(START)
    while time.monotonic() < until:
        for address in addresses:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                return link.connect(address)
        time.sleep(0.01)
    raise TimeoutError("it made no socket")


def _move(source: Path, target: Path) -> None:
    """All but what both have."""
    for path in source.iterdir():
        if not (target / path.name).exists():
            shutil.move(path, target / path.name)
