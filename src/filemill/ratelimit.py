"""How many requests one asker may make in a window of time. Core.

Fixed windows: at most `limit` from one full minute to the next. The counts are in the
database, so that all hosts share them; a process takes permits from there by the batch (a
tenth of the limit) and spends them from memory, so most requests cost no query. Never too
many pass; at the very end of a window a host may hold a few that another one could have used.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from filemill.errors import RateLimited
from filemill.ports.counters import Counters

MINUTE = 60
HOUR = 3600
_PRUNE_ABOVE = 10_000
"""Leases in memory above which those of past windows are dropped."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How an asker stands; what the X-RateLimit headers say."""

    limit: int
    remaining: int
    reset: int
    """POSIX seconds when the window ends."""
    allowed: bool = True

    def check(self, *, now: float) -> None:
        """Raises `RateLimited`."""
        if not self.allowed:
            wait = max(1, math.ceil(self.reset - now))
            raise RateLimited(
                f"This is more than the {self.limit} requests that are allowed.",
                hint=f"Go on in {wait} s; X-RateLimit-Remaining says how many are left.",
                headers={"Retry-After": str(wait)},
            )

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


def window(now: float, seconds: int) -> tuple[int, int]:
    """[start, end) of the window that `now` is in."""
    start = int(now // seconds) * seconds
    return start, start + seconds


def batch(limit: int, left: int) -> int:
    """How many permits to take at once: fewer towards the end, so that hosts share the last."""
    return max(1, min(limit, left) // 10)


@dataclass(slots=True)
class _Lease:
    """What this process knows and holds of one asker's window."""

    unleased: int
    """Permits left in the database, when we last looked."""
    held: int = 0
    refilling: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limiter:
    """One per process, used from its event loop."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._leases: dict[tuple[str, int], _Lease] = {}

    async def spend(self, subject: str, limit: int, *, seconds: int = MINUTE, now: float) -> Rate:
        """Count one request, if it is allowed."""
        start, end = window(now, seconds)
        lease = self._leases.setdefault((subject, start), _Lease(limit))
        if not lease.held and lease.unleased:
            await self._refill(subject, start, end, limit, lease)
        if not lease.held:
            return Rate(limit, 0, end, allowed=False)
        lease.held -= 1
        return Rate(limit, lease.held + lease.unleased, end)

    async def _refill(self, subject: str, start: int, end: int, limit: int, lease: _Lease) -> None:
        async with lease.refilling:
            while not lease.held and lease.unleased:
                wanted = batch(limit, lease.unleased)
                used = await run_sync(self._counters.take, subject, start, end, wanted)
                # What `take` went beyond the limit is not ours.
                lease.held += max(0, min(wanted, limit - (used - wanted)))
                lease.unleased = max(0, limit - used)
        if len(self._leases) > _PRUNE_ABOVE:
            self._leases = {old: kept for old, kept in self._leases.items() if old[1] >= start}
