"""Resident memory of the server while one large file, then twenty at once, go up by tus.

.venv/bin/python -m bench.uploads [MB] [s3]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
from tests.blobs.s3 import serving

from bench.measure import Server, Watched, chunks, grown, rss, server, table
from bench.memory import make_wav

TUS = {"Tus-Resumable": "1.0.0"}
AT_ONCE = 20


def main(megabytes: int = 200, store: str = "disk") -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = {}
        if store == "s3":
            url = stack.enter_context(serving(Path(folder) / "s3.log"))
            httpx.put(f"{url}/bench").raise_for_status()
            settings = {"blob_url": "s3://bench"}
            os.environ |= {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_ALLOW_HTTP": "true",
            }
        served = stack.enter_context(server(**settings))
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
        print(f"{megabytes} MB each, to {store}; the server had {before >> 20} MB before.\n")
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
    words = sys.argv[1:]
    main(
        *(int(word) for word in words if word.isdigit()),
        store="s3" if "s3" in words else "disk",
    )
