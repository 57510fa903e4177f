"""How long a conversion will take, by how long the same took here lately. Floor 1, pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from filemill.model import Job

NEAREST = 5


def seconds(done: Iterable[Job], source: str, target: str, size: int | None) -> float | None:
    """The median of those `done` jobs that were nearest in size, longer by as much as this file
    is larger; None: none was. `size`: bytes."""
    took = [
        (job.input.size, job.finished_at - job.started_at)
        for job in done
        if (job.plan.source, job.plan.target) == (source, target)
        and job.finished_at is not None
        and job.started_at is not None
    ]
    if size is not None:
        wanted = size
        took = sorted(took, key=lambda one: abs(math.log((wanted + 1) / (one[0] + 1))))[:NEAREST]
        took = [(its, time * max(1.0, wanted / max(its, 1))) for its, time in took]
    return max(0.1, round(median(time for _, time in took), 1)) if took else None
