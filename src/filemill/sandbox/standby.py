"""Processes that wait, started, for a task: warm, and yet nothing is shared.

Each waits in a private directory, as a user and behind walls of its own, like any other.
A task's files move there and back; the process is killed after its task (or after several,
where an operator shares it: `FILEMILL_OFFICE_REUSE`), and a new one takes its place in the
background. One that nobody wants for a while gives way to another that has rehearsed.
"""

from __future__ import annotations

import logging
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from filemill.engine import Command, Exit, Limits, Standby
from filemill.errors import FilemillError
from filemill.ports.sandbox import Stopped
from filemill.sandbox.follow import BY_SIGNAL, readable
from filemill.sandbox.room import lend, place, take_back
from filemill.sandbox.session import Start

log = logging.getLogger(__name__)

START, AGAIN = 30.0, 2.0
"""Seconds that one may take to get ready, at first and after a task."""
WAIT = 10.0
"""Seconds that a task waits for one that is about to be ready: sooner than a cold start."""
CALM = 0.5
"""Seconds that one waits before another rehearses: under load that would take the time of a
conversion."""
PAUSE, LONGEST_PAUSE = 1.0, 600.0
"""Seconds between two attempts, when they fail."""


class Spare:
    """One that waits. Does one task, or several if it is a `lasting` one."""

    def __init__(
        self, standby: Standby, limits: Limits, rooms: Path, start: Start, *, lasting: bool
    ) -> None:
        """Raises OSError or FilemillError when it does not get ready."""
        self.gone = threading.Event()
        """Set by who took it, when it does no more; then it is to be closed."""
        self.done = 0
        self._standby = standby
        self._link = socket.socket(socket.AF_UNIX)
        with ExitStack() as opened:
            opened.callback(self.gone.set)
            self._room = Path(tempfile.mkdtemp(dir=rooms))
            opened.callback(shutil.rmtree, self._room, ignore_errors=True)
            command = standby.lasting if lasting else standby.command
            place(command.files, self._room)
            self._follower, self._uid = start(command, self._room, limits, opened)
            opened.callback(self._follower.kill)
            self._addresses = standby.sockets(self._room, self._uid)
            for address in self._addresses:
                opened.callback(Path(address).unlink, missing_ok=True)
            opened.callback(lambda: self._link.close())
            self._connect(START)
            self._opened = opened.pop_all()

    def alive(self) -> bool:
        # It said something unasked, or will say nothing ever again.
        return not readable(self._link)

    def rehearse(self) -> None:
        """Do what is to be done ahead, and remove what that leaves. Raises OSError."""
        work = self._standby.rehearsal
        for process in work.processes:
            assert isinstance(process, Command)
            place(process.files, self._room)
            lend(self._room, self._uid)
            self._link.sendall(self._standby.request(process.argv))
            self._hear(self._standby.done)
            self._connect(START)
            for name in (*process.files, *work.outputs):
                (self._room / name).unlink(missing_ok=True)

    def run(
        self,
        command: Command,
        directory: Path,
        limits: Limits,
        stopped: Stopped,
        release: Callable[[], None],
        *,
        keep: bool,
    ) -> Exit | None:
        """Do a command that was to run in `directory`. None: it could not even begin. `release`
        waits for the end of what may still live there. `keep`: if all goes well this is not
        killed; it can do another one `again`."""
        kept = False
        try:
            self._take_in(directory, release)
            try:
                self._link.sendall(self._standby.request(command.argv))
            except OSError:
                return None
            ended = self._follower.end(self._room, limits, stopped, self._link, keep=keep)
            kept = keep and ended is not None and not (ended.code or ended.killed)
            self.done += 1
            return ended
        finally:
            if not kept:
                self._follower.kill()
            release()
            _move(self._room, directory)
            take_back(directory)

    def _take_in(self, directory: Path, release: Callable[[], None]) -> None:
        """Move the files here, and make them this one's. Where a process lives that has seen
        files of others, nothing of ours follows a path: it could be led astray."""
        if self.done:
            release()
            lend(directory, self._uid)
            _move(directory, self._room)
        else:  # out of reach of whatever is about to end there
            _move(directory, self._room)
            lend(self._room, self._uid)

    def again(self) -> bool:
        """Get ready for another task. False: it does no more, or was killed."""
        try:
            self._connect(AGAIN)
        except OSError:
            self._follower.kill()
            return False
        return True

    def close(self) -> None:
        self._opened.close()

    def _connect(self, patience: float) -> None:
        """Have a link on which it said that it is ready. Raises OSError when it does not."""
        until = time.monotonic() + patience
        while time.monotonic() < until and not self._follower.ended():
            for address in self._addresses:
                self._link.close()
                self._link = socket.socket(socket.AF_UNIX)
                self._link.settimeout(patience)
                with suppress(FileNotFoundError, ConnectionRefusedError):
                    self._link.connect(address)
                    return self._hear(self._standby.ready)
            time.sleep(0.01)
        raise TimeoutError("it made no socket")

    def _hear(self, wanted: bytes) -> None:
        said = self._link.recv(len(wanted), socket.MSG_WAITALL)
        if said != wanted:
            raise OSError(f"it said {said!r} instead of {wanted!r}")


