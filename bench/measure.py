"""What the benches share: a server of their own, timings, tables."""

from __future__ import annotations

import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.server.running import Server as Server


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """A server on an empty folder, gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="filemill-bench-") as folder,
        Server(Path(folder) / "data", **settings) as running,
    ):
        yield running


class Watched:
    """The highest resident memory of a process meanwhile, bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak = rss(pid)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max(self.peak, rss(self._pid))


def grown(watched: Watched, before: int) -> str:
    return f"{(watched.peak - before) / (1 << 20):.1f} MB"


CHUNK = 1 << 20


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def medians(*runs: Callable[[], object], times: int) -> list[float]:
    """Seconds of each, by turns, since the machine's speed drifts; the first round warms up and
    does not count."""
    took: list[list[float]] = [[] for _ in runs]
    for _ in range(times + 1):
        for run, seconds in zip(runs, took, strict=True):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
            time.sleep(0.05)  # what a run leaves to be done behind it is not the next one's
    return [statistics.median(seconds[1:]) for seconds in took]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Markdown, so that a run can be pasted into the docs."""
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def rss(pid: int) -> int:
    """Resident memory of one process now, bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024
