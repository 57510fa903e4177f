"""LibreOffice: a small document to PDF by `POST /v1/convert`, against `soffice --convert-to` with
the same fixed profile, at idle and with all slots busy; and what `FILEMILL_OFFICE_REUSE` gives.

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
TIMES, PAUSE = 9, 2.0
"""At idle: conversions, and the seconds of rest before each."""
MANY, AT_ONCE, ROUNDS = 20, 2, 3
REUSED = 20


def main() -> None:
    office = shutil.which("soffice")
    assert office, "there is no LibreOffice here"
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as served,
        server(office_reuse=str(REUSED), warm_office=str(AT_ONCE)) as shared,
    ):
        here = Path(folder)
        rows = []
        for kind in KINDS:
            path = documents.make(kind, here / f"small.{kind}")
            alone = [soffice(office, here / f"{kind}-{number}") for number in range(AT_ONCE)]

            def ours(_: int, path: Path = path) -> None:
                convert(served, path)

            def bare(lane: int, path: Path = path, alone: list[Alone] = alone) -> None:
                alone[lane](path)

            def reused(_: int, path: Path = path) -> None:
                convert(shared, path)

            idle, idle_bare = at_rest(ours, bare)
            busy, busy_bare, busy_reused = saturated(ours, bare, reused)
            rows.append(
                [
                    kind,
                    *(f"{took * 1000:.0f} ms" for took in (idle, idle_bare)),
                    f"{idle / idle_bare:.2f}",
                    *(f"{MANY / took:.1f}/s" for took in (busy, busy_bare)),
                    f"{busy_bare / busy:.2f}",
                    f"{MANY / busy_reused:.1f}/s",
                    f"{busy_bare / busy_reused:.2f}",
                ]
            )
    head = ["", "idle", "bare", "ours/bare", "busy", "bare", "ours/bare"]
    table([*head, f"reuse of {REUSED}", "to bare"], rows)


Alone = Callable[[Path], None]


def soffice(office: str, folder: Path) -> Alone:
    """`soffice --convert-to pdf` with the engine's own profile in a folder."""
    for name, content in libreoffice.profile.files(*libreoffice.installed()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    argv = [office, f"-env:UserInstallation=file://{folder}/profile", "--headless"]
    argv += ["--convert-to", "pdf", "--outdir", str(folder / "out")]

    def run(path: Path) -> None:
        subprocess.run([*argv, str(path)], check=True, capture_output=True)

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


def at_rest(*runs: Callable[[int], object]) -> list[float]:
    """Median seconds of each, by turns; each time nothing else runs. The first round, in which
    servers may still be starting what waits, does not count."""
    took: list[list[float]] = [[] for _ in runs]
    for _ in range(TIMES + 1):
        for run, times in zip(runs, took, strict=True):
            time.sleep(PAUSE)
            began = time.perf_counter()
            run(0)
            times.append(time.perf_counter() - began)
    return [statistics.median(times[1:]) for times in took]


def saturated(*runs: Callable[[int], object]) -> list[float]:
    """Median seconds of many of each in several lanes at once, by turns."""

    def lane(run: Callable[[int], object], number: int) -> None:
        for _ in range(number, MANY, AT_ONCE):
            run(number)

    took: list[list[float]] = [[] for _ in runs]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            for run, times in zip(runs, took, strict=True):
                began = time.perf_counter()
                list(pool.map(lane, [run] * AT_ONCE, range(AT_ONCE)))
                times.append(time.perf_counter() - began)
    return list(map(statistics.median, took))


if __name__ == "__main__":
    main()
