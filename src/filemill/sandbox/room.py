"""The private directory of a process: lending it out, measuring it, taking it back."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filemill.engine import Exit, Limits


def place(files: Mapping[str, bytes], directory: Path) -> None:
    """Write them there, while nobody else can."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def lend(directory: Path, uid: int) -> bool:
    """Give the directory to `uid`, but for the input, which is only to be read.
    False: this process may not (root in a container without the right to)."""
    try:
        for entry in walk(directory):
            if entry.name.startswith("in.") and entry.is_file(follow_symlinks=False):
                os.chmod(entry.path, 0o444)  # noqa: PTH101
            else:
                os.chown(entry.path, uid, uid, follow_symlinks=False)
        os.chown(directory, uid, uid)
    except PermissionError:
        return False
    return True


def take_back(directory: Path) -> None:
    """Make all files ours and readable, and remove what is neither file nor folder: we will
    open results by name, and a link there could lead to any file of ours."""
    own = os.geteuid()
    opened = True
    while opened:  # a folder closed to ourselves shows its content only when opened
        opened = False
        for entry in walk(directory):
            info = entry.stat(follow_symlinks=False)
            folder = stat.S_ISDIR(info.st_mode)
            if not (folder or stat.S_ISREG(info.st_mode)):
                os.unlink(entry.path)  # noqa: PTH108
                continue
            if info.st_uid != own:
                os.chown(entry.path, own, os.getegid(), follow_symlinks=False)
            needed = 0o700 if folder else 0o600
            if info.st_mode & needed != needed and not entry.name.startswith("in."):
                os.chmod(entry.path, stat.S_IMODE(info.st_mode) | needed)  # noqa: PTH101
                opened = opened or folder
    info = directory.stat()
    if info.st_uid != own:
        os.chown(directory, own, os.getegid())
    if info.st_mode & 0o700 != 0o700:
        directory.chmod(0o700)


def excess(directory: Path, *, disk: int, files: int) -> str | None:
    """The limit that the directory is over: "disk" (bytes) or "files"; None: neither."""
    size = 0
    for count, entry in enumerate(walk(directory), 1):
        with suppress(OSError):
            size += entry.stat(follow_symlinks=False).st_size
        if size > disk:
            return "disk"
        if count > files:
            return "files"
    return None


def within(ended: Exit, directory: Path, limits: Limits) -> Exit:
    """The same, unless it left more than it may."""
    over = excess(directory, disk=limits.disk, files=limits.files)
    return ended if ended.killed or not over else replace(ended, killed=over)


def remove_sockets(uids: Container[int], since: float = 0.0) -> None:
    """Remove the sockets that processes of these users left in /tmp: LibreOffice makes one there,
    whatever TMPDIR says. Those that still listen stay."""
    for entry in os.scandir("/tmp"):  # noqa: S108
        with suppress(OSError):
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISSOCK(info.st_mode) and info.st_uid in uids and info.st_ctime >= since:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.setblocking(False)  # one with a full queue is alive
                    try:
                        probe.connect(entry.path)
                    except ConnectionRefusedError:
                        os.unlink(entry.path)  # noqa: PTH108


def walk(directory: Path | str) -> Iterator[os.DirEntry[str]]:
    """Every entry below, parents first. What vanishes meanwhile is skipped; links are not
    followed. No recursion: the depth is the hostile process's choice."""
    folders = [str(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            yield entry
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
