"""What a `Box` gives back, what it stops, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import HERE, TOOLS, alive, below, entries, eventually, settled

from filemill.conversion import Converter
from filemill.engine import MB, Call, Command, Engine, Limits, Route, Work
from filemill.errors import ServiceUnavailable, Timeout
from filemill.model import Facts, Step
from filemill.sandbox import Box
from filemill.sandbox.room import remove_sockets

LIMITS = Limits(wall=60, processes=100)


def worker(name: str, **arguments: object) -> Call:
    return Call(f"sandbox_workers:{name}", arguments)


def shell(script: str, **more: object) -> Command:
    return Command(("sh", "-c", script), **more)  # type: ignore[arg-type]


def test_call_returns_a_value(box, room):
    big = "ü" * 500_000
    ended = box.run(worker("echo", text=big, none=None), directory=room, limits=LIMITS)
    assert (ended.code, ended.killed, ended.error) == (0, None, None)
    assert ended.value == {"text": big, "none": None}
    assert ended.max_rss > MB
    assert ended.wall > 0


def test_surroundings(box, room, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    with (room / "in.txt").open("w"):
        found = box.run(worker("surroundings"), directory=room, limits=LIMITS).value
    assert found["cwd"] == str(room)
    assert found["session"]
    assert found["environment"] == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(room),
        "TMPDIR": str(room),
        "LANG": "C.UTF-8",
    }
    # 0, 1, 2, the results, and the one that listed them
    assert len(found["descriptors"]) == 5
    if os.geteuid() == 0:
        assert found["uid"] != 0


def test_the_server_comes_first(box, room):
    """Also where the kernel shares by session, each process of ours being one."""
    seen = box.run(worker("surroundings"), directory=room, limits=LIMITS).value
    assert seen["nice"] >= 10
    # Others than root may say so ten times a second, all together: not each process gets to.
    if seen["autogroup"] is not None and os.geteuid() == 0:
        assert seen["autogroup"].split()[-1] == "10"


def test_call_reports_progress(box, room):
    told: list[float] = []
    ended = box.run(worker("steps", count=50), directory=room, limits=LIMITS, report=told.append)
    assert ended.value == 50
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 50


def test_call_raises_a_filemill_error(box, room):
    ended = box.run(worker("invalid"), directory=room, limits=LIMITS)
    assert ended.code == 1
    assert ended.error == {
        "code": "file_invalid",
        "message": "It is broken.",
        "hint": "Mend it.",
        "details": {"line": 3},
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [("crash", "ValueError: a bug"), ("unserialisable", "TypeError"), ("absent", "AttributeError")],
)
def test_call_with_a_bug(box, room, name, said):
    ended = box.run(worker(name), directory=room, limits=LIMITS)
    assert (ended.code, ended.error, ended.value) == (1, None, None)
    assert said in ended.stderr


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[" * 100_000, '{"error": 3}', '{"error": {"code": 1}}', '{"progress": "x"}'],
)
def test_forged_messages_are_ignored(box, room, line):
    ended = box.run(worker("forge", line=line), directory=room, limits=LIMITS)
    assert (ended.code, ended.error, ended.value) == (0, None, None)


def test_command(box, room):
    told: list[float] = []
    script = "echo 25; echo x; echo 75; echo $WORD >&2; touch made; umask; exit 7"
    process = shell(script, env={"WORD": "hello"}, progress=lambda line: int(line) / 100)
    ended = box.run(process, directory=room, limits=LIMITS, report=told.append)
    assert (ended.code, ended.stderr) == (7, "hello\n")
    assert told[:2] == [0.25, 0.75]
    made = (room / "made").stat()
    assert made.st_uid == os.geteuid()
    assert made.st_mode & 0o777 == 0o600


def test_command_without_progress_shows_its_output(box, room):
    assert box.run(shell("echo out"), directory=room, limits=LIMITS).stderr == "out\n"


def test_command_by_signal_and_missing(box, room):
    assert box.run(shell("kill -SEGV $$"), directory=room, limits=LIMITS).code == -signal.SIGSEGV
    assert box.run(Command(("none",)), directory=room, limits=LIMITS).code == 127
    with pytest.raises(ServiceUnavailable, match="undeclared"):
        box.run(Command(("undeclared",)), directory=room, limits=LIMITS)


def test_output_is_neither_kept_nor_waited_for(box, room):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = box.run(worker("shout", megabytes=500), directory=room, limits=LIMITS)
    assert ended.code == 0
    assert ended.stderr.endswith("the end")
    assert len(ended.stderr) == 8192
    process = shell("head -c 1000000000 /dev/zero", progress=lambda line: None)
    assert box.run(process, directory=room, limits=LIMITS).code == 0
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024


def test_wall_clock(box, room):
    ended = box.run(worker("sleep"), directory=room, limits=Limits(wall=2))
    assert (ended.killed, ended.code) == ("timeout", -signal.SIGKILL)
    assert not alive(int((room / "pid").read_text()))


def test_cpu_time(box, room):
    ended = box.run(worker("burn"), directory=room, limits=Limits(cpu=1, wall=60))
    assert ended.killed == "cpu"


def test_a_hang_is_not_waited_for(box, room):
    ended = box.run(worker("sleep"), directory=room, limits=Limits(idle=1.5, wall=60))
    assert ended.killed == "idle"
    assert ended.wall < 30
    # Its child works, and so does it.
    busy = shell("(while :; do :; done) & sleep 600")
    assert box.run(busy, directory=room, limits=Limits(idle=1.5, wall=6)).wall > 5


@pytest.mark.parametrize(
    ("name", "limits", "said"),
    [
        ("sleep", Limits(idle=1.5, wall=60), "did nothing for 1.5 s"),
        ("sleep", Limits(idle=60, wall=0.5), "took longer than 0.5 s"),
        ("burn", Limits(cpu=1, wall=60), "more than 1 s of processor time"),
    ],
)
def test_who_waits_is_told_which_limit_it_was(box, room, name, limits, said):
    def build(task):
        return Work((worker(name),), (task.output,))

    def probe(format, name):
        return worker("answer", value=Facts(format, 5).to_json())

    (room / "in.md").write_text("hello")
    engine = Engine("sleeper", "Sleeper", (Route("md", "txt"),), build, limits=limits)
    with pytest.raises(Timeout, match=said) as caught:
        Converter({"sleeper": engine}, box, probe).step(Step("sleeper", "md", "txt"), room)
    assert caught.value.hint


def test_cancel_kills_the_whole_family_within_a_second(box, room):
    asked: list[float] = []

    def stopped() -> bool:
        if (room / "ready").exists():
            asked.append(time.monotonic())
        return bool(asked)

    ended = box.run(worker("family"), directory=room, limits=LIMITS, stopped=stopped)
    assert ended.killed == "cancelled"
    # The contract: a cancelled engine is gone within a second.
    assert time.monotonic() - asked[0] < 1
    pids = [int(path.read_text()) for path in room.glob("pid*")]
    assert len(pids) == 4
    assert not [pid for pid in pids if alive(pid)]


def test_what_it_leaves_behind_is_killed(box, room):
    ended = box.run(worker("family_left"), directory=room, limits=LIMITS)
    assert (ended.code, ended.killed) == (0, None), ended.stderr
    assert not alive(int((room / "left").read_text()))


@pytest.mark.parametrize("pause", [0, 600])
def test_disk(box, room, pause):
    limits = Limits(disk=5 * MB, wall=60)
    ended = box.run(worker("fill", size=8 * MB, pause=pause), directory=room, limits=limits)
    assert ended.killed == "disk"


@pytest.mark.parametrize("pause", [0, 600])
def test_file_count(box, room, pause):
    limits = Limits(files=50, wall=60)
    ended = box.run(worker("litter", count=60, pause=pause), directory=room, limits=limits)
    assert ended.killed == "files"
    ended = box.run(worker("litter", count=40, pause=0), directory=room, limits=Limits(files=100))
    assert ended.killed is None


def test_one_file_too_large(box, room):
    limits = Limits(file_size=5 * MB, wall=60)
    ended = box.run(worker("fill", size=8 * MB, pause=0), directory=room, limits=limits)
    assert (ended.killed, ended.code) == ("file_size", -signal.SIGXFSZ)


def test_traps_are_removed(box, room, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    ended = box.run(worker("trap", target=str(secret)), directory=room, limits=LIMITS)
    assert ended.code == 0, ended.stderr
    assert sorted(path.name for path in room.iterdir()) == ["closed"]
    assert (room / "closed/inner/file").read_text() == "x"
    assert secret.read_text() == "secret"
    assert (room / "closed/inner").stat().st_mode & 0o700 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs users of their own")
def test_input_is_read_only(box, room):
    (room / "in.txt").write_text("original")
    assert box.run(worker("overwrite_input"), directory=room, limits=LIMITS).code == 1
    assert (room / "in.txt").read_text() == "original"


def test_a_raising_report_ends_the_process(box, room):
    def report(fraction: float) -> None:
        raise RuntimeError("ours")

    process = shell("echo $$ > pid; echo 1; sleep 600", progress=float)
    with pytest.raises(RuntimeError, match="ours"):
        box.run(process, directory=room, limits=LIMITS, report=report)
    pid = int((room / "pid").read_text())
    assert eventually(lambda: not alive(pid))


def test_fifty_at_once(box, tmp_path):
    def one(number: int) -> object:
        room = tmp_path / str(number)
        room.mkdir(mode=0o700)
        if number % 2:
            return box.run(worker("echo", n=number), directory=room, limits=LIMITS).value["n"]
        return int(box.run(shell(f"sleep .1; echo {number}"), directory=room, limits=LIMITS).stderr)

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(one, range(50))) == list(range(50))


def test_nothing_leaks(tmp_path):
    threads = set(threading.enumerate())
    others = below(os.getpid())
    with Box.start(TOOLS, path=[HERE]) as box:
        room = tmp_path / "room"
        room.mkdir()

        def held() -> tuple[int, int, int]:
            servers = below(os.getpid()) - others
            fds = sum(entries(f"/proc/{pid}/fd") for pid in servers)
            return entries("/proc/self/fd"), len(servers), fds

        def some(count: int) -> None:
            for number in range(count):
                process = worker("echo") if number % 2 else shell("sleep 600 & exit 0")
                assert box.run(process, directory=room, limits=LIMITS).code == 0

        some(4)
        before = settled(held)
        some(200)
        assert eventually(lambda: held() == before)
    assert below(os.getpid()) == others
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize("which", ["guard", "loader"])
def test_fork_server_killed(tmp_path, which):
    with Box.start(TOOLS, path=[HERE]) as box:
        room = tmp_path / "room"
        room.mkdir()
        assert box.run(Command(("true",)), directory=room, limits=LIMITS).code == 0
        assert box.run(worker("echo"), directory=room, limits=LIMITS).code == 0
        guard = box.server
        (loader,) = (pid for pid in below(guard) if below(pid))
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(box.run, worker("family"), directory=room, limits=LIMITS)
            assert eventually((room / "ready").exists)
            os.kill(guard if which == "guard" else loader, signal.SIGKILL)
            assert run.result(20).code == -signal.SIGKILL
        pids = [int(path.read_text()) for path in room.glob("pid*")]
        assert eventually(lambda: not any(map(alive, [*pids, guard, loader])))
        again = box.run(worker("echo", n=1), directory=room, limits=LIMITS)
        assert again.value == {"n": 1}
        assert box.run(Command(("true",)), directory=room, limits=LIMITS).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="without a user of its own it cannot be told apart")
def test_what_a_command_started_ends_with_the_guard(box, room):
    family = "sleep 600 & echo $! > pid1; setsid sleep 600 & echo $! > pid2; touch ready; sleep 600"
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(box.run, shell(family), directory=room, limits=LIMITS)
        assert eventually((room / "ready").exists)
        os.kill(box.server, signal.SIGKILL)
        assert run.result(20).code == -signal.SIGKILL
    pids = [int((room / name).read_text()) for name in ("pid1", "pid2")]
    assert not any(map(alive, pids))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes PID namespaces")
def test_one_that_does_not_die_holds_up_nobody(room, tmp_path):
    """The first process of a PID namespace hangs in its end until the last one there is reaped."""
    with Box.start(TOOLS, layers=frozenset()) as box, ThreadPoolExecutor(1) as pool:
        stop = threading.Event()
        run = pool.submit(
            box.run,
            shell("unshare --pid --fork sleep 600 & echo $! > pid; touch ready; wait"),
            directory=room,
            limits=LIMITS,
            stopped=stop.is_set,
        )
        assert eventually((room / "ready").exists)
        assert eventually(lambda: below(int((room / "pid").read_text())))
        (first,) = below(int((room / "pid").read_text()))
        guest = subprocess.Popen(["nsenter", f"--target={first}", "--pid", "sleep", "600"])
        try:
            assert eventually(lambda: below(guest.pid))
            guest.send_signal(signal.SIGSTOP)
            stop.set()
            assert run.result(20).killed == "cancelled"
            assert Path(f"/proc/{first}").exists()
            other = tmp_path / "other"
            other.mkdir()
            assert box.run(Command(("true",)), directory=other, limits=LIMITS).code == 0
            assert Path(f"/proc/{first}").exists()
        finally:
            guest.kill()
            guest.wait()
        assert eventually(lambda: not Path(f"/proc/{first}").exists() or not alive(first))
        assert box.run(Command(("true",)), directory=other, limits=LIMITS).code == 0
        assert not Path(f"/proc/{first}").exists()


def test_with_thousands_of_descriptors(box, room):
    """As a server with many connections has: select(2) takes none above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert box.run(worker("echo", n=1), directory=room, limits=LIMITS).value == {"n": 1}
        assert box.run(Command(("true",)), directory=room, limits=LIMITS).code == 0
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_only_dead_sockets_are_removed():
    """One with a full queue is not waited for."""
    folder = Path("/tmp")
    paths = [folder / f"filemill-test-{os.getpid()}-{name}" for name in ("busy", "dead")]
    busy, dead = (socket.socket(socket.AF_UNIX) for _ in paths)
    with busy, ExitStack() as opened:
        for path, listener in zip(paths, (busy, dead), strict=True):
            opened.callback(path.unlink, missing_ok=True)
            listener.bind(str(path))
            listener.listen(0)
        opened.enter_context(waiting := socket.socket(socket.AF_UNIX)).connect(str(paths[0]))
        dead.close()
        remove_sockets({os.geteuid()}, time.time() - 60)
        assert [path.exists() for path in paths] == [True, False]
        assert waiting.fileno() > 0


