"""The fork servers: two Python processes of their own, started by `Box`.

Both are single-threaded, so that forking is safe. The *guard* stays small and forks
`Command`s; its child, the *loader*, has libraries loaded ahead and forks `Call`s.

A process they fork is the subreaper of all it starts, so nothing leaves its tree while it
lives; once it is gone, what is left of the tree comes to its fork server, which knows it
for a stranger and kills it. Each ends everything of its own when the main process or the
other one dies; what a killed loader leaves comes to the guard.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from filemill.errors import FilemillError
from filemill.sandbox.confine import Readable, confine, limit_memory, prctl
from filemill.sandbox.landlock import Ruleset

CHILD_SUBREAPER = 36
RUN = b"run"
BEGAN = b"began"
PATIENCE = 2.0
"""Seconds that one kill is waited for; less than `follow.GRACE`."""


def command(role: str, control: int, partner: int, config: dict[str, Any]) -> list[str]:
    """The command line of a fork server; `partner` is a socket's or a process's number."""
    code = f"from filemill.sandbox.zygote import {role}; {role}()"
    return [sys.executable, "-I", "-c", code, str(control), str(partner), json.dumps(config)]


def guard() -> None:
    """Serve commands on the first socket of argv; fork the loader for the second."""
    control, calls = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prctl(CHILD_SUBREAPER, 1)
    own, child = os.getpid(), os.fork()
    if child == 0:
        control.close()
        sys.argv[1:3] = str(calls.fileno()), str(own)
        finish(loader)
    calls.close()
    Server(control, child).serve()


def loader() -> None:
    """Serve calls on the socket of argv."""
    control, partner, config = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    prctl(CHILD_SUBREAPER, 1)
    sys.dont_write_bytecode = True
    sys.path[:0] = config["path"]
    for module in config["preload"]:
        with suppress(Exception):
            importlib.import_module(module)
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            # A fork has only one of them, and hangs on locks of the others: without it, then.
            print(f"filemill: {module} starts threads, not loaded ahead", file=sys.stderr)  # noqa: T201
            config["preload"].remove(module)
            os.set_inheritable(control, True)
            os.execv(sys.executable, command("loader", control, partner, config))  # noqa: S606
    Server(socket.socket(fileno=control), partner).serve()


def finish(function: Any, *arguments: Any) -> NoReturn:
    """Call a function that ends a fork, whatever happens in it."""
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


class Server:
    """The loop of a fork server: forks, waits, answers on the socket that came with a request,
    and kills when the other side of that is shut.

    It is one fork ahead: a spare process waits for the next request, since to fork takes
    longer than all else (1 ms a 100 libraries)."""

    def __init__(self, control: socket.socket, partner: int) -> None:
        config = json.loads(sys.argv[3])
        self._readable = Readable.open(config["reads"] + config["path"])
        self._control, self._partner = control, partner
        self._partner_end = os.pidfd_open(partner)
        self._poll = select.poll()
        self._spare: tuple[int, socket.socket] | None = None
        self._runs: dict[int, tuple[socket.socket, int]] = {}
        """By process: where to answer, and its pidfd."""
        self._events: dict[int, tuple[int, bool]] = {}
        """By descriptor: the process, and whether it tells its end."""
        self._hanging: set[int] = set()
        """Killed, but still in the kernel."""

    def serve(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._partner_end, select.POLLIN)
        self._stand_by()
        while self._step():
            if self._spare is None:
                self._stand_by()
        for pid in children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._runs.clear()
        self._spare, self._partner = None, 0
        self._kill_strangers()

    def _step(self) -> bool:
        for fd, _ in self._poll.poll():
            if fd == self._control.fileno():
                message, fds, _, _ = socket.recv_fds(self._control, 64, 4)
                if not message:
                    return False
                self._fork(fds)
            elif fd == self._partner_end:
                return False
            elif fd in self._events:
                pid, ended = self._events[fd]
                if ended:
                    self._answer(pid)
                else:
                    self._forget(fd)
                    kill_below(pid)
                    os.kill(pid, signal.SIGKILL)
        return True

    def _fork(self, fds: list[int]) -> None:
        """`fds`: the request, the answers, stderr[, lines]."""
        request, link, *output = fds
        pid = self._hand_over([request, *output])
        if pid is None:  # no more processes; the other side sees its socket close
            os.close(link)
        else:
            answers, pidfd = socket.socket(fileno=link), os.pidfd_open(pid)
            self._runs[pid] = answers, pidfd
            for fd, ended in (link, False), (pidfd, True):
                self._events[fd] = pid, ended
                self._poll.register(fd, select.POLLIN)
            self._tell(answers, BEGAN + str(pid).encode())
        for fd in (request, *output):
            os.close(fd)

    def _hand_over(self, fds: list[int]) -> int | None:
        """Give a request to the spare, or to another where that was killed."""
        for _ in range(2):
            if self._spare is None:
                self._stand_by()
            if self._spare is None:
                break
            (pid, ours), self._spare = self._spare, None
            with ours, suppress(OSError):
                socket.send_fds(ours, [RUN], fds)
                return pid
        return None

    def _stand_by(self) -> None:
        server = os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                return
            if pid == 0:
                finish(stand_by, theirs, self._readable, server)
        self._spare = pid, ours

    def _answer(self, pid: int) -> None:
        _, status, usage = os.wait4(pid, 0)
        link, pidfd = self._runs.pop(pid)
        self._kill_strangers()
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "max_rss": usage.ru_maxrss * 1024,
        }
        self._tell(link, json.dumps(answer).encode())
        self._forget(link.fileno())
        self._forget(pidfd)
        link.close()
        os.close(pidfd)

    def _tell(self, link: socket.socket, message: bytes) -> None:
        with suppress(OSError):
            link.send(message)

    def _forget(self, fd: int) -> None:
        if self._events.pop(fd, None):
            self._poll.unregister(fd)

    def _kill_strangers(self) -> None:
        """Those that hang in the kernel are left to die: meanwhile we must answer others."""
        known = self._runs.keys() | {self._partner} | self._hanging
        if self._spare:
            known.add(self._spare[0])
        give_up = time.monotonic() + PATIENCE
        while strangers := [pid for pid in children(os.getpid()) if pid not in known]:
            for pid in strangers:
                kill_below(pid)
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            gone = [pid for pid in strangers if reaped(pid)]
            if not gone:
                if time.monotonic() > give_up:
                    self._hanging.update(strangers)
                    break
                time.sleep(0.001)
        self._hanging = {pid for pid in self._hanging if not reaped(pid)}


def reaped(pid: int) -> bool:
    """Whether a child of ours is gone, now if not before."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True


