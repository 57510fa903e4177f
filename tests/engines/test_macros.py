"""Documents whose macros act when they are opened: with us they do not, and they could."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.engine import Command, Task
from filemill.engines import libreoffice
from filemill.model import Facts, Step
from filemill.sandbox.room import place
from hostile import unguarded
from hostile.traps import Traps
from samples import documents, macros, reading

pytestmark = pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")


@pytest.mark.parametrize("kind", [*macros.ACTING, *macros.IDLE, *macros.REMARKS])
@pytest.mark.parametrize("waiting", [False, True])
def test_macros_do_not_run(
    request: pytest.FixtureRequest, traps: Traps, tmp_path: Path, waiting: bool, kind: str
) -> None:
    own: Converter = request.getfixturevalue("warm" if waiting else "converter")
    hits = len(traps.hits)
    macros.make(tmp_path / f"in.{kind}", traps.file(), traps.http("macro"))
    result = own.step(Step("libreoffice", kind, "pdf"), tmp_path)
    seen = macros.SEEN if kind in macros.ACTING else documents.SENTENCE
    assert seen in reading.words(result.path, "pdf")
    assert not traps.leaked(result.path)
    assert not (tmp_path / macros.EFFECT).exists()
    assert len(traps.hits) == hits


@pytest.mark.parametrize("kind", macros.ACTING)
@pytest.mark.parametrize("kept", ["settings", "command"])
def test_each_guard_alone_stops_macros(kind: str, kept: str, tmp_path: Path, traps: Traps) -> None:
    """Without a sandbox."""
    hits = len(traps.hits)
    convert(kind, tmp_path, traps, settings=kept == "settings", command=kept == "command")
    assert not (tmp_path / macros.EFFECT).exists()
    assert len(traps.hits) == hits


@pytest.mark.parametrize("kind", macros.ACTING)
def test_without_both_they_would_run(kind: str, tmp_path: Path, traps: Traps) -> None:
    """The same file and the same conversion: so the tests above can fail."""
    hits = len(traps.hits)
    result = convert(kind, tmp_path, traps, settings=False, command=False)
    assert (tmp_path / macros.EFFECT).read_text().strip() == f"{macros.RAN} {traps.secret}"
    assert traps.leaked(result)
    assert len(traps.hits) > hits


@pytest.mark.parametrize("kind", macros.IDLE)
@pytest.mark.parametrize("settings", [False, True])
def test_those_of_word_are_not_there_to_be_called(
    settings: bool, kind: str, tmp_path: Path, traps: Traps
) -> None:
    """This LibreOffice has nothing that starts them; a macro of ours calls them by name, and with
    the settings finds none."""
    call = "VBAProject.Module1.AutoOpen"
    convert(kind, tmp_path, traps, settings=settings, command=False, call=call)
    effect = tmp_path / macros.EFFECT
    if settings:
        assert not effect.exists()
    else:
        assert effect.read_text().strip() == f"{macros.RAN} {traps.secret}"


@pytest.mark.parametrize("settings", [False, True])
def test_those_of_powerpoint_are_remarks(settings: bool, tmp_path: Path, traps: Traps) -> None:
    """What this LibreOffice loads of them is seen in an odp; with the settings it is nothing."""
    result = convert("pptx", tmp_path, traps, settings=settings, command=True, target="odp")
    with zipfile.ZipFile(result) as odp:
        found = [odp.read(name).decode() for name in odp.namelist() if name.endswith("Module1.xml")]
    assert len(found) == (0 if settings else 1)
    lines = [line for module in found for line in module.splitlines() if "Leak()" in line]
    assert all(line.startswith("Rem ") for line in lines)
    assert len(lines) == 2 * len(found)


def convert(
    kind: str,
    room: Path,
    traps: Traps,
    *,
    settings: bool,
    command: bool,
    call: str = "",
    target: str = "pdf",
) -> Path:
    """Convert without a sandbox, with these guards."""
    path = macros.make(room / f"in.{kind}", traps.file(), traps.http("macro"))
    task = Task(kind, target, path.name, f"out.{target}", {}, Facts(kind, 1))
    work = libreoffice.build(task)
    if not settings:
        work = unguarded.settings(work)
    if not command:
        work = unguarded.command(task, work, call)
    (process,) = (process for process in work.processes if isinstance(process, Command))
    place(process.files, room)
    subprocess.run(
        [str(libreoffice.find()), *process.argv[1:]],
        cwd=room,
        env={"PATH": os.environ["PATH"], **process.env},
        capture_output=True,
        timeout=120,
        check=True,
    )
    return room / work.outputs[0]
