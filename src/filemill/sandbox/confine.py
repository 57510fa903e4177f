"""Confining the current process, layer by layer, for ever. Runs in a fresh fork.

Every layer is unprivileged (but `user`, which is for root) and degrades alone: what the
kernel or the container does not give is left out. `proofs` tells what then still holds.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filemill.sandbox import landlock, seccomp

LAYERS = frozenset({"user", "limits", "landlock", "seccomp"})

SYSTEM = """\
/usr /lib /lib32 /lib64 /bin /sbin /etc/fonts /etc/ld.so.cache /etc/alternatives
/etc/passwd /etc/group /etc/nsswitch.conf /etc/localtime /etc/timezone /etc/mime.types
/etc/libreoffice /var/lib/libreoffice /var/spool/libreoffice /etc/locale.alias /etc/ssl/openssl.cnf
/etc/papersize /etc/java /etc/ImageMagick-6
/etc/ImageMagick-7 /var/cache/fontconfig /var/lib/ghostscript
/proc/cpuinfo /proc/meminfo /proc/stat /proc/version /proc/filesystems
/proc/sys/vm/overcommit_memory /proc/sys/kernel/osrelease
/sys/devices/system/cpu /sys/fs/cgroup""".split()  # noqa: SIM905
"""What programs read of the system: no home, no data, no settings of other services.
The cgroups: DuckDB does not start where it cannot read its limits."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

PDEATHSIG, KEEPCAPS, SECUREBITS, NO_NEW_PRIVS, CAP_AMBIENT = 1, 8, 28, 38, 47
NO_SETUID_FIXUP = 1 << 2
DAC_READ_SEARCH = 2
NICE = 10
"""Status polls and downloads come first when every core converts."""

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *values):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(frozen=True)
class Readable:
    """Open descriptors of what every process may read or use; made once."""

    paths: tuple[tuple[int, int, bool], ...]
    """(descriptor, Landlock rights, is a folder)"""
    private: bool
    """Whether some of it lies in a folder that is closed to other users (`/root/.venv`)."""

    @classmethod
    def open(cls, folders: Iterable[str]) -> Readable:
        own = (sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).parents[1]))
        wanted = {str(path): landlock.READ for path in (*SYSTEM, *own, *folders)}
        wanted |= dict.fromkeys(DEVICES, landlock.DEVICE)
        paths = []
        for path, rights in wanted.items():
            with suppress(OSError):
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                paths.append((fd, rights, Path(path).is_dir()))
        return cls(tuple(paths), any(closed(Path(path) / "x") for path in (*own, *folders)))

    def rules(self) -> landlock.Ruleset | None:
        """All this as the beginning of one process's rules. None: the kernel has no Landlock."""
        if not (version := landlock.abi()):
            return None
        rules = landlock.Ruleset(version)
        for fd, rights, folder in self.paths:
            rules.allow(fd, rights, folder=folder)
        return rules


def closed(path: Path) -> bool:
    """Whether users other than its owner cannot get at `path`."""
    try:
        return not all(folder.stat().st_mode & 0o001 for folder in path.absolute().parents)
    except OSError:
        return True


def confine(
    directory: Path,
    limits: Mapping[str, Any],
    layers: Iterable[str],
    rules: landlock.Ruleset | None,
    uid: int | None,
    parent: int,
    nproc: int,
    *,
    private: bool,
    sockets: bool,
) -> None:
    """Confine this process to `directory`, where it then is. `rules`: what else it may read;
    `private`: some of that in folders closed to other users. `parent`: who must be alive.
    `sockets`: whether it may make (not reach) UNIX sockets in /tmp, as LibreOffice insists on.

    Call `limit_memory` afterwards, as the last thing: little runs below it."""
    os.chdir(directory)
    os.umask(0o077)
    os.nice(NICE)
    # Where the kernel shares by session (sched(7), autogroup) a process's niceness counts only
    # within its own.
    _tell("/proc/self/autogroup", NICE)
    _tell("/proc/self/oom_score_adj", 700)  # the kernel ends a converter before the server
    if "landlock" not in layers:
        rules = None
    if rules:
        _allow_own(rules, sockets, uid is not None and "user" in layers)
    if "limits" in layers:
        _limit(limits, nproc)
    if uid is not None and "user" in layers:
        _become(uid, keep_reading=private or closed(directory))
    # Only now: a change of user clears it.
    prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    prctl(NO_NEW_PRIVS, 1)
    if rules:
        with suppress(OSError):
            rules.enforce()
    if "seccomp" in layers:
        with suppress(OSError):
            seccomp.enforce()


def _tell(path: str, value: int) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)


def limit_memory(limits: Mapping[str, Any], layers: Iterable[str], *, inherited: int = 0) -> None:
    """RLIMIT_AS, on top of the `inherited` bytes of address space the fork came with."""
    if "limits" in layers and limits["memory"]:
        _lower(resource.RLIMIT_AS, limits["memory"] + inherited)


def _allow_own(rules: landlock.Ruleset, sockets: bool, alone: bool) -> None:
    own = [(".", landlock.PRIVATE), ("/proc/self", landlock.READ)]
    if sockets:
        # A user of its own can remove nothing there but what is its own.
        rights = landlock.MAKE_SOCK | (landlock.REMOVE_FILE if alone else 0)
        own.append(("/tmp", rights))  # noqa: S108
    for path, rights in own:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rules.allow(fd, rights, folder=True)
        os.close(fd)


def _limit(limits: Mapping[str, Any], nproc: int) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits["cpu"], grace=1)  # SIGXCPU first, SIGKILL a second later
    _lower(resource.RLIMIT_FSIZE, limits["file_size"])
    _lower(resource.RLIMIT_NOFILE, limits["open_files"])
    _lower(resource.RLIMIT_NPROC, nproc)


def _lower(what: int, value: int, *, grace: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    if hard == resource.RLIM_INFINITY:
        hard = value + grace
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (min(value, hard), min(value + grace, hard)))


def _become(uid: int, *, keep_reading: bool) -> None:
    """Drop root. `keep_reading` keeps the right to read past file modes, nothing else:
    for a Python or a data folder below `/root`, where Landlock says what may be read."""
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        if keep_reading:
            prctl(KEEPCAPS, 1)
            with suppress(OSError):
                # Else access(2), which LibreOffice asks, answers as if we had no such right.
                prctl(SECUREBITS, NO_SETUID_FIXUP)
        os.setresuid(uid, uid, uid)
    except PermissionError:
        return  # a container whose root may not
    if keep_reading:
        header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
        bit = 1 << DAC_READ_SEARCH
        if _libc.capset(header, struct.pack("=6I", bit, bit, bit, 0, 0, 0)):
            none = struct.pack("=6I", 0, 0, 0, 0, 0, 0)
            _libc.capset(header, none)
        else:
            prctl(CAP_AMBIENT, 2, DAC_READ_SEARCH)
