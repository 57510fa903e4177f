"""A seccomp filter: system calls that no converter needs. Unprivileged.

Classic BPF over `struct seccomp_data` (linux/seccomp.h): no sockets but connected pairs
and listening UNIX ones, no way to other processes' memory, no namespaces, mounts,
kernel keys, BPF or io_uring (which would do I/O behind the filter's back).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
"""x86_64 calls in the x32 ABI have this bit; the numbers below would not match them."""

DENIED = {
    # name: (x86_64, aarch64); None: does not exist there
    "connect": (42, 203),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    # System V IPC and message queues outlive the process that made them.
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
SOCKET, SOCKETPAIR, CLONE, CLONE3, PERSONALITY = (
    (41, 198), (53, 199), (56, 220), (435, 435), (135, 92),
)  # fmt: skip

AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET = 1, 1, 5
CLONE_NEW = 0x7E020000
"""The CLONE_NEW* flags: namespaces."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER, ARCH = 0, 4

Instruction = tuple[int, int, int, int]
"""Code, how many to skip if true, and if false, operand."""


def _argument(index: int) -> Instruction:
    """Load the low half of an argument; both architectures are little-endian."""
    return (LOAD, 0, 0, 16 + 8 * index)


def _fail(code: int) -> Instruction:
    return (RETURN, 0, 0, 0x00050000 | code)


def _on(number: int, *body: Instruction) -> tuple[Instruction, ...]:
    """`body` for one call; where it does not return, the checks go on with the number."""
    return ((EQUAL, 0, len(body) + 1, number), *body, (LOAD, 0, 0, NUMBER))


def program(machine: str) -> list[Instruction]:
    """The filter for an architecture (`platform.machine()`). Raises KeyError for others."""
    arch = AUDIT_ARCH[machine]
    column = list(AUDIT_ARCH).index(machine)
    local_only = (
        _argument(0),
        (EQUAL, 1, 0, AF_UNIX),
        _fail(errno.EPERM),
        _argument(1),
        (AND, 0, 0, 0xF),
        # Datagram sockets could still send to any address without `connect`.
        (EQUAL, 2, 0, SOCK_STREAM),
        (EQUAL, 1, 0, SOCK_SEQPACKET),
        _fail(errno.EPERM),
    )
    lines: list[Instruction] = [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        lines += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, KILL)]
    lines += _on(SOCKET[column], *local_only)
    lines += _on(SOCKETPAIR[column], *local_only)
    lines += _on(CLONE[column], _argument(0), (ANY_BIT, 0, 1, CLONE_NEW), _fail(errno.EPERM))
    # Its flags are behind a pointer; the C library falls back to clone.
    lines += _on(CLONE3[column], _fail(errno.ENOSYS))
    lines += _on(
        PERSONALITY[column],
        _argument(0),
        (EQUAL, 2, 0, 0),
        (EQUAL, 1, 0, 0xFFFFFFFF),
        _fail(errno.EPERM),
    )
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            lines += [(EQUAL, 0, 1, number), _fail(errno.EPERM)]
    return [*lines, (RETURN, 0, 0, ALLOW)]


def _compile() -> bytes | None:
    machine = platform.machine()
    if machine not in AUDIT_ARCH or sys.maxsize < 2**32:
        return None
    return b"".join(struct.pack("=HBBI", *line) for line in program(machine))


_compiled = _compile()
_libc = ctypes.CDLL(None, use_errno=True)


def enforce() -> None:
    """Filter this process and all it starts, for ever. Needs no_new_privs.

    Raises OSError when the kernel has no seccomp, or for an unknown architecture."""
    if _compiled is None:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()}")
    code = ctypes.create_string_buffer(_compiled)
    header = struct.pack("@HP", len(_compiled) // 8, ctypes.addressof(code))
    if _libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0):  # PR_SET_SECCOMP, MODE_FILTER
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
