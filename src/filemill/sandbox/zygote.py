"""The fork server: `main` in a Python of its own, started by `Box`.

Single-threaded, so that forking is safe; libraries are loaded ahead, so that it is quick.
For every request on its control socket it forks a *keeper*, which forks the process,
waits for it, and lets nothing that it started outlive it. A keeper answers on the
request's own socket and ends everything when the other side of that is shut: by a kill,
or by the death of the main process. Neither depends on the fork server any more.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from filemill.errors import FilemillError
from filemill.sandbox.confine import Readable, confine, limit_memory, prctl

MAIN = "from filemill.sandbox.zygote import main; main()"
CHILD_SUBREAPER = 36
RUN, SWEEP = b"run", b"sweep"
BEGAN = b"began"


def command(fd: int, config: dict[str, Any]) -> list[str]:
    return [sys.executable, "-I", "-c", MAIN, str(fd), json.dumps(config)]


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps by itself
    prctl(CHILD_SUBREAPER, 1)
    sys.dont_write_bytecode = True
    sys.path[:0] = config["path"]
    for module in config["preload"]:
        preload(module, control, config)
    readable = Readable.open(config["reads"] + config["path"])
    gc.collect()
    gc.freeze()
    gc.disable()
    serve(control, readable)


def preload(module: str, control: socket.socket, config: dict[str, Any]) -> None:
    with suppress(Exception):
        importlib.import_module(module)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        # A fork has only one of them, and would hang on locks of the others: without it, then.
        print(f"filemill: {module} starts threads, not loaded ahead", file=sys.stderr)  # noqa: T201
        config["preload"].remove(module)
        os.execv(sys.executable, command(control.fileno(), config))  # noqa: S606


def serve(control: socket.socket, readable: Readable) -> None:
    while True:
        message, fds, _, _ = socket.recv_fds(control, 64, 4)
        sweep()
        if not message:
            return
        if message == RUN:
            with suppress(OSError):  # no more processes: the other side sees its socket close
                if os.fork() == 0:
                    finish(keep, fds, readable)
        for fd in fds:
            os.close(fd)


def sweep() -> None:
    """Kill what a keeper that was killed left behind: it has a session of its own."""
    for pid in children(os.getpid()):
        with suppress(OSError):
            if os.getsid(pid) != os.getsid(0):
                kill_below(pid)
                os.kill(pid, signal.SIGKILL)


def finish(function: Any, *arguments: Any) -> NoReturn:
    """Call a function that ends a fork, whatever happens in it."""
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def keep(fds: list[int], readable: Readable) -> None:
    """Run one request to its end. `fds`: the request, the answers, stderr[, lines]."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, link = fds[0], socket.socket(fileno=fds[1])
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        finish(become, request, fds[2:], readable, keeper)
    os.closerange(3, link.fileno())
    os.closerange(link.fileno() + 1, 65536)
    link.send(BEGAN)
    status, rss = wait(child, link)
    answer = {"code": os.waitstatus_to_exitcode(status), "max_rss": rss}
    link.send(json.dumps(answer).encode())
    os._exit(0)


def wait(child: int, link: socket.socket) -> tuple[int, int]:
    """The child's wait status and peak memory, once it and all below it are gone."""
    events = select.poll()
    pidfd = os.pidfd_open(child)
    events.register(pidfd, select.POLLIN)
    events.register(link, select.POLLIN)
    found: tuple[int, int] | None = None
    while True:
        ready = events.poll(1000)
        if ready:
            # The child has ended or is to end, and so is everything below.
            kill_below(os.getpid())
        try:
            while True:
                pid, status, usage = os.wait4(-1, 0 if ready else os.WNOHANG)
                if pid == 0:
                    break
                if pid == child:
                    found = status, usage.ru_maxrss * 1024
                if ready:
                    kill_below(os.getpid())
        except ChildProcessError:
            return found or (signal.SIGKILL, 0)


def kill_below(pid: int) -> None:
    """Kill all descendants. What they leave comes to us, the subreaper, to be killed again."""
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


def become(request: int, fds: list[int], readable: Readable, keeper: int) -> None:
    """Be the process that was asked for."""
    os.setsid()
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
    confine(directory, limits, layers, readable, asked["uid"], keeper, nproc)
    os.environ.clear()
    os.environ.update(
        PATH="/usr/local/bin:/usr/bin:/bin",
        HOME=str(directory),
        TMPDIR=str(directory),
        LANG="C.UTF-8",
        **asked.get("env", {}),
    )
    if "argv" in asked:
        os.closerange(3, 65536)
        limit_memory(limits, layers)
        program = asked["argv"][0]
        try:
            os.execv(program, asked["argv"])  # noqa: S606
        except OSError as error:
            os.write(2, f"{program}: {error.strerror}\n".encode())
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    assert lines is not None
    os.closerange(3, lines)
    os.closerange(lines + 1, 65536)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit_memory(limits, layers, inherited=size)
    call(asked["function"], asked["arguments"], lines)


def call(function: str, arguments: dict[str, Any], lines: int) -> None:
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

    code = 0
    try:
        module, _, name = function.partition(":")
        say(value=getattr(importlib.import_module(module), name)(report, **arguments))
    except FilemillError as error:
        code = 1
        say(error=error.to_json())
    except BaseException:
        code = 1
        traceback.print_exc()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    _flush_c()
    os._exit(code)


def _flush_c() -> None:
    """What C libraries printed waits in their own buffer."""
    ctypes.CDLL(None).fflush(None)
