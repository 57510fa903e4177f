"""Large files: a film to webm and a book to pictures, through POST /v1/jobs, killed half-way.

    .venv/bin/python -m bench.large [MB of film] [pages of book]

For each, in one run: the rates up and down against a copy of the same file on the same disk,
the conversion whole against the engine's own best command line, then the conversion in parts
with a `kill -9` of the server in its middle: what it took, and how much was done twice.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import av
import imageio_ffmpeg
import pikepdf

from bench.measure import CHUNK, Server, Watched, chunks, grown, rss, server, table
from filemill.containers import USUAL, VIDEO

T = TypeVar("T")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
WHOLE = {"part_seconds": "1000000", "worker_slots": "1"}
"""One run with all cores, as the bare engine has."""
CUT = {"part_seconds": "5"}
"""Smaller parts than usual: by default a film of a minute is done whole."""


@dataclass(frozen=True)
class Case:
    name: str
    source: Path
    target: str
    bare: Callable[[Path], object]
    """Does the same with the engine alone, into a folder."""
    right: Callable[[Path], bool]


def main(megabytes: int = 495, pages: int = 300) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for make, size in ((book, pages), (film, megabytes)):
            case = make(here, size)
            print(f"\n{case.name}: {case.source.stat().st_size / (1 << 20):.1f} MB\n", flush=True)
            table(["", "", "against"], whole(case, here))
            print(flush=True)
            table(["", "", ""], killed(case, here))


def whole(case: Case, here: Path) -> list[list[str]]:
    """In one piece, on a server that nobody disturbs. The bare engine runs before it and after
    it: a virtual machine's speed changes by more than what is measured."""
    (bare := here / "bare").mkdir(exist_ok=True)
    alone = took(lambda: case.bare(bare))
    with server(**WHOLE) as served:
        growth = rss(served.pid)
        with Watched(served.pid) as watched:
            up, job_id = timed(lambda: submit(served, case))
            job = finish(served, job_id)
            result = here / f"result.{case.target}"
            down = took(lambda: download(served, job, result))
        ours = float(job["duration_ms"]) / 1000
    alone = (alone + took(lambda: case.bare(bare))) / 2
    assert case.right(result)
    again = here / "copy"
    copies = [took(lambda path=path: copy(path, again)) for path in (case.source, result)]
    mega = [path.stat().st_size / (1 << 20) for path in (case.source, result)]
    return [
        ["upload", f"{mega[0] / up:.0f} MB/s", f"{mega[0] / copies[0]:.0f} MB/s, a copy"],
        ["conversion, whole", f"{ours:.1f} s", f"{alone:.1f} s, bare: {ours / alone:.2f}"],
        ["download", f"{mega[1] / down:.0f} MB/s", f"{mega[1] / copies[1]:.0f} MB/s, a copy"],
        ["server's peak growth", grown(watched, growth), "32 MB, the target"],
    ]


def killed(case: Case, here: Path) -> list[list[str]]:
    """In parts, with a crash in the middle."""
    with server(**CUT) as served:
        job_id = submit(served, case)
        seen = [status(served, job_id)["progress_pct"]]
        while seen[-1] < 50:
            time.sleep(0.1)
            seen.append(status(served, job_id)["progress_pct"])
        served.kill()
        before = parts(served)
        began = time.monotonic()
        served.start()
        back = time.monotonic() - began
        seen.append(status(served, job_id)["progress_pct"])
        job = finish(served, job_id)
        after = parts(served)
        download(served, job, result := here / f"parts.{case.target}")
    assert seen == sorted(seen), "progress went back"
    assert case.right(result)
    weight = sum(weight for weight, _, _ in after.values()) or 1.0
    again = sum(weight * (tries - 1) for weight, tries, _ in after.values())
    done = {number for number, (_, _, ended) in before.items() if ended}
    assert all(after[number][1] == before[number][1] for number in done), "done twice"
    return [
        ["conversion in parts, killed at", f"{seen[-2]} %", f"{len(after)} parts"],
        ["  from submission to the end", f"{float(job['duration_ms']) / 1000:.1f} s", ""],
        ["  server back after", f"{back:.1f} s", f"{seen[-1]} %"],
        ["  done twice", f"{again / weight:.1%}", f"{len(done)} parts kept"],
    ]


