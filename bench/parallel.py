"""Where doing a film in parts pays: python -m bench.parallel [SECONDS]

The same film by the same server, whole and in parts, with one slot of all cores and with a slot
a core; an idle server gives one conversion all cores either way. Prints wall times, what splitting
gains or costs, and the speed of a core, from which `filemill.segments` estimates.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg

from bench.measure import Server, server

WIDTH, HEIGHT, RATE = 1280, 720, 30
GRAINS = {"whole": "100000", "15 s": "15", "5 s": "5"}
CASES = {
    "vp9": ("webm", {}),
    "h264": ("mp4", {"quality": "80"}),
}


def film(path: Path, seconds: int) -> Path:
    """Moves everywhere, and is not the target's codec."""
    picture = f"mandelbrot=size={WIDTH}x{HEIGHT}:rate={RATE}:end_pts=400"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture]
    argv += ["-f", "lavfi", "-i", "sine=frequency=300", "-t", str(seconds), "-c:v", "libx264"]
    argv += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([*argv, str(path)], check=True)
    return path


def convert(served: Server, path: Path, target: str, options: dict[str, str]) -> float:
    with served.client() as client:
        began = time.monotonic()
        answer = client.post(
            "/v1/jobs",
            content=path.read_bytes(),
            params={"target": target, "filename": path.name, **options},
        )
        job = answer.raise_for_status().json()
        while job["state"] in ("queued", "processing"):
            job = client.get(f"/v1/jobs/{job['job_id']}", params={"wait": 10}).json()
        assert job["state"] == "done", job
        return time.monotonic() - began


def main(seconds: int) -> None:
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        path = film(Path(folder) / "film.mp4", seconds)
        print(f"{seconds} s of {WIDTH}x{HEIGHT} at {RATE}, {cores} cores")
        print(f"{'codec':6} {'slots':>5} {'parts':8} {'wall s':>8} {'of whole':>9}")
        for codec, (target, options) in CASES.items():
            for slots in sorted({1, cores}):
                whole = 0.0
                for name, grain in GRAINS.items():
                    with server(worker_slots=str(slots), part_seconds=grain) as served:
                        took = convert(served, path, target, options)
                    whole = whole or took
                    print(
                        f"{codec:6} {slots:5} {name:8} {took:8.1f} {took / whole:9.2f}", flush=True
                    )
                    if name == "whole" and slots == cores:
                        speed = seconds * RATE * WIDTH * HEIGHT / took / cores / 1e6
                        print(f"{'':6} decoding included, a core: {speed:.0f} Mpixel/s")


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["60"])[0]))
