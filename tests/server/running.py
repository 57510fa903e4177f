"""A real server in a process of its own, on a folder that outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

ALONE = ("setpriv", "--pdeathsig", "KILL")
"""It does not outlive a test run that is killed."""


class Server:
    """Started by `with`, or by `start`; can be killed and started again on the same data."""

    def __init__(self, data: Path, *arguments: str, **settings: str) -> None:
        self.data = data
        self.arguments = arguments
        self.settings = settings
        self.key = ""
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        own = {f"FILEMILL_{name.upper()}": value for name, value in self.settings.items()}
        log = self.data.with_suffix(".log").open("a")
        port = self.url.rpartition(":")[2] or "0"
        self.process = subprocess.Popen(
            [*ALONE, sys.executable, "-m", "filemill", "serve", "--port", port, *self.arguments],
            env={**os.environ, "FILEMILL_DATA": str(self.data), **own},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        assert self.process.stdout
        for line in self.process.stdout:
            if found := re.search(r"serves on (\S+)", line):
                self.url = found[1]
            if found := re.search(r"shown only now: (\S+)", line):
                self.key = found[1]
            if "curl" in line:
                self.curl = line.strip()
                break
        assert self.url, self.log
        for _ in range(200):
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log)

    @property
    def log(self) -> str:
        return self.data.with_suffix(".log").read_text()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def client(self, *, timeout: float = 60) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout)

    def kill(self) -> None:
        """kill -9 of the server process, and of nothing else."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()


def finish(client: httpx.Client, job_id: str, *, seconds: float = 120) -> dict[str, object]:
    """Poll a job until it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).raise_for_status().json()
        if job["state"] not in ("queued", "processing"):
            return job
    raise AssertionError(f"{job_id} did not end: {job}")
