"""Whatever is killed, every accepted job reaches its end, once."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from filemill.engines import libreoffice
from sandbox.processes import alive, below, eventually
from server.running import Server, finish
from server.test_jobs import engines_of, submit


def test_kill_9_amid_twenty_jobs(tmp_path: Path, film_short: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        with server.client() as client:
            ids = [submit(client, film_short, "webm") for _ in range(20)]
            while not engines_of(server):
                time.sleep(0.02)
        server.kill()
        deadline = time.monotonic() + 5
        while engines_of(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not engines_of(server), "an engine outlived its server"
        server.start()
        with server.client() as client:
            jobs = [finish(client, job_id, seconds=240) for job_id in ids]
            for job in jobs:
                assert job["state"] == "done", job
                assert httpx.head(str(job["download_url"])).status_code == 200
    finally:
        server.stop()
    with sqlite3.connect(tmp_path / "data" / "filemill.db") as database:
        rows = dict(database.execute("SELECT id, attempts FROM jobs"))
    assert set(rows) == set(ids)
    # Only those that ran at the moment of the kill had a second attempt.
    slots = os.cpu_count() or 1
    assert sum(attempts - 1 for attempts in rows.values()) <= slots
    assert not list((tmp_path / "data" / "scratch").glob("job_*"))


@pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")
def test_what_waits_dies_with_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", warm_office="1").start()

    def offices() -> bool:
        return any(b"soffice.bin" in command(pid) for pid in below(server.pid))

    assert eventually(offices, 30)
    family = below(server.pid)
    server.kill()
    assert eventually(lambda: not any(map(alive, family)))


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""


def test_a_stop_is_a_crash_that_says_goodbye(tmp_path: Path, film_short: Path) -> None:
    server = Server(tmp_path / "data").start()
    with server.client() as client:
        job_id = submit(client, film_short, "webm")
        while not engines_of(server):
            time.sleep(0.02)
    assert server.stop() == 0
    deadline = time.monotonic() + 5
    while engines_of(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not engines_of(server), "an engine outlived its server"
    with server.start(), server.client() as client:
        assert finish(client, job_id)["state"] == "done"


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        second = Server(tmp_path / "data")
        try:
            second.start()
        except AssertionError:
            pass
        else:
            raise AssertionError("two servers run on one folder")
        assert second.process
        assert second.process.wait(10) != 0
        assert "Another filemill already runs" in server.log