class Pool:
    """Keeps `count` of them waiting. Thread-safe."""

    def __init__(
        self,
        standby: Standby,
        limits: Limits,
        count: int,
        rooms: Path,
        start: Start,
        *,
        tasks: int = 1,
    ) -> None:
        """`tasks`: how many a process may do, one after the other: more than one only for files
        that may share it."""
        self._standby, self._limits, self._tasks = standby, limits, tasks
        self._rooms, self._start = rooms, start
        self._changed = threading.Condition()
        self._ready: deque[Spare] = deque()
        """Those that are quickest first."""
        self._closed = threading.Event()
        self._making = 0
        """How many are about to be ready."""
        self._keepers = [threading.Thread(target=self._keep, daemon=True) for _ in range(count)]
        for keeper in self._keepers:
            keeper.start()

    def does(self, command: Command, limits: Limits) -> bool:
        """Whether these are for such a command."""
        same = replace(limits, wall=self._limits.wall) == self._limits
        return command.standby and same and command.argv[0] == self._standby.command.argv[0]

    def run(
        self,
        command: Command,
        directory: Path,
        limits: Limits,
        stopped: Stopped,
        release: Callable[[], None],
    ) -> Exit | None:
        """Do it with one that is ready, or will be sooner than a new one. None: start one."""
        before = {path.name for path in directory.iterdir()}
        while spare := self._take():
            others, keep = spare.done, spare.done + 1 < self._tasks
            try:
                ended = spare.run(command, directory, limits, stopped, release, keep=keep)
                if keep and spare.again():
                    self._put(spare, first=True)
                else:
                    spare.gone.set()
            except BaseException:
                spare.gone.set()
                raise
            if ended and not (others and _own_end(ended)):
                return ended
            # It never began, or fell over what others left there.
            for path in directory.iterdir():
                if path.name not in before:
                    path.unlink()
        return None

    def close(self) -> None:
        """End those that wait. Call it when no more can be started."""
        self._closed.set()
        with self._changed:
            waiting = list(self._ready)
            self._ready.clear()
        for spare in waiting:
            spare.close()
        for keeper in self._keepers:
            keeper.join(1)

    def _take(self) -> Spare | None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or not self._making, WAIT)
                if not self._ready:
                    return None
                spare = self._ready.popleft()
            if spare.alive():
                return spare
            spare.gone.set()

    def _put(self, spare: Spare, *, first: bool) -> None:
        with self._changed:
            if not self._closed.is_set():
                self._ready.insert(0 if first else len(self._ready), spare)
                self._changed.notify()
                return
        spare.close()

    def _keep(self) -> None:
        """Have one ready, again and again."""
        pause, last = PAUSE, ExitStack()
        while not self._closed.is_set():
            try:
                with self._about_to():
                    spare = self._new(lasting=self._tasks > 1)
                    self._put(spare, first=False)
                last.close()  # only now: to remove its files can take as long as a start
                if not spare.gone.wait(CALM) and self._waits(spare):
                    spare = self._better(spare)
            except (OSError, FilemillError) as error:
                if not self._closed.wait(pause):
                    log.warning("%s does not wait ready: %s", self._standby.command.argv[0], error)
                pause = min(2 * pause, LONGEST_PAUSE)
                with suppress(OSError):
                    last.close()
                continue
            pause = PAUSE
            spare.gone.wait()
            last.callback(spare.close)
        last.close()

    def _new(self, *, lasting: bool) -> Spare:
        return Spare(self._standby, self._limits, self._rooms, self._start, lasting=lasting)

    def _waits(self, spare: Spare) -> bool:
        with self._changed:
            return spare in self._ready

    @contextmanager
    def _about_to(self) -> Iterator[None]:
        """While it is worth to wait for one."""
        with self._changed:
            self._making += 1
        try:
            yield
        finally:
            with self._changed:
                self._making -= 1
                self._changed.notify_all()

    def _better(self, spare: Spare) -> Spare:
        """One that has rehearsed, in its place; itself, where that fails."""
        try:
            better = self._new(lasting=True)
            try:
                better.rehearse()
            except OSError:
                better.close()
                raise
        except (OSError, FilemillError) as error:
            if not self._closed.is_set():
                log.warning("%s cannot rehearse: %s", self._standby.command.argv[0], error)
            return spare
        self._put(better, first=True)
        with self._changed:
            unused = spare in self._ready
            if unused:
                self._ready.remove(spare)
        if not unused:
            spare.gone.wait()
        spare.close()
        return better


def _own_end(ended: Exit) -> bool:
    """Whether it failed of itself; it shares its CPU time with the tasks before."""
    return bool(ended.code) and (not ended.killed or ended.code in BY_SIGNAL)


def _move(source: Path, target: Path) -> None:
    """All but folders, which are the process's own: its profile, its place for temporary files.
    Follows no link; `take_back` removes those."""
    for path in source.iterdir():
        with suppress(OSError):
            if not stat.S_ISDIR(path.lstat().st_mode):
                path.rename(target / path.name)
