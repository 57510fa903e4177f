"""Quota, concurrency, fairness, a full queue, and a log that tells no secrets, on live servers."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from PIL import Image

from filemill.http.door import SOON_READ
from server.running import Server, finish
from server.test_early import answer
from server.test_jobs import submit
from server.test_keys import room_in_this_minute

SMALL = 1000
PLANS_SET = {
    "few": {"conversions_per_month": 2},
    "one": {"concurrency": 1, "queue": 3},
    "small": {"max_file_bytes": SMALL},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("limits") / "data"
    with Server(data, plans=json.dumps(PLANS_SET), worker_slots="1") as running:
        yield running


def client_on(server: Server, plan: str, name: str) -> httpx.Client:
    made = subprocess.run(
        [sys.executable, "-m", "filemill", "keys", "create", name, "--plan", plan],
        env={
            **os.environ,
            "FILEMILL_DATA": str(server.data),
            "FILEMILL_PLANS": json.dumps(PLANS_SET),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=60)


def refused(client: httpx.Client, path: Path, target: str) -> tuple[int, str, httpx.Response]:
    resp = client.post(
        "/v1/jobs",
        content=path.read_bytes(),
        params={"target": target, "filename": path.name},
    )
    return resp.status_code, resp.json()["error"]["code"], resp


def test_quota(server: Server, png: Path, film: Path, tmp_path: Path) -> None:
    with client_on(server, "few", "quota") as client, server.client() as other:
        finish(client, submit(client, png, "jpg"))
        blocker = submit(other, film, "webm")
        waits = submit(client, png, "jpg")
        status, code, resp = refused(client, png, "jpg")
        assert (status, code) == (429, "quota_exceeded")
        assert int(resp.headers["retry-after"]) > 0
        assert resp.json()["error"]["details"]["resets_at"].endswith("-01T00:00:00Z")
        assert client.get("/v1/usage").json()["conversions"]["remaining"] == 0
        client.delete(f"/v1/jobs/{waits}")  # never began: given back
        other.delete(f"/v1/jobs/{blocker}")
        used = client.get("/v1/usage").json()
        assert used["plan"] == "few"
        assert (used["conversions"]["used"], used["conversions"]["remaining"]) == (1, 1)
        broken = tmp_path / "broken.png"
        broken.write_bytes(png.read_bytes()[:200])
        assert finish(client, submit(client, broken, "jpg"))["state"] == "failed"
        assert client.get("/v1/usage").json()["conversions"]["used"] == 2  # not our failure


def nothing_sent(client: httpx.Client, server: Server, door: str, **more: str) -> tuple[int, str]:
    """The answer to the head of a large upload."""
    headers = {"Authorization": client.headers["Authorization"], **more}
    if "Transfer-Encoding" not in more:
        headers["Content-Length"] = str(15 << 20)
    return answer(server, f"/v1/{door}?target=jpg&filename=a.png", headers, b"")


def test_a_used_up_quota_is_told_before_the_file_is_sent(server: Server, tmp_path: Path) -> None:
    large = tmp_path / "large.bmp"
    Image.new("RGB", (800, 800), "red").save(large)
    assert large.stat().st_size > SOON_READ
    asked = {"params": {"target": "png", "filename": large.name}, "content": large.read_bytes()}
    with client_on(server, "few", "early") as client:
        made = [
            client.post("/v1/jobs", **asked, headers={"Idempotency-Key": str(number)})
            for number in range(2)
        ]
        for door in ("jobs", "convert"):
            assert nothing_sent(client, server, door) == (429, "quota_exceeded")
            other = {"Idempotency-Key": "another"}
            assert nothing_sent(client, server, door, **other) == (429, "quota_exceeded")
            chunked = {"Transfer-Encoding": "chunked"}
            assert nothing_sent(client, server, door, **chunked) == (429, "quota_exceeded")
        room_in_this_minute(10)
        client.get("/v1/usage")  # its permits for some requests are in memory now
        with closing(sqlite3.connect(server.data / "filemill.db")) as writer:
            writer.execute("BEGIN IMMEDIATE")  # none of these needs to write
            assert nothing_sent(client, server, "jobs") == (429, "quota_exceeded")
            assert client.get("/v1/usage").is_success
        again = client.post("/v1/jobs", **asked, headers={"Idempotency-Key": "1"})
        assert again.json()["job_id"] == made[1].json()["job_id"]
        assert client.get("/v1/usage").json()["conversions"]["used"] == 2


def test_a_used_up_quota_begins_no_upload(server: Server, png: Path) -> None:
    def begin(content: bytes = b"", **headers: str) -> httpx.Response:
        tus = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/v1/uploads", content=content, headers=tus | {"Tus-Resumable": "1.0.0"})

    with client_on(server, "few", "resumable") as client:
        arriving = {"Upload_Length": "5", "Content_Type": "application/offset+octet-stream"}
        part = begin(b"abcde", **arriving, Upload_Concat="partial")
        assert client.get("/v1/usage").json()["conversions"]["used"] == 0
        for _ in range(2):
            finish(client, submit(client, png, "jpg"))
        for kind in ({}, {"Upload_Concat": "partial"}):
            resp = begin(b"abcde", **arriving, **kind)
            assert (resp.status_code, resp.json()["error"]["code"]) == (429, "quota_exceeded")
            assert int(resp.headers["retry-after"]) > 0
        # What was sent already is kept until there are conversions again.
        assert begin(Upload_Concat=f"final;{part.headers['location']}").status_code == 201


def test_a_refused_retry_leaves_nothing(tmp_path: Path, png: Path) -> None:
    server = Server(tmp_path / "data", plans=json.dumps(PLANS_SET))

    def stored() -> set[Path]:
        return set((server.data / "blobs" / "jobs").iterdir())

    with server, client_on(server, "few", "again") as client:
        made = [submit(client, png, "jpg") for _ in range(2)]
        for job_id in made:
            finish(client, job_id)
        before = stored()
        resp = client.post(f"/v1/jobs/{made[0]}/retry")
        assert (resp.status_code, resp.json()["error"]["code"]) == (429, "quota_exceeded")
        assert stored() == before
    server.settings["min_free_disk"] = str(1 << 60)
    with server, httpx.Client(base_url=server.url, headers=client.headers) as client:
        resp = client.post(f"/v1/jobs/{made[0]}/retry")
        assert (resp.status_code, resp.json()["error"]["code"]) == (503, "service_unavailable")
        assert stored() == before


def test_a_plan_caps_the_size(server: Server, png: Path) -> None:
    with client_on(server, "small", "size") as client:
        status, code, _ = refused(client, png, "jpg")
        assert (status, code) == (413, "file_too_large")
        asked = {"source": "png", "target": "jpg"}
        told = client.post("/v1/plan", json=asked).json()["limits"]
        assert told == {"convert": SMALL, "jobs": SMALL}
        over = client.post("/v1/plan", json=asked | {"size": SMALL + 1})
        assert over.status_code == 413


def test_a_full_queue(server: Server, film: Path, png: Path) -> None:
    with client_on(server, "one", "full") as client, server.client() as other:
        jobs = [submit(client, film, "webm")]
        while client.get(f"/v1/jobs/{jobs[0]}").json()["state"] == "queued":
            time.sleep(0.02)
        jobs += [submit(client, png, "jpg") for _ in range(3)]
        assert client.get("/v1/usage").json()["jobs"] == {
            "processing": 1,
            "queued": 3,
            "concurrency": 1,
            "queue": 3,
        }
        status, code, resp = refused(client, png, "jpg")
        assert (status, code) == (429, "too_busy")
        assert int(resp.headers["retry-after"]) > 0
        assert nothing_sent(client, server, "jobs") == (429, "too_busy")
        submit(other, png, "jpg")  # another key is not refused
        client.delete(f"/v1/jobs/{jobs[0]}")
        for job_id in jobs[1:]:
            assert finish(client, job_id)["state"] == "done"


def test_a_hog_delays_another_key_by_a_job_or_two(server: Server, film_short: Path) -> None:
    with server.client() as hog, client_on(server, "unlimited", "guest") as guest:
        many = [submit(hog, film_short, "webm") for _ in range(12)]
        while hog.get(f"/v1/jobs/{many[0]}").json()["state"] == "queued":
            time.sleep(0.02)
        few = [submit(guest, film_short, "webm") for _ in range(3)]
        ends = {job_id: str(finish(guest, job_id)["finished_at"]) for job_id in few}
        done = [hog.get(f"/v1/jobs/{job_id}").json() for job_id in many]
        before = sum(
            bool(job.get("finished_at")) and job["finished_at"] < max(ends.values()) for job in done
        )
        began = sum(job["state"] != "queued" for job in done)
        assert began < len(many)  # the hog still waits for the rest
        # One ran and one was next when the guest came; then they alternate: three each.
        assert before <= 2 + 3 + 2
        assert sorted(few, key=ends.__getitem__) == few
        for job_id in many:
            hog.delete(f"/v1/jobs/{job_id}")


def test_the_log_tells_no_secrets(tmp_path: Path, png: Path) -> None:
    secret_name = tmp_path / "Kuendigung-Meier.png"
    secret_name.write_bytes(png.read_bytes())
    broken = tmp_path / "Befund-Schulz.png"
    broken.write_bytes(png.read_bytes()[:300])
    with Server(tmp_path / "data", log_level="info") as server, server.client() as client:
        job = finish(client, submit(client, secret_name, "jpg"))
        link = str(job["download_url"])
        assert httpx.get(link).is_success
        assert httpx.get(link[:-3] + "xxx").status_code == 403
        finish(client, submit(client, broken, "jpg"))
        sync = client.post(
            "/v1/convert",
            content=secret_name.read_bytes(),
            params={"target": "webp", "filename": secret_name.name},
            headers={"Idempotency-Key": "order-4711"},
        )
        assert sync.is_success
        free = httpx.post(f"{server.url}/v1/keys/free", json={"email": "eve@example.com"}).json()
        hook = client.post("/v1/webhooks/secret").json()["secret"]
        client.post("/v1/webhooks/test", json={"webhook_url": "https://127.0.0.1/hook?pw=hunter2"})
        assert httpx.get(server.url, headers={"Authorization": "Bearer ctf_sk_wrong"}).is_error
        rotated = client.post("/v1/keys/rotate").json()["api_key"]
        client.delete(f"/v1/jobs/{job['job_id']}")
    secrets = (
        server.key,
        free["api_key"],
        rotated,
        hook,
        link.rpartition("=")[2],
        "ctf_sk_",
        "Meier",
        "Schulz",
        "eve@example.com",
        "hunter2",
        "order-4711",
    )
    assert [text for text in secrets if text in server.log] == []
