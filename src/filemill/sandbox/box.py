"""`Box`: the one place of the program that starts processes, and ends them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from filemill.engine import Call, Command, Exit, Limits, Process, Standby
from filemill.errors import ServiceUnavailable
from filemill.ports.sandbox import Report, Stopped, never, silent
from filemill.sandbox import zygote
from filemill.sandbox.confine import LAYERS
from filemill.sandbox.follow import GRACE, Follower
from filemill.sandbox.room import lend, remove_sockets, take_back
from filemill.sandbox.session import Session
from filemill.sandbox.standby import Pool

UIDS = range(60_578, 61_184)
"""Users that root's processes run as, one each, so that they cannot reach one another and
RLIMIT_NPROC counts each alone. systemd's UIDS-GIDS list says that nothing uses these."""
TAKEN = Path("/run/filemill-users")
"""A byte of it is locked for each that is in use: two servers on a host never take the same."""


class Box:
    """The `Sandbox` port. Thread-safe. Linux only."""

    def __init__(
        self, tools: Mapping[str, Path], config: Mapping[str, Any], layers: frozenset[str]
    ) -> None:
        self._tools = dict(tools)
        self._layers = layers
        self._config = config
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._closed = False
        self._pools: list[Pool] = []
        self._uids: deque[int] | None = None
        self._taken: BinaryIO | None = None
        if os.geteuid() == 0 and "user" in layers:
            self._uids = deque(UIDS)
            self._uids.rotate(os.getpid())
            with suppress(OSError):  # a system that is read-only: seldom is as good as it gets
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._taken = os.fdopen(os.open(TAKEN, flags, 0o600), "r+b", buffering=0)

    @classmethod
    def start(
        cls,
        tools: Mapping[str, Path],
        preload: Sequence[str] = (),
        *,
        reads: Sequence[Path] = (),
        path: Sequence[Path] = (),
        layers: frozenset[str] = LAYERS,
        standby: Sequence[tuple[Standby, Limits]] = (),
        spares: int = 0,
        tasks: int = 1,
        rooms: Path | None = None,
    ) -> Self:
        """Start the fork server; it gets ready in the background.

        `tools`: the programs a `Command` may name. `preload`: modules to load ahead; those
        missing are skipped. `reads`: further folders (`Tool.reads`) to be readable. `path`:
        further folders that workers' modules come from. `layers`: those to be used.
        `standby`: programs of which to keep `spares` started, each with the limits it is
        run with; in folders of the folder `rooms`, best on the disk of those of `run`. `tasks`:
        how many each does before another takes its place.
        """
        folders = {str(folder) for folder in reads}
        for tool in tools.values():
            real = tool.resolve()
            home = Path.home()
            folders |= {str(tool), str(real)}
            folders |= {str(real.parent)} - {str(folder) for folder in (home, *home.parents)}
        config = {
            "preload": list(dict.fromkeys(preload)),
            "reads": sorted(folders),
            "path": [str(folder.absolute()) for folder in path],
        }
        remove_sockets({os.geteuid(), *UIDS} if os.geteuid() == 0 else {os.geteuid()})
        box = cls(tools, config, layers)
        box._serving()
        if spares and rooms:
            rooms.mkdir(mode=0o711, exist_ok=True)
            box._pools = [
                Pool(program, limits, spares, rooms.absolute(), box._start, tasks=tasks)
                for program, limits in standby
            ]
        return box

    @property
    def server(self) -> int:
        """The process id of the fork server; started if there is none."""
        return self._serving().pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the fork server and, within a second, every process that runs."""
        with self._lock:
            self._closed = True
            server, self._server = self._server, None
        if server:
            server.close()
        for pool in self._pools:
            pool.close()

    def run(
        self,
        process: Process,
        *,
        directory: Path,
        limits: Limits,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Exit:
        """See `ports.sandbox.Sandbox`. Besides: SIGXCPU reads as "cpu", SIGXFSZ as "file_size"."""
        with self.open(directory) as session:
            return session.run(process, limits=limits, report=report, stopped=stopped)

    def open(self, directory: Path) -> Session:
        """See `ports.sandbox.Sandbox`."""
        return Session(
            directory.absolute(),
            self._start,
            self._waiting,
            self._forget,
            lambda: self._closed,
        )

    def _waiting(
        self,
        command: Command,
        directory: Path,
        limits: Limits,
        stopped: Stopped,
        release: Callable[[], None],
    ) -> Exit | None:
        """A `session.Waiting`."""
        pools = (pool for pool in self._pools if pool.does(command, limits))
        pool = next(pools, None)
        return pool.run(command, directory, limits, stopped, release) if pool else None

    def _request(self, process: Process, directory: Path, limits: Limits, uid: int | None) -> bytes:
        request: dict[str, Any] = {
            "directory": str(directory),
            "limits": asdict(limits),
            "layers": sorted(self._layers),
            "uid": uid,
            "neighbours": 0 if uid is not None else neighbours() + 15 * limits.processes,
        }
        if isinstance(process, Call):
            request |= {"function": process.function, "arguments": dict(process.arguments)}
        else:
            name, *arguments = process.argv
            if name not in self._tools:
                raise ServiceUnavailable(f"There is no tool {name!r} on this host.")
            request |= {"argv": [str(self._tools[name]), *arguments], "env": dict(process.env)}
        return json.dumps(request).encode()

    def _launch(self, process: Process, request: bytes, opened: ExitStack) -> Follower:
        """Ask for a process. It is killed when `opened` is closed. Raises BrokenPipeError."""
        link, far_link = (opened.enter_context(end) for end in socket_pair())
        near = []
        with far_link, ExitStack() as sent:
            asked = os.memfd_create("request")
            sent.callback(os.close, asked)
            with os.fdopen(os.dup(asked), "wb") as file:
                file.write(request)
            os.lseek(asked, 0, os.SEEK_SET)
            far = [asked, far_link.fileno()]
            pairs = [os.pipe()]
            if isinstance(process, Call):  # further calls go the other way
                pairs.append(detached(socket.socketpair()))
            elif process.progress:
                pairs.append(os.pipe())
            for ours, theirs in pairs:
                opened.callback(os.close, ours)
                sent.callback(os.close, theirs)
                os.set_blocking(ours, False)
                near.append(ours)
                far.append(theirs)
            self._serving().send(process, far)
        return Follower(process, link, near[0], near[1] if len(near) == 2 else None)

    def _start(
        self, process: Process, directory: Path, limits: Limits, opened: ExitStack
    ) -> tuple[Follower, int]:
        """A `session.Start`."""
        opened.callback(take_back, directory)
        uid = opened.enter_context(self._user(directory))
        request = self._request(process, directory, limits, uid)
        own = os.geteuid() if uid is None else uid
        if isinstance(process, Command):
            opened.callback(remove_sockets, {own}, time.time() - 1)
        follower = self._launch(process, request, opened)
        if uid is not None:
            opened.callback(self._evict, follower, uid)
        return follower, own

    def _evict(self, follower: Follower, uid: int) -> None:
        """Where its fork server was killed nobody ended what a process had started."""
        give_up = time.monotonic() + GRACE
        while not follower.settled and time.monotonic() < give_up and (left := running_as(uid)):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _serving(self) -> Server:
        with self._lock:
            if self._closed:
                raise ServiceUnavailable("The server is shutting down.")
            if self._server is None:
                self._server = Server(self._config)
            return self._server

    def _forget(self) -> None:
        with self._lock:
            if self._server and self._server.ended():
                self._server.close()
                self._server = None

    @contextmanager
    def _user(self, directory: Path) -> Iterator[int | None]:
        """A user of its own for one process, where we are root."""
        if self._uids is None:
            yield None
            return
        uid = self._free_user(self._uids)
        try:
            yield uid if lend(directory, uid) else None
        finally:
            self._lock_user(uid, fcntl.F_UNLCK)
            self._uids.append(uid)

    def _free_user(self, uids: deque[int]) -> int:
        for _ in UIDS:
            with suppress(IndexError):
                uid = uids.popleft()
                if self._lock_user(uid, fcntl.F_WRLCK):
                    return uid
                uids.append(uid)
        raise ServiceUnavailable("Too many processes run at once.")

    def _lock_user(self, uid: int, kind: int) -> bool:
        """Locks of an open file (fcntl(2), F_OFD_SETLK): they end with it, and also hold between
        two boxes of one process."""
        if self._taken is None:
            return True
        lock = struct.pack("hhqqi4x", kind, os.SEEK_SET, uid, 1, 0)  # struct flock
        try:
            fcntl.fcntl(self._taken, fcntl.F_OFD_SETLK, lock)
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EACCES)
        return True


class Server:
    """The fork servers: the guard's process, and the socket of each."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._commands, commands = socket_pair()
        self._calls, calls = socket_pair()
        with commands, calls:
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    zygote.command("guard", commands.fileno(), calls.fileno(), dict(config)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[commands.fileno(), calls.fileno()],
                    cwd="/",
                    env={
                        "PATH": "/usr/local/bin:/usr/bin:/bin",
                        "LANG": "C.UTF-8",
                        # numpy's library starts threads at import, else.
                        "OPENBLAS_NUM_THREADS": "1",
                        # A fresh process pays for each page of memory it touches: in huge ones a
                        # picture takes a fifth of the page faults (glibc manual, "Memory
                        # Allocation Tunables").
                        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=16777216",
                    },
                    start_new_session=True,
                )
            except OSError as error:
                self._commands.close()
                self._calls.close()
                raise ServiceUnavailable("Processes cannot be started on this host.") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, process: Process, fds: list[int]) -> None:
        """Raises BrokenPipeError when the server is gone."""
        control = self._calls if isinstance(process, Call) else self._commands
        control.settimeout(10)
        try:
            socket.send_fds(control, [zygote.RUN], fds)
        except TimeoutError:
            raise ServiceUnavailable("The fork server does not answer.") from None
        except OSError as error:
            raise BrokenPipeError from error

    def ended(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        return self._process.poll() is not None

    def close(self) -> None:
        self._commands.close()
        self._calls.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def running_as(uid: int) -> list[int]:
    """The processes of a user, but for those that only wait to be reaped."""
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                state = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[0]
                found += [int(entry.name)] if state != "Z" else []
    return found


def detached(pair: tuple[socket.socket, socket.socket]) -> tuple[int, int]:
    ours, theirs = pair
    return ours.detach(), theirs.detach()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


_counted: tuple[float, int] = (0.0, 0)


def neighbours() -> int:
    """Threads that run as our user already: without a user of its own, RLIMIT_NPROC counts
    them too. At most a second old."""
    global _counted
    if time.monotonic() - _counted[0] > 1:
        count, own = 0, os.getuid()
        for entry in os.scandir("/proc"):
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == own:
                    count += len(list(Path(f"/proc/{entry.name}/task").iterdir()))
        _counted = time.monotonic(), count
    return _counted[1]
