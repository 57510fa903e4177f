"""An engine that was taken over leaves something else than a file where its result should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.engine import Command, Engine, Limits, Route, Work
from filemill.errors import EngineError, FilemillError, LimitExceeded
from filemill.model import Plan, Step
from filemill.probes import Probes
from filemill.sandbox import Box
from hostile.traps import Traps
from sandbox.processes import eventually

PLAN = Plan("txt", "md", (Step("evil", "txt", "md"),))
LIMITS = Limits(wall=10, disk=50_000_000, files=500, file_size=20_000_000, processes=16)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("ln -s {secret} out.md", EngineError),
        ("ln -s /proc/self/environ out.md", EngineError),
        ("ln {secret} out.md || ln in.txt out.md", EngineError),
        ("mkfifo out.md", EngineError),
        ("mkdir out.md; ln -s {secret} out.md/x", EngineError),
        ("mkdir -p a/b; ln -s {folder} a/b/c; ln -s a/b/c/secret.txt out.md", EngineError),
        ("echo x > out.md; chmod 0 out.md .; exit 1", EngineError),
        (": > out.md", FilemillError),
        ("i=0; while :; do i=$((i+1)); : > $i; done", LimitExceeded),
        ("i=0; while :; do i=$((i+1)); head -c 15000000 /dev/zero > $i; done", LimitExceeded),
        ("(sleep 300; echo late > out.md) & exit 1", EngineError),
        ("kill -9 $$", EngineError),
        ("kill -9 -1; kill -9 $PPID; exit 1", EngineError),
    ],
)
def test_what_is_no_file_is_no_result(
    script: str, error: type[FilemillError], traps: Traps, tmp_path: Path
) -> None:
    shell = script.format(secret=traps.file(), folder=traps.folder)
    engine = Engine(
        name="evil",
        title="Evil",
        routes=(Route("txt", "md"),),
        build=lambda task: Work((Command(("sh", "-c", shell)),), (task.output,)),
        limits=LIMITS,
    )
    source = tmp_path / "source"
    source.write_text("Hello.\n")
    room = tmp_path / "room"
    room.mkdir()
    with Box.start({"sh": Path("/bin/sh")}) as box:
        converter = Converter({"evil": engine}, box, Probes())
        with pytest.raises(error) as raised:
            converter.convert(PLAN, source, room)
        assert traps.secret not in str(raised.value.to_json())
        honest = Engine(
            name="evil",
            title="Honest",
            routes=engine.routes,
            build=lambda task: Work((Command(("sh", "-c", "cp in.txt out.md")),), (task.output,)),
        )
        room = tmp_path / "next"
        room.mkdir()
        after = Converter({"evil": honest}, box, Probes()).convert(PLAN, source, room)
        assert after.path.read_text() == "Hello.\n"
    assert eventually(lambda: not any(path.is_fifo() for path in tmp_path.rglob("*")))
    assert (traps.folder / "secret.txt").read_text() == f"{traps.secret}\n"
