"""Proving the sandbox by attacking it, from inside a `Call`, on this very host."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filemill.engine import MB, Call, Limits
from filemill.ports.sandbox import Report, Sandbox

LIMITS = Limits(memory=256 * MB, cpu=20, file_size=8 * MB, open_files=64, processes=8, wall=20)


@dataclass(frozen=True, slots=True)
class Proof:
    name: str
    holds: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Attack:
    title: str
    name: str
    """Of the function below."""
    arguments: dict[str, Any]


def prove(box: Sandbox) -> tuple[Proof, ...]:
    """Attack every layer. Takes a second or two."""
    with targets() as attacks:
        return tuple(_try(box, attack) for attack in attacks)


@contextmanager
def targets() -> Iterator[tuple[Attack, ...]]:
    """Things to attack, all of which an ordinary process of any user could reach."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o777)
        canary = folder / "canary"
        canary.write_text("secret")
        canary.chmod(0o666)

        def listen(family: int, kind: int, address: Any) -> Any:
            listener = opened.enter_context(socket.socket(family, kind))
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            return listener.getsockname()

        tcp = listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        name = f"filemill-{secrets.token_hex(8)}"
        listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        path = str(folder / "socket")
        listen(socket.AF_UNIX, socket.SOCK_STREAM, path)
        Path(path).chmod(0o777)
        yield (
            Attack("reads no other file", "read", {"path": str(canary)}),
            Attack("writes no other file", "write", {"path": str(folder / "new")}),
            Attack("changes no other file", "write", {"path": str(canary)}),
            Attack("no TCP", "connect_tcp", {"port": tcp[1]}),
            Attack("no UDP", "send_udp", {"port": udp[1]}),
            Attack("no abstract socket", "connect_abstract", {"abstract": name}),
            Attack("no socket file", "connect_file", {"path": path}),
            Attack("no signal to the server", "send_signal", {"pid": os.getpid()}),
            Attack("no look at the server's environment", "environment", {"pid": os.getpid()}),
            Attack("no new namespace", "namespace", {}),
            Attack("processes are limited", "fork", {"allowed": 400}),
            Attack("memory is limited", "allocate", {"size": 1024 * MB}),
            Attack("file size is limited", "fill", {"size": 16 * MB}),
            Attack("nothing outlives it", "outlive", {}),
        )


def _try(box: Sandbox, attack: Attack) -> Proof:
    with tempfile.TemporaryDirectory() as folder:
        call = Call(f"{__name__}:attack", {"name": attack.name, **attack.arguments})
        ended = box.run(call, directory=Path(folder), limits=LIMITS)
        if attack.name == "outlive" and isinstance(ended.value, dict):
            return _outlived(attack, int(ended.value["detail"]))
    match ended.value:
        case {"broken": bool(broken), "detail": str(detail)}:
            return Proof(attack.title, not broken, detail)
    if ended.killed or ended.code < 0:
        return Proof(attack.title, True, f"killed ({ended.killed or f'signal {-ended.code}'})")
    return Proof(attack.title, False, f"could not be tried: {ended.stderr[-500:]}")


def _outlived(attack: Attack, pid: int) -> Proof:
    if Path(f"/proc/{pid}").exists():
        return Proof(attack.title, False, f"process {pid} is still there")
    return Proof(attack.title, True, "a daemon it started is gone")


def attack(report: Report, name: str, **arguments: Any) -> dict[str, Any]:
    """Runs inside: what the attack got hold of, or what stopped it."""
    del report
    try:
        return {"broken": True, "detail": ATTACKS[name](**arguments)}
    except (OSError, MemoryError) as error:
        return {"broken": False, "detail": str(error) or type(error).__name__}


def read(path: str) -> str:
    return f"read {len(Path(path).read_bytes())} bytes"


def write(path: str) -> str:
    return f"wrote {Path(path).write_text('x')} bytes"


def connect_tcp(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return "connected"


def send_udp(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return f"sent {sender.sendto(b'x', ('127.0.0.1', port))} bytes"


def connect_abstract(abstract: str) -> str:
    return connect_file(f"\0{abstract}")


def connect_file(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(path)
        return "connected"


def send_signal(pid: int) -> str:
    os.kill(pid, 0)
    return "signalled"


def environment(pid: int) -> str:
    return f"read {len(Path(f'/proc/{pid}/environ').read_bytes())} bytes"


def namespace() -> str:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "made a user namespace"


def fork(allowed: int) -> str:
    for _ in range(allowed):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    return f"forked {allowed} times"


def allocate(size: int) -> str:
    return f"allocated {len(bytearray(size)) // MB} MB"


def fill(size: int) -> str:
    with Path("big").open("wb") as file:
        for _ in range(size // MB):
            file.write(bytes(MB))
    return f"wrote {size // MB} MB"


def outlive() -> str:
    """Leave a process in a session of its own, forked twice."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            for fd in (0, 1, 2):
                with suppress(OSError):
                    os.close(fd)
            time.sleep(60)
            os._exit(0)
        os.write(writer, str(pid).encode())
        os._exit(0)
    return os.read(reader, 32).decode()


ATTACKS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        read, write, connect_tcp, send_udp, connect_abstract, connect_file, send_signal,
        environment, namespace, fork, allocate, fill, outlive,
    )
}  # fmt: skip
