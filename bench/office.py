"""LibreOffice: a small document to PDF by `POST /v1/convert`, against `soffice --convert-to` with
the same fixed profile, at idle and with all slots busy; and what one process for many would give.

    .venv/bin/python -m bench.office
"""

from __future__ import annotations

import http.client
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.samples import documents

from bench.measure import Server, server, table
from filemill.engines import libreoffice

KINDS = ("docx", "xlsx", "csv", "pptx")
TIMES, PAUSE = 5, 2.0
"""At idle: conversions, and the seconds of rest before each."""
MANY, AT_ONCE = 24, 2
REUSED = 10


def main() -> None:
    office = shutil.which("soffice")
    assert office, "there is no LibreOffice here"
    with tempfile.TemporaryDirectory() as folder, server() as served:
        here = Path(folder)
        rows = []
        for kind in KINDS:
            path = documents.make(kind, here / f"small.{kind}")
            bare = [soffice(office, here / f"{kind}-{number}") for number in range(AT_ONCE)]
            idle = [
                at_rest(lambda path=path: convert(served, path)),
                at_rest(lambda path=path, bare=bare: bare[0](path)),
            ]
            busy = [
                saturated(lambda _, path=path: convert(served, path)),
                saturated(lambda number, path=path, bare=bare: bare[number % AT_ONCE](path)),
            ]
            copies = [shutil.copy(path, here / f"copy-{n}.{kind}") for n in range(REUSED)]
            began = time.perf_counter()
            bare[0](*map(Path, copies))
            reused = (time.perf_counter() - began - idle[1]) / (REUSED - 1)
            rows.append(
                [
                    kind,
                    *(f"{took * 1000:.0f} ms" for took in idle),
                    f"{idle[0] / idle[1]:.2f}",
                    *(f"{MANY / took:.1f}/s" for took in busy),
                    f"{busy[1] / busy[0]:.2f}",
                    f"{reused * 1000:.0f} ms",
                ]
            )
    head = [
        "",
        "idle",
        "bare",
        "ours/bare",
        "busy",
        "bare",
        "ours/bare",
        "each more in one process",
    ]
    table(head, rows)


def soffice(office: str, folder: Path) -> Callable[..., None]:
    """`soffice --convert-to pdf` with the engine's own profile in a folder."""
    for name, content in libreoffice.profile.files(*libreoffice.installed()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    argv = [office, f"-env:UserInstallation=file://{folder}/profile", "--headless"]
    argv += ["--convert-to", "pdf", "--outdir", str(folder / "out")]

    def run(*paths: Path) -> None:
        subprocess.run([*argv, *map(str, paths)], check=True, capture_output=True)

    run_once = folder / "first.txt"
    run_once.write_text("x")
    run(run_once)
    return run


def convert(served: Server, path: Path) -> None:
    # An httpx.Client takes 20 ms of the machine to make.
    line = http.client.HTTPConnection(served.url.removeprefix("http://"))
    query = f"/v1/convert?target=pdf&filename={path.name}"
    line.request("POST", query, path.read_bytes(), served.headers)
    resp = line.getresponse()
    assert resp.read()
    assert resp.status == 200
    line.close()


def at_rest(run: Callable[[], object]) -> float:
    """Median seconds of conversions that each find nothing else running."""
    took = []
    for _ in range(TIMES):
        time.sleep(PAUSE)
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def saturated(run: Callable[[int], object]) -> float:
    """Seconds of many conversions, several at once; each thread has its own profile."""
    lanes = [range(lane, MANY, AT_ONCE) for lane in range(AT_ONCE)]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda lane: [run(number) for number in lane], lanes))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
