"""LibreOffice processes that wait: those that rehearsed, and those that do several documents."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filemill.conversion import Converter, Result
from filemill.engine import Command
from filemill.engines import libreoffice
from filemill.engines.libreoffice import rehearsal
from filemill.errors import EngineError
from filemill.model import Step
from filemill.ports.sandbox import never
from filemill.sandbox import Box
from filemill.workshop import Workshop
from samples import documents as samples
from samples import reading
from sandbox.processes import alive, below, eventually

pytestmark = pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")

KINDS = ("docx", "xlsx", "pptx")
LONG = "the quick brown fox\n" * 60_000
"""Takes some seconds."""


@contextmanager
def opened(folder: Path, tasks: int) -> Iterator[Converter]:
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o711)
    with Workshop.here().open(preload=False, spares=1, tasks=tasks, rooms=folder) as converter:
        yield converter


@pytest.fixture
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    with opened(tmp_path_factory.mktemp("rooms"), 1) as converter:
        yield converter


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    with opened(tmp_path_factory.mktemp("rooms"), 3) as converter:
        yield converter


@pytest.fixture
def to_pdf(tmp_path: Path) -> Callable[..., Result]:
    """to_pdf(converter, extension, content, stopped): one step in a directory of its own."""
    rooms = itertools.count()

    def step(
        converter: Converter, kind: str, content: bytes, stopped: Callable[[], bool] = never
    ) -> Result:
        room = tmp_path / str(next(rooms))
        room.mkdir()
        (room / f"in.{kind}").write_bytes(content)
        return converter.step(Step("libreoffice", kind, "pdf"), room, stopped=stopped)

    return step


def offices(converter: Converter, argument: str = "") -> set[int]:
    """The processes of LibreOffice that wait, with this argument."""
    assert isinstance(converter.sandbox, Box)
    found = set()
    for pid in below(converter.sandbox.server):
        try:
            program, *line = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if "soffice" in program and argument in "".join(line):
            found.add(pid)
    return found


def lasting(converter: Converter) -> set[int]:
    return offices(converter, "private:factory")


def rehearsed(converter: Converter) -> int:
    """The only one that waits: another has made room for it."""
    assert eventually(lambda: lasting(converter) == offices(converter) != set(), 60)
    (pid,) = lasting(converter)
    return pid


def test_one_that_rehearsed_does_one_document(
    sample: Callable[[str], Path], single: Converter, to_pdf: Callable[..., Result]
) -> None:
    for kind in ("docx", "pptx"):
        pid = rehearsed(single)
        result = to_pdf(single, kind, sample(kind).read_bytes())
        assert samples.SENTENCE[:9] in reading.words(result.path, "pdf")
        left = {path.name for path in result.path.parent.iterdir()}
        assert left == {f"in.{kind}", "in.pdf"}
        assert eventually(lambda pid=pid: not alive(pid))


def test_its_documents_are_good(sample: Callable[[str], Path], tmp_path: Path) -> None:
    """LibreOffice takes much: what it repairs in silence would not be rehearsed."""
    readers = {"docx": reading.words, "xlsx": reading.cells}
    for command in rehearsal.work().processes:
        assert isinstance(command, Command)
        ((name, content),) = command.files.items()
        path = tmp_path / name
        path.write_bytes(content)
        if reader := readers.get(path.suffix[1:]):
            assert reader(path, path.suffix[1:])


def test_several_by_one_process(
    sample: Callable[[str], Path], shared: Converter, to_pdf: Callable[..., Result]
) -> None:
    pid = rehearsed(shared)
    for kind in KINDS:
        assert alive(pid)
        result = to_pdf(shared, kind, sample(kind).read_bytes())
        assert samples.SENTENCE[:9] in reading.words(result.path, "pdf")
    assert eventually(lambda: not alive(pid))
    assert to_pdf(shared, "csv", sample("csv").read_bytes())


def killing(converter: Converter) -> Callable[[], bool]:
    """A `Stopped` that lets go on, but kills the process that waits, once it has the document."""
    left = lasting(converter)

    def stopped() -> bool:
        for pid in tuple(left):
            if Path(f"/proc/{pid}/cwd/in.txt").exists():
                os.kill(pid, signal.SIGKILL)
                left.remove(pid)
        return False

    return stopped


def test_one_that_falls_over_at_its_first_document_fails_it(
    shared: Converter, to_pdf: Callable[..., Result]
) -> None:
    rehearsed(shared)
    with pytest.raises(EngineError):
        to_pdf(shared, "txt", LONG.encode(), killing(shared))


def test_what_falls_over_after_others_is_done_by_another(
    sample: Callable[[str], Path], shared: Converter, to_pdf: Callable[..., Result]
) -> None:
    pid = rehearsed(shared)
    to_pdf(shared, "docx", sample("docx").read_bytes())
    result = to_pdf(shared, "txt", LONG.encode(), killing(shared))
    assert not alive(pid)
    assert "fox" in reading.words(result.path, "pdf")


def test_one_that_died_while_it_waited(
    sample: Callable[[str], Path], shared: Converter, to_pdf: Callable[..., Result]
) -> None:
    to_pdf(shared, "docx", sample("docx").read_bytes())
    for pid in offices(shared):
        os.kill(pid, signal.SIGKILL)
    assert to_pdf(shared, "docx", sample("docx").read_bytes())
