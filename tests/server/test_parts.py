"""Long work in parts: on all slots at once, and never the same part twice, whatever is killed."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import imageio_ffmpeg
import pikepdf
import psycopg
import pytest
from PIL import Image

from databases import Postgres
from server.running import Server, finish
from server.test_jobs import engines_of, submit

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SLOTS = 2


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s of pictures at NTSC's odd rate, two sound tracks; takes some seconds."""
    path = tmp_path_factory.mktemp("film") / "long.mp4"
    lavfi = ("-f", "lavfi", "-i")
    picture = (*lavfi, "testsrc2=size=480x270:rate=30000/1001:duration=40")
    sound = (*lavfi, "aevalsrc='sin(2*PI*t*(200+20*t))':d=40:s=48000")
    coders = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
    coders += ("-map", "0:v", "-map", "1:a", "-map", "1:a")
    subprocess.run([FFMPEG, "-v", "error", *picture, *sound, *coders, path], check=True)
    return path


def server_for(folder: Path, **settings: str) -> Server:
    return Server(folder, **{"worker_slots": str(SLOTS), "part_seconds": "0.6"} | settings)


def rows(server: Server) -> list[tuple[int, int, bool]]:
    """(number, attempts, done) of each part."""
    with sqlite3.connect(server.data / "filemill.db") as database:
        query = "SELECT number, attempts, blob IS NOT NULL FROM parts ORDER BY number"
        return [(number, tried, bool(done)) for number, tried, done in database.execute(query)]


def download(server: Server, job: dict[str, object], path: Path) -> Path:
    with server.client() as client:
        path.write_bytes(client.get(str(job["download_url"])).raise_for_status().content)
    return path


def moments(path: Path) -> list[float]:
    """When each decoded picture is shown."""
    with av.open(str(path)) as media:
        return [frame.time for frame in media.decode(video=0)]


def samples(path: Path) -> tuple[float, int]:
    """When sound begins, and how many decoded samples it has."""
    with av.open(str(path)) as media:
        frames = list(media.decode(audio=0))
    return frames[0].time, sum(frame.samples for frame in frames)


def psnr(one: Path, other: Path) -> float:
    measured = subprocess.run(
        [FFMPEG, "-i", one, "-i", other, "-lavfi", "[0:v][1:v]psnr", "-f", "null", "-"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"PSNR y:([\d.]+|inf)", measured.stderr)
    assert found, measured.stderr
    return float(found[1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, long_film: Path) -> Path:
    """The film converted in one piece."""
    folder = tmp_path_factory.mktemp("whole")
    with server_for(folder / "data", part_seconds="1000") as server, server.client() as client:
        job = finish(client, submit(client, long_film, "webm", quality="90"))
        assert job["state"] == "done", job
        assert not rows(server)
        return download(server, job, folder / "whole.webm")


def same_film(split: Path, whole: Path) -> None:
    for path in (split, whole):
        with av.open(str(path)) as media:
            assert len(media.streams.audio) == 2
    assert moments(split) == pytest.approx(moments(whole), abs=1e-6)
    assert samples(split) == samples(whole)
    assert psnr(split, whole) > 40


def test_killed_again_and_again_no_finished_part_is_done_twice(
    tmp_path: Path, long_film: Path, whole: Path
) -> None:
    server = server_for(tmp_path / "data").start()
    seen: list[int] = []
    kills = 0
    try:
        with server.client() as client:
            job_id = submit(client, long_film, "webm", quality="90")
        chance = random.Random(5)
        done: set[int] = set()
        while kills < 4:
            deadline = time.monotonic() + 60
            while not engines_of(server) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 2.0))
            with server.client() as client:
                seen.append(client.get(f"/v1/jobs/{job_id}").json()["progress_pct"])
            before = rows(server)
            server.kill()
            kills += 1
            after = rows(server)
            assert done <= {number for number, _, is_done in after if is_done}
            done = {number for number, _, is_done in after if is_done}
            assert len(before) in (0, len(after))
            server.start()
            with server.client() as client:
                seen.append(client.get(f"/v1/jobs/{job_id}").json()["progress_pct"])
        with server.client() as client:
            job = finish(client, job_id)
        assert job["state"] == "done", job
        parts = rows(server)
        result = download(server, job, tmp_path / "split.webm")
        stored = sorted((server.data / "blobs" / "jobs" / job_id).iterdir())
    finally:
        server.stop()
    assert len(parts) > 8
    assert all(is_done for _, _, is_done in parts)
    redone = sum(attempts - 1 for _, attempts, _ in parts)
    assert redone <= SLOTS * kills, parts
    assert seen == sorted(seen)
    assert len(stored) == 2, "the upload and the result"
    assert not list((server.data / "scratch").glob("job_*"))
    same_film(result, whole)


