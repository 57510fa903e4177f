"""Every attack through the real planner, probes, engines and sandbox of this host."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from filemill.conversion import Converter, Result
from filemill.engine import MB
from filemill.engines import ENGINES
from filemill.errors import FilemillError
from filemill.formats.detect import detect_file
from filemill.planner import Graph
from filemill.sandbox import Box
from hostile.attack import OK, Attack
from hostile.attacks import ATTACKS
from hostile.traps import Traps, plant
from hostile.unpacking import astray
from hostile.watched import DISK, SHORT_WALL, WALL, Watched, neighbour
from sandbox.processes import below, eventually

PLANNER = Graph(ENGINES)


def ways(attack: Attack) -> Iterator[str]:
    """Targets of an attack that other engines lead to: the same one reads the same file alike."""
    seen = set()
    for target in attack.targets:
        try:
            plan = PLANNER.plan(attack.source, target, attack.options)
            way = tuple(step.engine for step in plan.steps)
        except FilemillError:  # to be refused: that is tested, too
            way = (target,)
        if way not in seen:
            seen.add(way)
            yield target


CASES = [
    pytest.param(attack, target, id=f"{attack.name}-{target}")
    for attack in ATTACKS
    for target in ways(attack)
]


@pytest.fixture(scope="session")
def idle(converter: Converter, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many processes the sandbox has when nothing runs: its servers and what stands by."""
    assert isinstance(converter.sandbox, Box)
    plan = Graph(converter.engines.values()).plan("png", "jpg")
    with neighbour(converter, plan, tmp_path_factory.mktemp("idle") / "room"):
        pass
    return max(3, len(below(converter.sandbox.server)))


def test_there_are_enough_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize(("attack", "target"), CASES)
def test_attack(
    attack: Attack,
    target: str,
    traps: Traps,
    converter: Converter,
    idle: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    box = converter.sandbox
    assert isinstance(box, Box)
    watched = Watched(box, SHORT_WALL if "timeout" in attack.expect else WALL)
    hits, sockets = len(traps.hits), _sockets()
    plant(tmp_path, traps.secret)  # the folder above the private ones, as `../secret.txt`
    file = tmp_path / attack.name
    attack.make(file, traps)
    with file.open("rb") as opened, suppress(FilemillError):  # in the server process
        detect_file(opened, f"x.{attack.source}")
    graph = Graph(converter.engines.values())
    room = tmp_path / "room"
    room.mkdir()
    with neighbour(converter, graph.plan("png", "jpg"), tmp_path / "neighbour"):
        error: FilemillError | None = None
        result: Result | None = None
        try:
            result = replace(converter, sandbox=watched).convert(
                graph.plan(attack.source, target, attack.options), file, room
            )
        except FilemillError as raised:
            error = raised
    came = error.code if error else OK
    record_property("outcome", came)
    if error:
        assert not traps.in_bytes(str(error.to_json()).encode()), "the error tells the secret"
        assert error.message
        assert "Traceback" not in error.message
    elif result:
        assert not traps.leaked(result.path), "the secret is in the result"
        assert not astray(result.path)
    assert came in attack.expect
    assert traps.hits[hits:] == []
    for ended, limits in watched.exits:
        assert not limits.memory or ended.max_rss <= limits.memory + 512 * MB, ended.max_rss
    assert sum(path.stat().st_size for path in room.rglob("*") if path.is_file()) <= 2 * DISK
    assert all(path.is_file() or path.is_dir() for path in room.rglob("*"))
    assert eventually(lambda: len(below(box.server)) <= idle), "a process is left"
    new = _sockets() - sockets
    ours = {path for path in new if _owner(path) in users(box, len(watched.exits) + 4)}
    assert eventually(lambda: not any(_dead(path) for path in ours), 30), ours
    shutil.rmtree(room)


def _sockets() -> set[Path]:
    return {path for path in Path("/tmp").iterdir() if path.is_socket()}


def users(box: Box, last: int) -> set[int]:
    """The users that the latest processes ran as: other servers here leave sockets, too."""
    return set(list(box._uids)[-last:]) if box._uids else {os.geteuid()}


def _owner(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_uid
    return None


def _dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False
