from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filemill.conversion import Converter, Result
from filemill.formats import FORMATS
from filemill.model import Step
from filemill.ports.sandbox import silent
from filemill.workshop import Workshop
from hostile.traps import Traps, planted


@pytest.fixture
def traps() -> Iterator[Traps]:
    with planted() as traps:
        yield traps


@pytest.fixture(scope="module")
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """sample(format): a file that the test module's `samples` make."""
    folder = tmp_path_factory.mktemp("samples")

    def get(format_id: str) -> Path:
        path = folder / f"in.{format_id}"
        return path if path.exists() else request.module.samples.make(format_id, path)

    return get


@pytest.fixture
def run(
    request: pytest.FixtureRequest, converter: Converter, tmp_path: Path
) -> Callable[..., Result]:
    """run(path, source, target, **options): one step of the test module's `ENGINE`."""
    rooms = itertools.count()
    # LibreOffice hangs in a dialog when the user it runs as may not enter the folders above.
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)

    def step(path: Path, source: str, target: str, report: Any = silent, **options: Any) -> Result:
        room = tmp_path / str(next(rooms))
        room.mkdir(mode=0o700)
        (room / f"in.{FORMATS[source].extension}").write_bytes(path.read_bytes())
        wanted = Step(request.module.ENGINE.name, source, target, options)
        return converter.step(wanted, room, report=report)

    return step


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    """Engines of which one process each waits, started."""
    rooms = tmp_path_factory.mktemp("rooms")
    rooms.chmod(0o711)
    rooms.parent.chmod(0o711)
    with Workshop.here().open(preload=False, spares=1, rooms=rooms) as converter:
        yield converter
