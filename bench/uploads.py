"""Resident memory of the server while one large file, then twenty at once, go up by tus.

.venv/bin/python -m bench.uploads [MB]
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.measure import Server, Watched, chunks, grown, rss, server, table
from bench.memory import make_wav

TUS = {"Tus-Resumable": "1.0.0"}
AT_ONCE = 20


def main(megabytes: int = 200) -> None:
    with tempfile.TemporaryDirectory() as folder, server() as served:
        path = Path(folder) / "long.wav"
        make_wav(path, megabytes)
        small = Path(folder) / "short.wav"
        make_wav(small, 1)
        send(served, small)
        before = rss(served.pid)
        rows = []
        for name, count in (("one", 1), (f"{AT_ONCE} at once", AT_ONCE)):
            with Watched(served.pid) as up, ThreadPoolExecutor(count) as pool:
                began = time.perf_counter()
                made = list(pool.map(lambda _: send(served, path), range(count)))
                took = time.perf_counter() - began
            rate = f"{count * megabytes / took:.0f} MB/s"
            rows.append([f"upload, {name}", rate, grown(up, before)])
            with Watched(served.pid) as taken, served.client() as client:
                began = time.perf_counter()
                job = {"upload_id": made[0], "target": "aiff"}
                client.post("/v1/jobs", json=job).raise_for_status()
                took = time.perf_counter() - began
            rows.append(["POST /v1/jobs of it", f"{took:.2f} s", grown(taken, before)])
        print(f"{megabytes} MB each; the server had {before >> 20} MB before.\n")
        table(["phase", "rate", "server's peak growth"], rows)


def send(served: Server, path: Path) -> str:
    """Upload a file whole; gives the upload's id."""
    with served.client() as client:
        size = str(path.stat().st_size)
        made = client.post("/v1/uploads", headers={**TUS, "Upload-Length": size})
        where = made.raise_for_status().headers["location"]
        headers = {
            **TUS,
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": size,
        }
        client.patch(where, content=chunks(path), headers=headers).raise_for_status()
    return str(where.rpartition("/")[2])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
