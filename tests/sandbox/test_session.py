"""Consecutive calls in one room share a worker; nothing else does."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from processes import HERE, TOOLS, alive, below, entries, eventually, settled

from filemill.engine import MB, Call, Command, Limits
from filemill.sandbox import Box

LIMITS = Limits(wall=60, processes=100)


def worker(name: str, **arguments: object) -> Call:
    return Call(f"sandbox_workers:{name}", arguments)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    folder.mkdir(mode=0o700)
    return folder


def test_calls_share_a_worker(box, room):
    big = "ü" * 10_000
    with box.open(room) as session:
        pids = {session.run(worker("remember", word=n), limits=LIMITS).value[0] for n in "abc"}
        ended = session.run(worker("echo", text=big), limits=LIMITS)
        assert (ended.code, ended.value) == (0, {"text": big})
        assert ended.max_rss > MB
        told: list[float] = []
        ended = session.run(worker("steps", count=50), limits=LIMITS, report=told.append)
        assert ended.value == 50
        assert (len(told), told[-1]) == (50, 1.0)
        (pid,) = pids
        assert alive(pid)
    assert not alive(pid)


def test_output_is_that_of_the_call(box, room):
    with box.open(room) as session:
        for said in "one", "two":
            assert session.run(worker("say", text=said), limits=LIMITS).stderr == said
        assert session.run(worker("echo"), limits=LIMITS).stderr == ""


def test_a_worker_never_serves_two_rooms(box, room, other):
    with box.open(room) as first, box.open(other) as second:
        pid, names = first.run(worker("remember", word="a"), limits=LIMITS).value
        assert names == ["a"]
        other_pid, names = second.run(worker("remember", word="b"), limits=LIMITS).value
        assert names == ["b"]
        assert other_pid != pid
        assert first.run(worker("remember", word="c"), limits=LIMITS).value == [pid, ["a", "c"]]
    with box.open(room) as again:
        found = again.run(worker("remember", word="d"), limits=LIMITS).value
        assert found[0] not in (pid, other_pid)
        assert found[1] == ["d"]


def test_the_second_call_is_confined_like_the_first(box, room, other):
    (other / "secret").write_text("secret")
    with box.open(room) as session:
        assert session.run(worker("echo"), limits=LIMITS).code == 0
        ended = session.run(worker("reads", path=str(other / "secret")), limits=LIMITS)
        assert ended.code == 1
        assert "PermissionError" in ended.stderr


@pytest.mark.parametrize("name", ["invalid", "crash", "unserialisable", "die"])
def test_a_call_after_one_that_failed_has_a_new_worker(box, room, name):
    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        ended = session.run(worker(name), limits=LIMITS)
        assert (ended.code != 0, ended.value) == (True, None)
        assert bool(ended.error) == (name == "invalid")
        pid, names = session.run(worker("remember", word="b"), limits=LIMITS).value
        assert (pid != first, names) == (True, ["b"])


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
def test_killed_in_the_second_call(box, room, how):
    limits = replace(LIMITS, wall=2 if how == "timeout" else 60)
    pid = room / "pid"
    stopped = (lambda: pid.exists() and pid.read_text()) if how == "cancelled" else lambda: False
    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        ended = session.run(worker("sleep"), limits=limits, stopped=stopped)
        assert (ended.killed, ended.code) == (how, -signal.SIGKILL)
        assert int((room / "pid").read_text()) == first
        assert not alive(first)
        assert session.run(worker("remember", word="b"), limits=LIMITS).value[1] == ["b"]


def test_killed_for_its_disk_in_the_second_call(box, room):
    limits = replace(LIMITS, disk=5 * MB)
    with box.open(room) as session:
        assert session.run(worker("echo"), limits=LIMITS).code == 0
        ended = session.run(worker("fill", size=8 * MB, pause=600), limits=limits)
        assert ended.killed == "disk"


def test_one_that_died_meanwhile_is_replaced(box, room):
    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: not alive(first))
        assert session.run(worker("remember", word="b"), limits=LIMITS).value[1] == ["b"]


def test_other_limits_mean_another_worker(box, room):
    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        more = replace(LIMITS, memory=LIMITS.memory * 2)
        assert session.run(worker("remember", word="b"), limits=more).value[0] != first


def test_nothing_lives_in_a_released_room(box, room):
    """We write there next: nothing may be left that could put a link in the way."""
    with box.open(room) as session:
        ended = session.run(worker("family_left"), limits=LIMITS)
        assert ended.code == 0, ended.stderr
        session.run(worker("trap", target="/etc/passwd"), limits=LIMITS)
        session.release()
        pids = [int(path.read_text()) for path in (*room.glob("pid*"), room / "left")]
        assert len(pids) == 5
        assert not [pid for pid in pids if alive(pid)]
        assert not any(path.is_symlink() or path.is_fifo() for path in room.iterdir())
        assert {path.stat().st_uid for path in room.iterdir()} == {os.geteuid()}
        assert session.run(Command(("true",)), limits=LIMITS).code == 0
        assert session.run(worker("echo", n=1), limits=LIMITS).value == {"n": 1}


def test_a_command_has_the_room_alone(box, room):
    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        alone = Command(("sh", "-c", f"! kill -0 {first} && touch made"))
        assert session.run(alone, limits=LIMITS).code == 0
        assert not alive(first)
        assert (room / "made").stat().st_uid == os.geteuid()
        assert session.run(worker("remember", word="b"), limits=LIMITS).value[1] == ["b"]


def test_a_raising_report_ends_the_worker(box, room):
    def report(fraction: float) -> None:
        raise RuntimeError("ours")

    with box.open(room) as session:
        first = session.run(worker("remember", word="a"), limits=LIMITS).value[0]
        with pytest.raises(RuntimeError, match="ours"):
            session.run(worker("steps", count=3), limits=LIMITS, report=report)
        assert not alive(first)


def test_sessions_leak_nothing(tmp_path):
    others = below(os.getpid())
    with Box.start(TOOLS, path=[HERE]) as box:

        def held() -> tuple[int, int, int]:
            servers = below(os.getpid()) - others
            fds = sum(entries(f"/proc/{pid}/fd") for pid in servers)
            return entries("/proc/self/fd"), len(servers), fds

        def some(count: int) -> None:
            for number in range(count):
                with box.open(tmp_path) as session:
                    for name in ("echo", "crash", "echo", "echo")[: 1 + number % 4]:
                        session.run(worker(name), limits=LIMITS)

        some(4)
        before = settled(held)
        some(60)
        assert eventually(lambda: held() == before)
