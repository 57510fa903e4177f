"""Documents whose macros act when they are opened: with us they do not, and they could."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from filemill.conversion import Converter, _place
from filemill.engine import Command, Task
from filemill.engines import libreoffice
from filemill.model import Facts, Step
from hostile.traps import Traps
from samples import macros, reading

pytestmark = pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")

ALLOWED = {
    "DisableMacrosExecution": ("true", "false"),
    "DisableActiveContent": ("true", "false"),
    "MacroSecurityLevel": ("3", "0"),
}
"""What lets macros run: (as it is in our profile, as it would have to be)."""


@pytest.mark.parametrize("kind", macros.KINDS)
@pytest.mark.parametrize("waiting", [False, True])
def test_macros_do_not_run(
    request: pytest.FixtureRequest, traps: Traps, tmp_path: Path, waiting: bool, kind: str
) -> None:
    own: Converter = request.getfixturevalue("warm" if waiting else "converter")
    macros.make(tmp_path / f"in.{kind}", traps.http("macro"))
    result = own.step(Step("libreoffice", kind, "pdf"), tmp_path)
    assert macros.SEEN in reading.words(result.path, "pdf")
    assert not (tmp_path / macros.EFFECT).exists()
    assert not traps.hits


@pytest.mark.parametrize("kind", macros.KINDS)
def test_our_profile_alone_stops_macros(kind: str, traps: Traps, tmp_path: Path) -> None:
    """Without a sandbox, and opened like a person would."""
    opened(kind, tmp_path, traps, allowed=False)
    assert not (tmp_path / macros.EFFECT).exists()
    assert not traps.hits


@pytest.mark.parametrize("kind", macros.KINDS)
def test_with_another_profile_they_would_run(kind: str, traps: Traps, tmp_path: Path) -> None:
    """The same file opened in the same way: so the tests above can fail."""
    opened(kind, tmp_path, traps, allowed=True)
    assert (tmp_path / macros.EFFECT).read_text().strip() == "The macro was here."
    assert traps.hits


def opened(kind: str, room: Path, traps: Traps, *, allowed: bool) -> None:
    """Open the document in LibreOffice; end it when the macro has run, or where that may not,
    when it has converted another document after that."""
    path = macros.make(room / f"in.{kind}", traps.http("macro"))
    (room / "after.txt").write_text("after")
    work = libreoffice.build(Task("txt", "pdf", "after.txt", "out.pdf", {}, Facts("txt", 1)))
    _place(work, room)
    if allowed:
        allow(room)
    (convert,) = (process for process in work.processes if isinstance(process, Command))
    shared = next(at for at, word in enumerate(convert.argv) if word.startswith("--infilter"))
    open_ = [*convert.argv[:shared], f"file:///proc/self/cwd/{path.name}"]
    with started(open_, convert, room) as office:
        try:
            until = time.monotonic() + 120
            while not (room / f".~lock.in.{kind}#").exists():
                assert time.monotonic() < until
                assert office.poll() is None
                time.sleep(0.05)
            if allowed:
                while not traps.hits:  # the last thing that the macro does
                    assert time.monotonic() < until
                    time.sleep(0.05)
                return
            # The same profile: it hands its task to the first, and waits until that has done it.
            with started(convert.argv, convert, room) as second:
                second.wait(120)
            assert (room / "after.pdf").exists()
        finally:
            office.kill()


def started(argv: Sequence[str], like: Command, room: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(libreoffice.find()), *argv[1:]],
        cwd=room,
        env={"PATH": os.environ["PATH"], **like.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def allow(room: Path) -> None:
    registry = room / "profile/user/registrymodifications.xcu"
    text = registry.read_text()
    for name, (ours, theirs) in ALLOWED.items():
        before = f'name="{name}" oor:op="fuse"><value>{ours}<'
        assert before in text
        text = text.replace(before, before.replace(f">{ours}<", f">{theirs}<"))
    registry.write_text(text)
