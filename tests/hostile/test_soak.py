"""A short soak; the long one is `python -m bench.soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.soaking import soak
from hostile.traps import Traps

COUNT = 60


@pytest.mark.timeout(600)
def test_nothing_is_left_of_many_conversions(traps: Traps, tmp_path: Path) -> None:
    hits = len(traps.hits)
    done = soak(COUNT, traps, tmp_path, warm_up=30)
    assert sum(done.came.values()) == COUNT
    assert {what for what in done.came if what.startswith("innocent")} == {"innocent ok"}
    assert done.leaked == ()
    assert traps.hits[hits:] == []
    assert done.after.processes <= done.before.processes
    assert done.after.descriptors <= done.before.descriptors + 8
    assert done.after.threads <= done.before.threads + 8
    assert done.after.rooms == 0
    assert done.after.rss <= done.before.rss + 64
    assert done.after.forks_rss <= done.before.forks_rss + 64
