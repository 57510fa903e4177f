"""Landlock: what a process may open, and whom it may reach. Linux >= 5.13, unprivileged.

Constants and structs: linux/landlock.h (ABI 1 to 7); what the running kernel does not
know is left out. Only what a ruleset names is allowed; rules name open O_PATH descriptors.
"""

from __future__ import annotations

import ctypes
import os
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_SYM = (1 << n for n in (7, 8, 9, 10, 12))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
PRIVATE = (
    READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE
    | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
)  # fmt: skip
"""Everything but to execute what was written there."""

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    result: int = _libc.syscall(
        ctypes.c_long(number),
        *(ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments),
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def abi() -> int:
    """The kernel's version of Landlock; 0: it has none, or it is off."""
    try:
        return _syscall(CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


class Ruleset:
    """Rules under construction; denies everything it knows until `allow`ed."""

    def __init__(self, version: int) -> None:
        rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
        self._handled = (1 << rights) - 1
        network, scopes = 0b11, 0b11  # TCP bind and connect; abstract sockets and signals
        attributes = struct.pack("=QQQ", self._handled, network, scopes)
        size = 8 if version < 4 else 16 if version < 6 else 24
        self._fd = _syscall(CREATE_RULESET, attributes, size, 0)

    def fileno(self) -> int:
        return self._fd

    def allow(self, path: int, rights: int, *, folder: bool) -> None:
        """Allow `rights` on the open `path` and below it."""
        rights &= self._handled if folder else self._handled & ON_FILES
        _syscall(ADD_RULE, self._fd, PATH_BENEATH, struct.pack("=Qi", rights, path), 0)

    def enforce(self) -> None:
        """Confine this process and all it starts, for ever. Needs no_new_privs."""
        _syscall(RESTRICT_SELF, self._fd, 0)
        os.close(self._fd)
