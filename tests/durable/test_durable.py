"""The durable queue, on SQLite and on PostgreSQL, in processes that are really killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HOST = Path(__file__).parent / "host.py"
PATIENCE = 120.0
"""Seconds until a test gives up; nothing is expected to take nearly so long."""


class Host:
    def __init__(self, url: str, folder: Path, name: str, slots: int, dead_after: float) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, HOST, url, folder, name, str(slots), str(dead_after)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("a"),
            text=True,
        )
        self.first = self._line()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def do(self, *words: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(60) == 0


class World:
    """Hosts on one database, and the diary that all their runs write."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._hosts: list[Host] = []
        (folder / "diary").touch()

    def host(self, name: str = "one", *, slots: int = 3, dead_after: float = 60) -> Host:
        host = Host(self._url, self._folder, name, slots, dead_after)
        self._hosts.append(host)
        return host

    def hold(self) -> None:
        """Let runs wait in their second step."""
        (self._folder / "hold").touch()

    def go(self) -> None:
        (self._folder / "hold").unlink()

    def lose_database(self) -> None:
        """Let everything that is begun fail as if the database did not answer."""
        (self._folder / "away").touch()

    def find_database(self) -> None:
        (self._folder / "away").unlink()

    @property
    def told(self) -> str:
        """What the hosts log."""
        return (self._folder / "stderr").read_text()

    @property
    def diary(self) -> list[tuple[str, str, str]]:
        """(host, what, job) in the order of its happening."""
        # Up to the last whole line: a write over the end of a page is seen in two.
        lines = (self._folder / "diary").read_text().rpartition("\n")[0].splitlines()
        return [(host, what, job) for host, what, job in map(str.split, lines)]

    def count(self, what: str) -> Counter[str]:
        return Counter(job for _, happened, job in self.diary if happened == what)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, (
                self.diary,
                self.told[-5000:],
            )
            time.sleep(0.05)

    def most_at_once(self, host: str) -> int:
        now = most = 0
        for name, what, _ in self.diary:
            if name == host:
                now += {"begin": 1, "leave": -1}.get(what, 0)
                most = max(most, now)
        return most

    def close(self) -> None:
        for host in self._hosts:
            host.kill()


def ids(number: int, name: str = "job") -> list[str]:
    return [f"{name}_{n}" for n in range(number)]


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "world"
    folder.mkdir()
    world = World(database_url, folder)
    yield world
    world.close()


@pytest.fixture
def shared(postgres: object, tmp_path: Path) -> Iterator[World]:
    """A world whose hosts can share the database."""
    folder = tmp_path / "world"
    folder.mkdir()
    world = World(postgres.new(), folder)  # type: ignore[attr-defined]
    yield world
    world.close()


def test_put_start_adopt(world: World) -> None:
    host = world.host(slots=2)
    assert host.first == "ready"

    host.do("rollback", "never")
    host.do("put", "put")
    world.until(lambda: world.count("end")["put"] == 1)
    world.until(lambda: host.do("adopt", "put") == "False")  # its run is over

    world.hold()
    assert [host.do("reserve") for _ in range(3)] == ["True", "True", "False"]
    host.do("start", "direct")
    world.until(lambda: world.count("step1")["direct"] == 1)
    assert host.do("adopt", "direct") == "True", "it runs"
    host.do("put", "waiting", "waiting2")
    host.do("release")
    world.until(lambda: sum(world.count("step1").values()) == 3)  # put, direct and one of the two
    assert host.do("reserve") == "False"
    assert host.do("adopt", "waiting") == "True"
    assert host.do("adopt", "waiting2") == "True"
    assert host.do("adopt", "unknown") == "True", "it is put now"
    world.go()

    expected = dict.fromkeys(("put", "direct", "waiting", "waiting2", "unknown"), 1)
    world.until(lambda: len(world.count("leave")) == len(expected))
    world.until(lambda: host.do("adopt", "unknown") == "False")
    assert [host.do("reserve") for _ in range(3)] == ["True", "True", "False"], "slots came back"
    host.stop()
    for what in ("begin", "step0", "step1", "step2", "end"):
        assert world.count(what) == expected
    assert "never" not in str(world.diary)


def test_run_that_lost_the_database_is_run_once_more(world: World) -> None:
    """For each attempt that owned the job, and on whichever host that is seen."""
    host = world.host(slots=1)
    world.lose_database()
    host.do("put", "job")
    world.until(lambda: world.count("begin")["job"] == 1)
    said: list[str] = []

    def again() -> bool:  # at first its run may not have ended yet
        said.append(host.do("adopt", "job", "token1"))
        return world.count("begin")["job"] == 2

    world.until(again)
    assert said[0] == "True"
    world.until(lambda: host.do("adopt", "job", "token1") == "False")  # it had its further run
    world.find_database()
    assert host.do("adopt", "job", "token2") == "True"
    world.until(lambda: world.count("end")["job"] == 1)
    world.until(lambda: host.do("adopt", "job", "token2") == "False")
    assert world.count("begin")["job"] == 3


def test_delivery_is_under_way_until_its_run_has_ended(world: World) -> None:
    host = world.host(slots=1)
    assert host.do("under_way", "dlv", "10") == "False"
    host.do("post", "dlv", str(time.time() + 3600))
    host.do("post", "dlv", "99")
    assert host.do("under_way", "dlv", "10") == "False", "another time is another run"
    world.lose_database()
    host.do("post", "dlv", "10")
    world.until(lambda: world.count("deliver")["dlv"] == 2)
    world.until(lambda: host.do("under_way", "dlv", "10") == "False")
    world.find_database()
    host.do("post", "dlv", "20")
    world.until(lambda: world.count("deliver")["dlv"] == 3)


