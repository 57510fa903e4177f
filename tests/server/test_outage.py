"""A database that is away for a moment, and what was going on meanwhile."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from databases import Postgres
from server.conftest import LAVFI, X264
from server.receiver import Receiver
from server.running import Server, finish

SECONDS = 4.0
"""That it is away."""


def test_a_moment_without_the_database(own_postgres: Postgres, tmp_path: Path) -> None:
    """A film is being converted, and a webhook is waiting for its answer."""
    film = tmp_path / "film.mp4"
    subprocess.run([*LAVFI, "testsrc2=size=640x360:duration=12", *X264, film], check=True)

    def slow(_nth: int) -> int:
        time.sleep(SECONDS / 2)
        return 200

    data, url = tmp_path / "data", own_postgres.new()
    with (
        Receiver(slow) as receiver,
        Server(data, database_url=url, outbound_allow="127.0.0.0/8") as server,
        server.client() as client,
    ):

        def submit(content: bytes, **params: str) -> str:
            sent = client.post("/v1/jobs", content=content, params=params)
            return str(sent.raise_for_status().json()["job_id"])

        long = submit(film.read_bytes(), filename="a.mp4", target="webm")
        told = submit(b"# Hi", filename="a.md", target="html", webhook_url=receiver.url)
        while not receiver.count:
            time.sleep(0.02)
        own_postgres.stop()
        time.sleep(SECONDS)
        own_postgres.start()
        (received,) = receiver.wait(1)
        job = finish(client, long)
        assert job["state"] == "done", job
        deadline, deliveries = time.monotonic() + 120, f"/v1/jobs/{told}/deliveries"
        while (found := client.get(deliveries).json()["deliveries"][0])["state"] == "pending":
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        assert [attempt["status"] for attempt in found["attempts"]] == [200]
        assert received.headers["webhook-id"] == found["id"]
