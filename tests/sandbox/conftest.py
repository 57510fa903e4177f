from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import HERE, TOOLS

from filemill.sandbox import Box


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box.start(TOOLS, path=[HERE]) as started:
        yield started


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    folder.mkdir(mode=0o700)
    return folder