def test_forget_drops_what_is_over(world: World) -> None:
    host = world.host(slots=1)
    host.do("put", *ids(3))
    world.until(lambda: sum(world.count("leave").values()) == 3)
    world.until(lambda: all(host.do("adopt", job) == "False" for job in ids(3)))
    world.hold()
    host.do("put", "running", "queued")
    world.until(lambda: sum(world.count("step1").values()) == 4)
    host.do("forget", "60")
    assert host.do("adopt", "job_0") == "False", "it is not so long ago"
    host.do("forget", "-1")
    assert host.do("adopt", "running") == host.do("adopt", "queued") == "True"
    assert host.do("adopt", "job_2") == "True", "unknown again, so it was put"
    world.go()
    world.until(lambda: sum(world.count("leave").values()) == 6)
    assert world.count("begin") == {"job_0": 1, "job_1": 1, "job_2": 2, "running": 1, "queued": 1}


def test_never_more_at_once_than_slots(world: World) -> None:
    host = world.host(slots=3)
    world.hold()
    host.do("put", *ids(40))
    direct = []
    while host.do("reserve") == "True":
        direct.append(f"direct_{len(direct)}")
        host.do("start", direct[-1])
    world.until(lambda: sum(world.count("step1").values()) == 3)
    host.do("put", *ids(10, "late"))
    world.go()
    world.until(lambda: sum(world.count("leave").values()) == 50 + len(direct))
    assert world.most_at_once("one") == 3
    assert set(world.count("end").values()) == {1}


def test_killed_and_started_again(world: World) -> None:
    host = world.host(slots=3)
    host.do("put", *ids(4, "early"))
    world.until(lambda: sum(world.count("end").values()) == 4)
    world.hold()
    assert host.do("reserve") == "True"
    host.do("start", "direct")
    host.do("put", *ids(8))
    world.until(lambda: sum(world.count("step1").values()) == 4 + 3)
    host.kill()
    assert sum(world.count("end").values()) == 4

    again = world.host(slots=3)
    assert again.first == "ready"
    world.until(lambda: sum(world.count("step1").values()) == 4 + 3 + 3)
    world.go()
    world.until(lambda: sum(world.count("end").values()) == 4 + 1 + 8)
    world.until(lambda: again.do("adopt", "direct") == "False")
    assert set(world.count("end").values()) == {1}
    assert set(world.count("step0").values()) == {1}, "a finished step was done again"
    twice = [job for job, times in world.count("step1").items() if times == 2]
    assert len(twice) == 3, "only the steps that were cut short are done again"
    # Nothing is left over: another start finds nothing to do.
    before = world.diary
    again.stop()
    third = world.host(slots=3)
    third.do("put", "last")
    world.until(lambda: world.count("end")["last"] == 1)
    assert {job for _, _, job in world.diary[len(before) :]} == {"last"}


def test_second_process_is_refused_on_sqlite(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    world = World(f"sqlite:///{tmp_path / 'test.db'}", folder)
    try:
        first = world.host("one")
        assert first.first == "ready"
        assert world.host("two").first.startswith("refused: Another filemill already runs")
        first.do("put", "job")
        world.until(lambda: world.count("end")["job"] == 1)
        first.kill()  # the lock dies with its owner
        assert world.host("three").first == "ready"
    finally:
        world.close()


def test_two_hosts_share_the_queue(shared: World) -> None:
    shared.hold()
    one, two = shared.host("one", slots=2), shared.host("two", slots=2)
    one.do("put", *ids(30))
    two.do("put", *ids(30, "other"))
    shared.until(lambda: sum(shared.count("step1").values()) == 4)
    shared.go()
    shared.until(lambda: sum(shared.count("leave").values()) == 60)
    for what in ("begin", "step0", "step1", "step2", "end"):
        assert set(shared.count(what).values()) == {1}
        assert len(shared.count(what)) == 60
    assert shared.most_at_once("one") == shared.most_at_once("two") == 2


def test_hosts_of_two_sizes_are_told(shared: World) -> None:
    for slots in (2, 2):
        shared.host("one", slots=slots).stop()
    assert "slots" not in shared.told
    shared.host("two", slots=8)
    assert "this host has 8 slots, the last to start here had 2" in shared.told


def test_host_that_died_is_replaced(shared: World) -> None:
    shared.hold()
    one = shared.host("one", slots=2, dead_after=6)
    assert one.do("reserve") == "True"
    one.do("start", "direct")
    one.do("put", *ids(4))
    shared.until(lambda: sum(shared.count("step1").values()) == 2)
    two = shared.host("two", slots=2, dead_after=6)
    shared.until(lambda: sum(shared.count("step1").values()) == 4)
    one.kill()
    shared.go()
    shared.until(lambda: sum(shared.count("end").values()) == 5)
    shared.until(lambda: two.do("adopt", "direct") == "False")
    assert set(shared.count("end").values()) == {1}
    assert set(shared.count("step0").values()) == {1}, "a finished step was done again"
    assert {host for host, what, _ in shared.diary if what == "end"} == {"two"}
    assert shared.most_at_once("two") <= 2


def test_host_that_is_only_slow_keeps_its_runs(shared: World) -> None:
    """Three times as long as a silence that would be its death."""
    shared.hold()
    one = shared.host("one", slots=1, dead_after=4)
    one.do("put", "long")
    shared.until(lambda: shared.count("step1")["long"] == 1)
    shared.host("two", slots=1, dead_after=4)
    time.sleep(12)
    shared.go()
    shared.until(lambda: shared.count("leave")["long"] == 1)
    assert shared.diary[-1] == ("one", "leave", "long")
    assert shared.count("begin") == {"long": 1}