def test_main_process_killed(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    script = f"""
import json, os, sys
from pathlib import Path
from filemill.engine import Call, Limits
from filemill.sandbox import Box
box = Box.start({{}}, path=[Path({str(HERE)!r})])
print(box.server, flush=True)
box.run(Call("sandbox_workers:family"), directory=Path({str(room)!r}), limits=Limits())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as main:
        assert main.stdout
        guard = int(main.stdout.readline())
        assert eventually((room / "ready").exists)
        pids = below(main.pid) | {int(path.read_text()) for path in room.glob("pid*")}
        assert guard in pids
        assert len(pids) >= 7
        main.kill()
    assert eventually(lambda: not any(map(alive, pids)))


def test_close_ends_what_runs(tmp_path):
    box = Box.start(TOOLS, path=[HERE])
    room = tmp_path / "room"
    room.mkdir()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(box.run, worker("sleep"), directory=room, limits=LIMITS)
        assert eventually((room / "pid").exists)
        box.close()
        assert run.result(20).code == -signal.SIGKILL
    with pytest.raises(ServiceUnavailable):
        box.run(worker("echo"), directory=room, limits=LIMITS)


def test_modules_that_start_threads_are_not_loaded_ahead(tmp_path):
    """Loading pyarrow starts threads, of which a fork would have none."""
    pytest.importorskip("pyarrow")
    with Box.start(TOOLS, ["json", "pyarrow", "no.such.module"], path=[HERE]) as box:
        call = worker("echo", text=json.dumps([1]))
        assert box.run(call, directory=tmp_path, limits=LIMITS).value == {"text": "[1]"}
        for pid in {box.server} | below(box.server):
            assert entries(f"/proc/{pid}/task") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="processes have users of their own only as root's")
def test_two_boxes_never_take_the_same_user(tmp_path):
    """Else the end of one, which kills what a user left, would kill the other's."""
    with Box.start(TOOLS) as one, Box.start(TOOLS) as other, ExitStack() as opened:
        taken = []
        for number in range(20):
            room = tmp_path / str(number)
            room.mkdir()
            taken.append(opened.enter_context((one, other)[number % 2]._user(room)))
        assert len(set(taken)) == len(taken)
        assert None not in taken