def parts(served: Server) -> dict[int, tuple[float, int, bool]]:
    """Number -> (weight, attempts, done)."""
    with sqlite3.connect(served.data / "filemill.db") as database:
        query = "SELECT number, weight, attempts, blob IS NOT NULL FROM parts"
        return {row[0]: (row[1], row[2], bool(row[3])) for row in database.execute(query)}


def submit(served: Server, case: Case) -> str:
    query = {"target": case.target, "filename": case.source.name}
    with served.client(timeout=600) as client:
        resp = client.post("/v1/jobs", content=chunks(case.source), params=query)
        return str(resp.raise_for_status().json()["job_id"])


def status(served: Server, job_id: str, **query: Any) -> dict[str, Any]:
    with served.client() as client:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job_id}", params=query).json()
        assert found["state"] not in ("failed", "cancelled"), found
        return found


def finish(served: Server, job_id: str) -> dict[str, Any]:
    while (job := status(served, job_id, wait=30))["state"] != "done":
        pass
    return job


def download(served: Server, job: dict[str, Any], path: Path) -> None:
    with served.client() as client, client.stream("GET", job["download_url"]) as resp:
        resp.raise_for_status()
        with path.open("wb") as file:
            for chunk in resp.iter_bytes(CHUNK):
                file.write(chunk)


def copy(source: Path, target: Path) -> None:
    """To the disk, as an accepted upload is."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def took(run: Callable[[], object]) -> float:
    return timed(run)[0]


def timed(run: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def film(here: Path, megabytes: int) -> Case:
    """720p with so much noise that a minute is that large, and sound."""
    path, seconds = here / "film.mkv", 60
    rate = megabytes * 8 * (1 << 20) // seconds
    picture = "testsrc2=size=1280x720:rate=30,noise=alls=40:allf=t"
    argv = [FFMPEG, "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine"]
    argv += ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    argv += ["-b:v", str(rate), "-maxrate", str(rate), "-bufsize", str(rate), "-c:a", "aac"]
    subprocess.run([*argv, path], check=True)

    def bare(folder: Path) -> None:
        argv = [
            FFMPEG,
            "-v",
            "error",
            "-y",
            "-i",
            path,
            *VIDEO["vp9"].arguments(USUAL, None, "fast"),
        ]
        subprocess.run([*argv, "-c:a", "libopus", folder / "film.webm"], check=True)

    def right(result: Path) -> bool:
        with av.open(str(result)) as media:
            pictures = sum(packet.size > 0 for packet in media.demux(media.streams.video[0]))
        return pictures == seconds * 30

    return Case("film", path, "webm", bare, right)


def book(here: Path, pages: int) -> Case:
    """Pages of text with a picture each."""
    path = here / "book.pdf"
    words = "It was the best of times, it was the worst of times. " * 2
    with pikepdf.new() as pdf:
        font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
        )
        for number in range(1, pages + 1):
            lines = "\n".join(f"(Page {number}, line {line}. {words}) '" for line in range(48))
            text = f"BT /F1 9 Tf 14 TL 50 800 Td\n{lines}\nET"
            page = pdf.add_blank_page(page_size=(595, 842))
            page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            page.Contents = pdf.make_stream(text.encode())
        pdf.save(path)
    script = (
        "import pypdfium2 as p, sys, zipfile, io\n"
        "with zipfile.ZipFile(sys.argv[2], 'w') as out:\n"
        "    for n, page in enumerate(p.PdfDocument(sys.argv[1])):\n"
        "        page.render(scale=150/72).to_pil().save(b := io.BytesIO(), 'png')\n"
        "        out.writestr(f'page-{n}.png', b.getvalue())\n"
    )

    def bare(folder: Path) -> None:
        subprocess.run([sys.executable, "-c", script, path, folder / "book.zip"], check=True)

    def right(result: Path) -> bool:
        with zipfile.ZipFile(result) as archive:
            return len(archive.namelist()) == pages and archive.testzip() is None

    return Case("book", path, "png", bare, right)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
