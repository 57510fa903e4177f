"""How much longer work takes, by its pace."""

from __future__ import annotations

import pytest

from filemill.lease import STEADY, WINDOW, Pace


def test_nothing_is_said_until_the_pace_is_steady() -> None:
    pace = Pace()
    assert pace.left(0.0, 100.0) is None
    assert pace.left(0.02, 100.0 + STEADY / 2) is None
    assert pace.left(0.1, 110.0) == pytest.approx(90)
    assert pace.left(0.2, 120.0) == pytest.approx(80)


def test_work_that_stands_still_has_no_pace() -> None:
    pace = Pace()
    pace.left(0.5, 0.0)
    assert pace.left(0.5, 2 * STEADY) is None


def test_only_the_last_while_counts() -> None:
    pace = Pace()
    for second in range(100):  # slow first
        pace.left(0.001 * second, float(second))
    for second in range(int(WINDOW) + 1):
        left = pace.left(0.1 + 0.01 * second, 100.0 + second)
    assert left == pytest.approx((1 - 0.1 - 0.01 * WINDOW) / 0.01)


def test_slow_work_has_a_pace_too() -> None:
    """Two hours of work: a percent is told less often than the window is long."""
    pace = Pace()
    for percent in range(50):
        left = pace.left(percent / 100, 72.0 * percent)
    assert left == pytest.approx(51 * 72)
