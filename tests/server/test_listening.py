"""Progress as those who wait for it see it: soon, whoever wrote it, and with what time is left."""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.lease import STEADY
from filemill.model import Blob, Job, Plan, State, Step
from server.running import Server
from server.test_jobs import submit

PROMISED = 0.25
"""Seconds from the write of a change to its arrival at who waits for it."""
Next = Callable[[], int]


@contextmanager
def long_polls(client: httpx.Client, job_id: str) -> Iterator[Next]:
    def following() -> int:
        job = client.get(f"/v1/jobs/{job_id}", params={"wait": 30}).raise_for_status().json()
        return int(job["progress_pct"])

    yield following


@contextmanager
def events(client: httpx.Client, job_id: str) -> Iterator[Next]:
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        data = (line[6:] for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(data))["progress_pct"] == 0
        yield lambda: int(json.loads(next(data))["progress_pct"])


@pytest.mark.parametrize("listen", [long_polls, events])
def test_what_another_process_writes_arrives_at_once(
    server: Server,
    client: httpx.Client,
    listen: Callable[[httpx.Client, str], AbstractContextManager[Next]],
) -> None:
    """As on a database that hosts share: this one learns of it by looking."""
    path = server.data / "filemill.db"
    with sqlite3.connect(path) as connection:
        (key_id,) = connection.execute("SELECT id FROM api_keys WHERE name = 'local'").fetchone()
    database = Database(f"sqlite:///{path}")
    jobs, job_id = Jobs(database), f"job_{listen.__name__}"
    # Accepted in the future, and with a day to live: the server's sweeper looks for the runs of
    # old jobs, and ends those whose time is almost up.
    plan = Plan("mp4", "webm", (Step("ffmpeg", "mp4", "webm"),))
    blob, soon = Blob("none", 1, "00"), time.time() + 600
    with jobs.transaction() as transaction:
        jobs.insert(
            transaction,
            Job(job_id, key_id, State.QUEUED, plan, "a.mp4", blob, soon, soon + 86400),
        )
    assert jobs.claim(job_id, "run", now=time.time())
    took = []
    try:
        with ThreadPoolExecutor(1) as pool, listen(client, job_id) as following:
            for percent in range(10, 100, 10):
                waiting = pool.submit(following)
                time.sleep(0.3 + percent / 500)  # it waits, and not in step with our writes
                jobs.progress(job_id, "run", percent)
                written = time.monotonic()
                assert waiting.result(30) == percent
                took.append(time.monotonic() - written)
    finally:
        jobs.remove(job_id)
        database.close()
    # The middle one: a machine that does other things may keep some of them waiting.
    assert statistics.median(took) < PROMISED, took


@pytest.mark.parametrize(("part_seconds", "cut"), [("1000", False), ("3", True)])
def test_what_is_left_is_told_once_the_pace_is_steady(
    tmp_path: Path, film: Path, part_seconds: str, cut: bool
) -> None:
    with (
        Server(tmp_path / "data", part_seconds=part_seconds) as server,
        server.client() as client,
    ):
        job_id = submit(client, film, "webm")
        left, deadline = None, time.monotonic() + 100
        while left is None and time.monotonic() < deadline:
            job = client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()
            assert job["state"] in ("queued", "processing"), job
            left = job.get("eta_seconds")
            if left is not None:
                began = datetime.fromisoformat(job["started_at"]).timestamp()
                assert time.time() - began >= STEADY, "nobody could know"
        assert left is not None
        assert 0 < left < 3600
        with sqlite3.connect(server.data / "filemill.db") as connection:
            assert bool(connection.execute("SELECT count(*) FROM cuts").fetchone()[0]) is cut
        ended = client.delete(f"/v1/jobs/{job_id}").json()
        assert ended["state"] == "cancelled"
        assert "eta_seconds" not in ended
