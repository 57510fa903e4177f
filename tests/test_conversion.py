"""What the converter accepts from an engine, whatever a hostile file made of that engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.engine import Call, Engine, Limits, Part, Process, Route, Split, Task, Work
from filemill.errors import EngineError
from filemill.model import Facts, Step
from filemill.ports.sandbox import Report, Stopped
from sessions import Sessions

SECRET = "the signing secret of this host"


class NoBox(Sessions):
    """A sandbox that confines nothing: what a layer further out lets through must stop here."""

    def run(
        self,
        process: Process,
        *,
        directory: Path,
        limits: Limits,
        report: Report = print,
        stopped: Stopped = bool,
    ) -> object:
        from filemill.engine import Exit

        assert isinstance(process, Call)
        value = ATTACKS[process.function](directory) if process.function in ATTACKS else None
        return Exit(code=0, value=value or process.arguments.get("facts"))


def _symlink(directory: Path) -> None:
    (directory / "out.txt").symlink_to(directory.parent / "secret.txt")


def _relative(directory: Path) -> None:
    (directory / "out.txt").symlink_to("../secret.txt")


def _hard_link(directory: Path) -> None:
    os.link(directory.parent / "secret.txt", directory / "out.txt")


def _own_input(directory: Path) -> None:
    (directory / "out.txt").symlink_to("in.md")


def _fifo(directory: Path) -> None:
    os.mkfifo(directory / "out.txt")


def _socket(directory: Path) -> None:
    here = Path.cwd()
    os.chdir(directory)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("out.txt")
    finally:
        os.chdir(here)


def _device(directory: Path) -> None:
    os.mknod(directory / "out.txt", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero


def _folder(directory: Path) -> None:
    (directory / "out.txt").mkdir()


def _nothing(directory: Path) -> None:
    pass


def _honest(directory: Path) -> None:
    (directory / "out.txt").write_text("hello")


ATTACKS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (
        _symlink,
        _relative,
        _hard_link,
        _own_input,
        _fifo,
        _socket,
        _device,
        _folder,
        _nothing,
        _honest,
    )
}


def _converter(attack: str) -> Converter:
    def build(task: Task) -> Work:
        return Work((Call(attack),), (task.output,))

    def probe(format: str, name: str) -> Call:
        return Call("probe", {"facts": Facts(format, 5).to_json()})

    engine = Engine("evil", "Evil", (Route("md", "txt"),), build)
    return Converter({"evil": engine}, NoBox(), probe)  # type: ignore[arg-type]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(SECRET)
    room = tmp_path / "room"
    room.mkdir()
    (room / "in.md").write_text("# hello")
    return room


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "_honest"])
def test_result_must_be_a_file_of_its_own(attack: str, room: Path) -> None:
    if attack == "_device" and os.geteuid() != 0:
        pytest.skip("only root can make a device")
    with pytest.raises(EngineError):
        _converter(attack).step(Step("evil", "md", "txt"), room)


def test_honest_result(room: Path) -> None:
    result = _converter("_honest").step(Step("evil", "md", "txt"), room)
    assert result.path.read_text() == "hello"


def test_an_engine_that_this_host_lacks(room: Path) -> None:
    converter, step = _converter("_honest"), Step("other", "md", "txt")
    facts, work = Facts("md", 7), Work((), ())
    assert not converter.splits(step)
    assert converter.split(step, facts, 15) is None
    for asked in (
        lambda: converter.step(step, room),
        lambda: converter.look(step, room),
        lambda: converter.part(step, Part("part.txt", work, 1), room),
        lambda: converter.join(step, facts, Split((), work), room),
    ):
        with pytest.raises(EngineError, match="no engine 'other'"):
            asked()
