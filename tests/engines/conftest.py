from __future__ import annotations

from collections.abc import Iterator

import pytest

from hostile.traps import Traps, planted


@pytest.fixture
def traps() -> Iterator[Traps]:
    with planted() as traps:
        yield traps
