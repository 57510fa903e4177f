"""Resident memory of the server while a 500 MB file goes up and its result comes down.

.venv/bin/python -m bench.memory [MB]
"""

from __future__ import annotations

import sys
import tempfile
import time
import wave
from pathlib import Path

from bench.measure import CHUNK, Watched, chunks, grown, rss, server, table


def main(megabytes: int = 495) -> None:
    with tempfile.TemporaryDirectory() as folder, server() as served, served.client() as client:
        source = Path(folder) / "long.wav"
        make_wav(source, megabytes)
        small = {"target": "aiff", "filename": "a.wav"}
        make_wav(warm := Path(folder) / "short.wav", 1)
        client.post("/v1/convert", content=warm.read_bytes(), params=small).raise_for_status()
        before = rss(served.pid)
        with Watched(served.pid) as up:
            began = time.perf_counter()
            resp = client.post(
                "/v1/jobs", content=chunks(source), params={"target": "aiff", "filename": "a.wav"}
            ).raise_for_status()
            up_took = time.perf_counter() - began
        job = resp.json()["job_id"]
        with Watched(served.pid) as between:
            while (got := client.get(f"/v1/jobs/{job}?wait=30").json())["state"] != "done":
                assert got["state"] != "failed", got
        with Watched(served.pid) as down:
            began = time.perf_counter()
            size = 0
            with client.stream("GET", got["download_url"]) as stream:
                for chunk in stream.iter_bytes(CHUNK):
                    size += len(chunk)
            down_took = time.perf_counter() - began
        assert size == got["size"] > megabytes * 0.99 * (1 << 20)
        rows = [
            ["upload", f"{megabytes / up_took:.0f} MB/s", grown(up, before)],
            ["conversion", f"{got['duration_ms'] / 1000:.1f} s", grown(between, before)],
            ["download", f"{size / (1 << 20) / down_took:.0f} MB/s", grown(down, before)],
        ]
        print(f"{megabytes} MB wav -> aiff; the server had {before >> 20} MB before.\n")
        table(["phase", "rate", "server's peak growth"], rows)


def make_wav(path: Path, megabytes: int) -> None:
    block = bytes(range(256)) * 4096
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        for _ in range(megabytes):
            file.writeframesraw(block)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
