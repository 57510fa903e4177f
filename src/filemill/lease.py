"""A run's hold on what it does: tells progress, and learns that it was lost. Core."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from filemill.ports.jobs import Jobs

LOOK_EVERY = 0.25
"""Seconds between two looks at whether the work is still ours."""
WRITE_EVERY = 0.5
"""Seconds between two writes of progress."""
STEADY = 5.0
"""Seconds of work after which its speed tells how much longer it takes."""
WINDOW = 60.0
"""Seconds that count for the speed: what came before may have been slower."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try of what the database was away for."""
_PROCESS = time.time()

T = TypeVar("T")
log = logging.getLogger(__name__)


def insist(away: tuple[type[Exception], ...], work: Callable[[], T]) -> T:
    """What `work` gives. For half a minute it is done again when it raises one of `away`, so it
    must be such that it may happen twice."""
    for pause in PAUSES:
        try:
            return work()
        except away as error:
            log.warning("the database does not answer, another try in %g s: %s", pause, error)
            time.sleep(pause)
    return work()


class Pace:
    """How fast work goes."""

    def __init__(self, begun: float | None = None) -> None:
        """`begun`: when nothing was done yet, unix time; None: not known. What was begun before
        this process was interrupted, and its time tells nothing."""
        self._seen: deque[tuple[float, float]] = deque()
        if begun is not None and begun > _PROCESS:
            self._seen.append((time.monotonic() - (time.time() - begun), 0.0))

    def left(self, fraction: float, now: float) -> float | None:
        """Seconds until the end, when `fraction` is done at `now`; None: it cannot be told yet."""
        self._seen.append((now, fraction))
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()  # one of before stays: slow work is seldom looked at
        since, before = self._seen[0]
        if now - since < STEADY or fraction <= before:
            return None
        return (1 - fraction) * (now - since) / (fraction - before)


@dataclass(slots=True)
class Lease:
    """One run's hold on its job."""

    jobs: Jobs
    job_id: str
    attempt: str
    changed: Callable[[str], None]
    _pace: Pace = field(default_factory=Pace)
    _fraction: float = 0.0
    _written: int = 0
    _looked_at: float = 0.0
    _wrote_at: float = 0.0
    _lost: bool = field(default=False)

    def report(self, fraction: float) -> None:
        self._fraction = max(self._fraction, fraction)

    def lost(self) -> bool:
        """Asked by the sandbox all the time; goes to the database only now and then."""
        now = time.monotonic()
        if self._lost or now - self._looked_at < LOOK_EVERY:
            return self._lost
        self._looked_at = now
        try:
            self._look(now)
        except self.jobs.away as error:  # as long as nobody else can take it either
            log.warning("job %s: the database does not answer: %s", self.job_id, error)
        return self._lost

    def _look(self, now: float) -> None:
        pct = self._pct()
        if pct > self._written and now - self._wrote_at >= self._pause():
            self._lost = not self._tell(now)
            self._written, self._wrote_at = pct, now
            self.changed(self.job_id)
        else:
            self._lost = not self._owns()

    def _pause(self) -> float:
        return WRITE_EVERY

    def _owns(self) -> bool:
        return self.jobs.owns(self.job_id, self.attempt)

    def _pct(self) -> int:
        return min(int(self._fraction * 100), 99)  # 100 is said only by the settled job

    def _tell(self, now: float) -> bool:
        ends_at = self._end(self._fraction, now)
        return self.jobs.progress(self.job_id, self.attempt, self._pct(), ends_at=ends_at)

    def _end(self, fraction: float, now: float) -> float | None:
        left = self._pace.left(fraction, now)
        return None if left is None else time.time() + left
