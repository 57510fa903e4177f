"""How quick a status poll is while every slot converts and the queue is full.

    .venv/bin/python -m bench.status [SECONDS]

50 pollers look at a job of their own twice a second each; beside that, how many polls in a
row one client gets from an idle server.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import imageio_ffmpeg

from bench.measure import Server, server, table

POLLERS, EVERY, QUEUE = 50, 0.5, 200


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        source = "testsrc2=size=1280x720:rate=30:duration=120"
        lavfi = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
        subprocess.run([*lavfi, "-preset", "ultrafast", str(film)], check=True)
        plans = json.dumps({"unlimited": {"queue": QUEUE}})
        with server(plans=plans) as served, served.client() as client:
            small = submit(client, b"# hello\n", "hello.md", "html")
            while client.get(f"/v1/jobs/{small}").json()["state"] != "done":
                time.sleep(0.1)
            idle = in_a_row(client, small)
            jobs = [submit(client, film.read_bytes(), "film.mp4", "webm") for _ in range(4)]
            while (made := submit(client, b"# hello\n", "hello.md", "html")) is not None:
                jobs.append(made)
            took = asyncio.run(poll(served, [job for job in jobs if job], seconds))
            for job in jobs:
                client.delete(f"/v1/jobs/{job}")
    took.sort()
    table(
        ["polls in a row, idle", "polls at full load", "p50", "p99", "slowest"],
        [
            [
                f"{idle:.0f}/s",
                len(took),
                f"{statistics.median(took) * 1000:.0f} ms",
                f"{took[int(len(took) * 0.99)] * 1000:.0f} ms",
                f"{took[-1] * 1000:.0f} ms",
            ]
        ],
    )


def submit(client: httpx.Client, content: bytes, name: str, target: str) -> str | None:
    """None: the queue is full."""
    query = {"target": target, "filename": name}
    resp = client.post("/v1/jobs", content=content, params=query)
    if resp.status_code == 429:
        return None
    return str(resp.raise_for_status().json()["job_id"])


def in_a_row(client: httpx.Client, job_id: str | None) -> float:
    """Polls a second."""
    began = time.perf_counter()
    for _ in range(500):
        client.get(f"/v1/jobs/{job_id}").raise_for_status()
    return 500 / (time.perf_counter() - began)


async def poll(served: Server, jobs: list[str], seconds: float) -> list[float]:
    took: list[float] = []
    headers = {"Authorization": f"Bearer {served.key}"}
    end = time.monotonic() + seconds

    async def one(number: int) -> None:
        path = f"/v1/jobs/{jobs[number % len(jobs)]}"
        await asyncio.sleep(EVERY * number / POLLERS)
        while time.monotonic() < end:
            began = time.perf_counter()
            (await client.get(path)).raise_for_status()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(max(0.0, EVERY - (time.perf_counter() - began)))

    limits = httpx.Limits(max_connections=POLLERS)
    async with httpx.AsyncClient(base_url=served.url, headers=headers, limits=limits) as client:
        await asyncio.gather(*map(one, range(POLLERS)))
    return took


if __name__ == "__main__":
    main()