def kill_below(pid: int) -> None:
    """Kill all descendants; what comes of them meanwhile will come to us, the subreaper."""
    for child in children(pid):
        with suppress(OSError):
            os.kill(child, signal.SIGSTOP)  # so that it makes no more of them
        kill_below(child)
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def stand_by(theirs: socket.socket, readable: Readable, server: int) -> None:
    """Wait for a request, or for the end of the fork server."""
    rules = readable.rules()  # 50 system calls that nobody has to wait for then
    close_but(theirs.fileno(), *([rules.fileno()] if rules else []))
    message, fds, _, _ = socket.recv_fds(theirs, 64, 4)
    if message:
        theirs.close()
        become(fds[0], fds[1:], rules, server, private=readable.private)


def close_but(*kept: int) -> None:
    start = 3
    for fd in sorted(kept):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, 65536)


def become(
    request: int, fds: list[int], rules: Ruleset | None, server: int, *, private: bool
) -> None:
    """Be the process that was asked for."""
    os.setsid()
    prctl(CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    with os.fdopen(request, "rb") as file:
        asked = json.load(file)
    directory, limits, layers = Path(asked["directory"]), asked["limits"], asked["layers"]
    stderr, lines = fds[0], fds[1] if len(fds) > 1 else None
    null = os.open(os.devnull, os.O_RDONLY)
    command_lines = lines is not None and "argv" in asked
    for fd, target in (null, 0), (lines if command_lines else stderr, 1), (stderr, 2):
        os.dup2(fd, target)  # type: ignore[arg-type]
    nproc = limits["processes"] + asked["neighbours"]
    confine(
        *(directory, limits, layers, rules, asked["uid"], server, nproc),
        private=private,
        sockets="argv" in asked,
    )
    os.environ.clear()
    os.environ.update(
        {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "LANG": "C.UTF-8",
            **asked.get("env", {}),
        }
    )
    if "argv" in asked:
        close_but()
        limit_memory(limits, layers)
        program = asked["argv"][0]
        try:
            os.execv(program, asked["argv"])  # noqa: S606
        except OSError as error:
            os.write(2, f"{program}: {error.strerror}\n".encode())
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    assert lines is not None
    close_but(lines)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit_memory(limits, layers, inherited=size)
    work(asked, lines)


def work(call: dict[str, Any], lines: int) -> NoReturn:
    """Do a call, and those that come after it, until one fails or no more come."""
    more = b""
    while True:
        do(call["function"], call["arguments"], lines)
        while b"\n" not in more:
            chunk = os.read(lines, 65536)
            if not chunk:
                os._exit(0)
            more += chunk
        asked, more = more.split(b"\n", 1)
        call = json.loads(asked)


def do(function: str, arguments: dict[str, Any], lines: int) -> None:
    def say(**message: Any) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(lines, data) :]

    told = -1.0

    def report(fraction: float) -> None:
        nonlocal told
        if fraction - told >= 0.002:
            told = fraction
            say(progress=fraction)

    try:
        module, _, name = function.partition(":")
        value = getattr(importlib.import_module(module), name)(report, **arguments)
        flush()
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say(value=value, max_rss=used)
        return
    except FilemillError as error:
        say(error=error.to_json())
    except BaseException:
        traceback.print_exc()
    flush()
    os._exit(1)


def flush() -> None:
    """Send on what was printed; C libraries keep theirs in a buffer of their own."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    _libc.fflush(None)


_libc = ctypes.CDLL(None)
