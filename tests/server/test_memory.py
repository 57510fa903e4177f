"""What the server holds in memory does not grow with a file, whichever way that comes."""

from __future__ import annotations

import wave
from pathlib import Path

import httpx
import pytest
from bench.measure import CHUNK, Watched, chunks, rss

from server.running import Server, finish

MB = 1024 * 1024
SECONDS = 800
"""Of stereo sound at 48 kHz: 150 MB."""
GROWTH = 32 * MB


@pytest.fixture(scope="module")
def long_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "long.wav"
    second = bytes(range(256)) * (48_000 * 4 // 256)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        for _ in range(SECONDS):
            file.writeframesraw(second)
    return path


def post(client: httpx.Client, how: str, path: Path) -> str:
    query = {"target": "aiff", "filename": path.name}
    if how == "raw":
        resp = client.post("/v1/jobs", content=chunks(path), params=query)
    else:
        with path.open("rb") as file:
            resp = client.post("/v1/jobs", files={"file": file}, data=query)
    return str(resp.raise_for_status().json()["job_id"])


def test_a_large_file_up_and_down(tmp_path: Path, long_sound: Path) -> None:
    small = tmp_path / "short.wav"
    with wave.open(str(small), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(48_000))
    with Server(tmp_path / "data") as server, server.client() as client:
        for how in ("raw", "multipart"):  # what is loaded once does not count
            finish(client, post(client, how, small))
        before = rss(server.pid)
        for how in ("raw", "multipart"):
            with Watched(server.pid) as watched:
                job = finish(client, post(client, how, long_sound))
                assert job["state"] == "done", job
                size = 0
                with client.stream("GET", str(job["download_url"])) as resp:
                    for chunk in resp.iter_bytes(CHUNK):
                        size += len(chunk)
            assert size == job["size"]
            assert size > 150_000_000
            assert watched.peak - before < GROWTH, how
