"""What the tests run inside the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def echo(report, **arguments):
    return arguments


def answer(report, value):
    return value


def surroundings(report):
    autogroup = Path("/proc/self/autogroup")
    return {
        "cwd": str(Path.cwd()),
        "uid": os.getuid(),
        "environment": dict(os.environ),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
        "session": os.getsid(0) == os.getpid(),
        "nice": os.nice(0),
        "autogroup": autogroup.read_text() if autogroup.exists() else None,
    }


def steps(report, count):
    for number in range(count):
        report((number + 1) / count)
    return count


def invalid(report):
    from filemill.errors import FileInvalid

    raise FileInvalid("It is broken.", hint="Mend it.", details={"line": 3})


def crash(report):
    raise ValueError("a bug")


def unserialisable(report):
    return object()


def forge(report, line):
    """Write on every open descriptor, as something that took the process over could."""
    for fd in range(3, 64):
        try:
            os.write(fd, line.encode() + b"\n")
        except OSError:
            continue


def sleep(report, seconds=600):
    Path("pid").write_text(str(os.getpid()))
    time.sleep(seconds)


def family(report, seconds=600):
    """A child, one in a session of its own, and a daemon; all write their pid."""
    script = "import os, time, sys; open('pid' + sys.argv[1], 'w').write(str(os.getpid())); "
    stay = script + f"time.sleep({seconds})"
    subprocess.Popen([sys.executable, "-c", stay, "1"])
    subprocess.Popen([sys.executable, "-c", stay, "2"], start_new_session=True)
    daemon = script + f"os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); {stay}"
    subprocess.run([sys.executable, "-c", daemon, "3"], check=True)
    subprocess.Popen([sys.executable, "-c", f"import signal; signal.signal(15, 1); {stay}", "4"])
    while not all(Path(f"pid{n}").exists() and Path(f"pid{n}").read_text() for n in (1, 2, 3, 4)):
        time.sleep(0.01)
    Path("ready").touch()
    if seconds:
        time.sleep(seconds)


def family_left(report):
    """The same, but it ends at once and leaves them."""
    try:
        family(report, 0.0)
    finally:
        script = "import os, time; open('left', 'w').write(str(os.getpid())); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
        while not (Path("left").exists() and Path("left").read_text()):
            time.sleep(0.01)


def fill(report, size, pause):
    with Path("big").open("wb") as file:
        for _ in range(size // 65536):
            file.write(bytes(65536))
    time.sleep(pause)


def litter(report, count, pause):
    for number in range(count):
        Path(f"file{number}").touch()
    time.sleep(pause)


def shout(report, megabytes):
    block = b"x" * (1 << 20)
    for _ in range(megabytes):
        os.write(1, block)
        os.write(2, block)
    os.write(2, b"the end")


def burn(report):
    while True:
        pass


def trap(report, target):
    """Leave things for whoever opens results by name."""
    Path("out.txt").symlink_to(target)
    os.mkfifo("out.pdf")
    Path("closed/inner").mkdir(parents=True)
    Path("closed/inner/file").write_text("x")
    Path("closed/inner/file").chmod(0)
    Path("closed/inner").chmod(0)
    Path("closed").chmod(0)


def overwrite_input(report):
    Path("in.txt").write_text("changed")


WORDS: list[str] = []


def remember(report, word):
    WORDS.append(word)
    return os.getpid(), WORDS


def say(report, text):
    os.write(2, text.encode())


def reads(report, path):
    return Path(path).read_text()


def die(report):
    os.abort()