def test_two_hosts_do_the_parts_and_one_that_dies_is_replaced(
    tmp_path: Path, postgres: Postgres, long_film: Path, whole: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    database_url = postgres.new()
    shared = {
        "database_url": database_url,
        "blob_url": f"file://{tmp_path / 'blobs'}",
        "host_timeout": "6",
        "worker_slots": "1",
        "part_seconds": "1",
    }
    query = "SELECT number, attempts, blob FROM parts ORDER BY number"
    with (
        psycopg.connect(database_url, autocommit=True) as database,
        server_for(tmp_path / "one", **shared) as one,
        server_for(tmp_path / "two", **shared) as two,
    ):
        two.key = one.key
        with one.client() as client:
            job_id = submit(client, long_film, "webm", quality="90")

        def wait(true: Callable[[], object]) -> None:
            deadline = time.monotonic() + 60
            while not true():
                assert time.monotonic() < deadline, (one.log, two.log)
                time.sleep(0.02)

        wait(lambda: engines_of(one) and engines_of(two))
        wait(lambda: any(blob for _, _, blob in database.execute(query)))
        wait(lambda: engines_of(one))
        one.kill()
        done = {number: blob for number, _, blob in database.execute(query) if blob}
        with two.client() as client:
            job = finish(client, job_id)
        assert job["state"] == "done", job
        result = download(two, job, tmp_path / "split.webm")
        parts = database.execute(query).fetchall()
    assert len(parts) > len(done), "there was something left to do"
    assert done == {number: blob for number, _, blob in parts if number in done}
    assert all(attempts == 1 for number, attempts, _ in parts if number in done)
    assert sum(attempts - 1 for _, attempts, _ in parts) <= 1, "the one that was cut short"
    assert moments(result) == pytest.approx(moments(whole), abs=1e-6)
    assert samples(result) == samples(whole)


def test_two_slots_do_two_parts_at_once_and_a_cancel_leaves_nothing(
    tmp_path: Path, long_film: Path
) -> None:
    with server_for(tmp_path / "data") as server, server.client() as client:
        job_id = submit(client, long_film, "webm", effort="smaller")
        most, deadline = 0, time.monotonic() + 60
        while time.monotonic() < deadline and (
            most < SLOTS or not any(done for _, _, done in rows(server))
        ):
            most = max(most, len(engines_of(server)))
            time.sleep(0.02)
        assert most == SLOTS
        folder = server.data / "blobs" / "jobs" / job_id
        assert any(folder.rglob("parts/*"))
        assert client.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
        began = time.monotonic()
        while engines_of(server) and time.monotonic() < began + 10:
            time.sleep(0.02)
        assert time.monotonic() < began + 1, "the limit that is promised"
        deadline = time.monotonic() + 20
        while list((server.data / "scratch").glob("job_*")) or (folder / "parts").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [path.name for path in folder.iterdir()] == ["in"], "a retry needs the upload"
        # Nothing of it holds up what comes next.
        short = finish(client, submit(client, tiny_pdf(tmp_path / "a.pdf", 1), "png"))
        assert short["state"] == "done"
        assert not engines_of(server)


def test_a_short_job_passes_the_parts_of_a_long_one(tmp_path: Path, long_film: Path) -> None:
    with server_for(tmp_path / "data", worker_slots="1") as server, server.client() as client:
        job_id = submit(client, long_film, "webm", effort="balanced")
        deadline = time.monotonic() + 60
        while not any(done for _, _, done in rows(server)) and time.monotonic() < deadline:
            time.sleep(0.02)
        short = finish(client, submit(client, tiny_pdf(tmp_path / "a.pdf", 1), "png"))
        assert short["state"] == "done"
        left = [number for number, _, done in rows(server) if not done]
        assert len(left) > 2, "it came between two parts"
        assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "processing"


def test_pages_come_in_order(tmp_path: Path) -> None:
    with server_for(tmp_path / "data", part_seconds="1") as server, server.client() as client:
        job = finish(client, submit(client, tiny_pdf(tmp_path / "a.pdf", 60), "png"))
        assert job["state"] == "done", job
        assert len(rows(server)) > 2
        archive = download(server, job, tmp_path / "split.zip")
    with zipfile.ZipFile(archive) as pictures:
        assert pictures.namelist() == [f"page-{number:02}.png" for number in range(1, 61)]
        assert pictures.testzip() is None
        for number, name in enumerate(pictures.namelist(), 1):
            picture = Image.open(pictures.open(name)).convert("RGB")
            assert abs(picture.size[0] - (72 + 6 * number) * 150 / 72) <= 1, (
                "each has its own width"
            )


def tiny_pdf(path: Path, pages: int) -> Path:
    with pikepdf.new() as pdf:
        for number in range(1, pages + 1):
            pdf.add_blank_page(page_size=(72 + 6 * number, 100))
        pdf.save(path)
    return path


def test_a_film_that_is_not_what_its_head_says_is_done_whole(tmp_path: Path) -> None:
    film = tmp_path / "gap.mkv"
    picture = "testsrc2=size=480x270:rate=30:duration=24,select='not(between(n,300,340))'"
    coders = ("-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "ultrafast")
    subprocess.run([FFMPEG, "-v", "error", "-f", "lavfi", "-i", picture, *coders, film], check=True)
    with server_for(tmp_path / "data") as server, server.client() as client:
        job = finish(client, submit(client, film, "webm"))
        assert job["state"] == "done", job
        assert len(rows(server)) > 2, "it looked as if it could be split"
        with sqlite3.connect(server.data / "filemill.db") as database:
            assert database.execute("SELECT whole FROM cuts").fetchall() == [(1,)]
        result = download(server, job, tmp_path / "result.webm")
        folder = server.data / "blobs" / "jobs" / str(job["job_id"])
        assert len(list(folder.rglob("*"))) == 2, "nothing of its parts is left"
    assert moments(result) == pytest.approx(moments(film), abs=0.002)
