"""Estimates from what was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from filemill.estimate import seconds
from filemill.model import Blob, Job, Plan, State, Step

PLAN = Plan("mp4", "webm", (Step("ffmpeg", "mp4", "webm"),))
JOB = Job(
    *("job_1", "key_1", State.DONE, PLAN, "a.mp4", Blob("in", 1, "")),
    created_at=0.0,
    expires_at=1.0,
    started_at=10.0,
)


def done(size: int, took: float) -> Job:
    return replace(JOB, input=Blob("in", size, ""), finished_at=10.0 + took)


SMALL = [done(100, took) for took in (9, 10, 11, 10, 30)]
LARGE = [done(1000, took) for took in (90, 100, 110, 100, 100)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (100, 10.0),
        (50, 10.0),  # not less: nobody knows how much of it is the start
        (200, 20.0),
        (1000, 100.0),
        (5000, 500.0),
        (None, 60.0),
        (0, 10.0),
    ],
)
def test_by_the_nearest_in_size(size: int | None, expected: float) -> None:
    assert seconds([*SMALL, *LARGE], "mp4", "webm", size) == expected


def test_nothing_to_go_by() -> None:
    assert seconds([], "mp4", "webm", 5) is None
    assert seconds(SMALL, "mkv", "webm", 5) is None
    assert seconds([replace(SMALL[0], started_at=None)], "mp4", "webm", 5) is None
