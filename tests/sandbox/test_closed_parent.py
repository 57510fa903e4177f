"""A private directory below a folder that is closed to others, as `/root` is."""

from __future__ import annotations

import os
from pathlib import Path

from filemill.engine import Call, Limits
from filemill.sandbox import Box

MODULE = """
import os

def look(report):
    here = os.getcwd()
    allowed = os.access(here, os.W_OK | os.X_OK)
    return {"access": allowed, "real": os.path.realpath("/proc/self/cwd")}
"""


def test_absolute_paths_work_there(tmp_path: Path) -> None:
    """LibreOffice asks access(2) for its profile's real path, and waits for ever when denied."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    room, modules = closed / "room", tmp_path / "modules"
    room.mkdir(mode=0o700)
    modules.mkdir()
    (modules / "looking.py").write_text(MODULE)
    with Box.start({}, reads=[modules], path=[modules]) as box:
        ended = box.run(Call("looking:look"), directory=room, limits=Limits())
    assert ended.value == {"access": True, "real": os.path.realpath(room)}, ended
