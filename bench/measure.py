"""What the benches share: a server of their own, timings, tables."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Served:
    url: str
    key: str
    pid: int

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=600)


@contextmanager
def server(**settings: str) -> Iterator[Served]:
    """A server on an empty folder, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="filemill-bench-") as folder:
        own = {f"FILEMILL_{name.upper()}": value for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "filemill", "serve", "--port", "0"],
            env={**os.environ, "FILEMILL_DATA": f"{folder}/data", **own},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        url = key = ""
        for line in process.stdout:
            url = (re.search(r"serves on (\S+)", line) or ["", url])[1]
            key = (re.search(r"shown only now: (\S+)", line) or ["", key])[1]
            if "curl" in line:
                break
        while not httpx.get(f"{url}/readyz").is_success:
            time.sleep(0.1)
        try:
            yield Served(url, key, process.pid)
        finally:
            process.terminate()
            process.wait()


def median(run: Callable[[], object], *, times: int) -> float:
    """Seconds; the first run warms up and does not count."""
    run()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


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
