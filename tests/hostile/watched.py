"""A sandbox that keeps account, and a conversion beside another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from filemill.conversion import Converter
from filemill.engine import MB, Exit, Limits, Process
from filemill.model import Plan
from filemill.ports.sandbox import Sandbox, Session

WALL = 20.0
"""Enough for what does not hang, on a busy host too."""
SHORT_WALL = 3.0
"""For what is expected to run into it."""
DISK = 1024 * MB
MEMORY = 2048 * MB


@dataclass
class Watched:
    """The `Sandbox` port around another: limits that tests can wait for, and what was used."""

    box: Sandbox
    wall: float = WALL
    exits: list[tuple[Exit, Limits]] = field(default_factory=list)

    @contextmanager
    def open(self, directory: Path) -> Iterator[WatchedSession]:
        with self.box.open(directory) as session:
            yield WatchedSession(session, self.wall, self.exits)


@dataclass
class WatchedSession:
    session: Session
    wall: float
    exits: list[tuple[Exit, Limits]]

    def release(self) -> None:
        self.session.release()

    def run(self, process: Process, *, limits: Limits, **more: Any) -> Exit:
        tight = replace(
            limits.within(wall=self.wall),
            disk=min(limits.disk, DISK),
            file_size=min(limits.file_size, DISK),
            memory=limits.memory and min(limits.memory, MEMORY),
        )
        ended = self.session.run(process, limits=tight, **more)
        self.exits.append((ended, tight))
        return ended


@contextmanager
def neighbour(converter: Converter, plan: Plan, folder: Path) -> Iterator[None]:
    """An innocent conversion that runs meanwhile, and must come out right."""
    folder.mkdir()
    picture = folder / "in.png"
    Image.radial_gradient("L").convert("RGB").save(picture)
    made: list[Any] = []

    def convert() -> None:
        try:
            made.append(converter.convert(plan, picture, folder))
        except Exception as error:
            made.append(error)

    thread = threading.Thread(target=convert)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not isinstance(made[0], Exception), made[0]
    with Image.open(made[0].path) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))
        assert abs(image.convert("L").getpixel((128, 128))) < 16  # dark in the middle
