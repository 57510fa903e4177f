"""Whether a process still does something: a hang must not last as long as the longest work."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from filemill.sandbox.zygote import children

SHARE = 0.01
"""Of one core: what waits in a loop uses less, what reads from a slow disk uses more."""
EVERY = 1.0
"""Seconds between two looks."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Pulse:
    """Of a process and its descendants."""

    def __init__(self, pid: int, idle: float) -> None:
        self._pid, self._idle = pid, idle
        self._since = self._looked = time.monotonic()
        self._used = 0.0

    def stopped(self, now: float) -> bool:
        """Whether it has used less than `SHARE` of a core for `idle` seconds."""
        if now - self._looked < EVERY:
            return False
        self._looked = now
        used, busy = usage(self._pid)
        if busy or abs(used - self._used) > SHARE * self._idle:
            self._used, self._since = used, now
        return now - self._since > self._idle


def usage(pid: int) -> tuple[float, bool]:
    """Seconds of CPU used by a process, its descendants, and those of them that ended;
    and whether one of them runs now, or waits for a core or a disk."""
    total, busy = 0.0, False
    with suppress(OSError):
        # proc(5): the name may hold anything, the state is the first field after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = sum(map(int, fields[11:15])) / _TICKS
        busy = fields[0] in "RD"
    for child in children(pid):
        more, also = usage(child)
        total, busy = total + more, busy or also
    return total, busy
