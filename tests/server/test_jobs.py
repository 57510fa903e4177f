"""/v1/jobs: submit, look, wait, list, cancel, delete, retry."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from server.running import Server, finish


def submit(client: httpx.Client, path: Path, target: str, **fields: str) -> str:
    resp = client.post(
        "/v1/jobs",
        content=path.read_bytes(),
        params={"target": target, "filename": path.name, **fields},
    )
    assert resp.status_code == 202, resp.text
    return str(resp.json()["job_id"])


def test_a_job_from_start_to_end(client: httpx.Client, png: Path) -> None:
    job_id = submit(client, png, "jpg", quality="50")
    job = finish(client, job_id)
    assert job["state"] == "done"
    assert job["progress_pct"] == 100
    assert (job["source_format"], job["target_format"]) == ("png", "jpg")
    assert job["filename"] == "picture.png"
    assert job["report"]["format"] == "jpg"
    assert job["report"]["width"] == 256
    assert job["report"]["steps"][0]["checks"]
    data = httpx.get(str(job["download_url"])).raise_for_status()
    assert len(data.content) == job["size"]
    assert hashlib.sha256(data.content).hexdigest() == job["sha256"]


def test_progress_of_long_work_rises_and_cancel_kills_within_a_second(
    server: Server, client: httpx.Client, film: Path
) -> None:
    job_id = submit(client, film, "webm")
    seen = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(set(seen)) < 3:
        seen.append(client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()["progress_pct"])
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 100
    assert engines_of(server)
    began = time.monotonic()
    assert client.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    while engines_of(server):
        time.sleep(0.05)
        assert time.monotonic() - began < 5
    assert time.monotonic() - began < 1.5  # 1 s, and a margin for a busy machine
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404


def test_queued_jobs_tell_their_position_and_can_be_cancelled(
    client: httpx.Client, film: Path, png: Path
) -> None:
    long = [submit(client, film, "webm") for _ in range(4)]
    try:
        last = submit(client, png, "gif")
        job = client.get(f"/v1/jobs/{last}").json()
        assert job["state"] == "queued"
        assert job["queue_position"] >= 1
        assert client.delete(f"/v1/jobs/{last}").json()["state"] == "cancelled"
    finally:
        for job_id in long:
            client.delete(f"/v1/jobs/{job_id}")


def test_server_sent_events(client: httpx.Client, film: Path) -> None:
    job_id = submit(client, film, "mov", duration="5", fps="10")
    events: list[tuple[str, dict[str, object]]] = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    assert {name for name, _ in events} <= {"state", "progress"}
    states = [body["state"] for name, body in events if name == "state"]
    assert states[-1] == "done"
    assert "download_url" in events[-1][1]
    percents = [body["progress_pct"] for _, body in events]
    assert percents == sorted(percents)


def test_long_poll_returns_at_the_change(client: httpx.Client, film: Path) -> None:
    job_id = submit(client, film, "webm")
    client.get(f"/v1/jobs/{job_id}", params={"wait": 10})
    began = time.monotonic()
    with_delete = threading.Timer(1.0, lambda: client.delete(f"/v1/jobs/{job_id}"))
    with_delete.start()
    state = "processing"
    while state == "processing":
        state = client.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json()["state"]
    assert state == "cancelled"
    assert time.monotonic() - began < 10


def test_list_is_paged_newest_first(server: Server, png: Path) -> None:
    with server.client() as client:
        ids = [submit(client, png, "bmp") for _ in range(5)]
        for job_id in ids:
            finish(client, job_id)
        first = client.get("/v1/jobs", params={"limit": 2, "state": "done"}).json()
        second = client.get(
            "/v1/jobs", params={"limit": 3, "state": "done", "cursor": first["next_cursor"]}
        ).json()
    got = [job["job_id"] for job in first["jobs"] + second["jobs"]]
    assert got == ids[::-1]


@pytest.mark.parametrize(
    "place",
    [
        *(f"{at} job_{'0' * 24}" for at in ("nan", "inf", "-inf", "1e999", "1_0.0", "+1.5")),
        "1.5 job_\0",
        "1.5 job_0 ",
        "1.5",
        "",
        " ",
    ],
)
def test_a_cursor_that_was_made_up(client: httpx.Client, place: str) -> None:
    cursor = base64.urlsafe_b64encode(place.encode()).decode() or "==="
    for made_up in (cursor, f"{cursor}!", cursor[:-1], "ü", "%00"):
        resp = client.get("/v1/jobs", params={"cursor": made_up})
        assert resp.status_code == 400, made_up
        assert resp.json()["error"].keys() == {"code", "message", "hint"}


def test_retry_makes_a_new_job(client: httpx.Client, png: Path) -> None:
    job_id = submit(client, png, "tiff")
    finish(client, job_id)
    again = client.post(f"/v1/jobs/{job_id}/retry")
    assert again.status_code == 202
    new_id = again.json()["job_id"]
    assert new_id != job_id
    client.delete(f"/v1/jobs/{job_id}")  # takes only its own files with it
    assert finish(client, new_id)["state"] == "done"


def test_jobs_of_another_key_do_not_exist(server: Server, client: httpx.Client, png: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "filemill", "keys", "create", "other"],
        env={**os.environ, "FILEMILL_DATA": str(server.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    job_id = submit(client, png, "jpg")
    finish(client, job_id)
    other = {"Authorization": f"Bearer {made.stdout.strip()}"}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/retry")):
        resp = httpx.request(method, f"{server.url}/v1/jobs/{job_id}{path}", headers=other)
        assert (resp.status_code, resp.json()["error"]["code"]) == (404, "not_found")
    assert httpx.get(f"{server.url}/v1/jobs", headers=other).json()["jobs"] == []


@pytest.mark.parametrize(
    ("name", "content", "target", "status", "code"),
    [
        ("a.png", b"", "jpg", 422, "file_invalid"),
        ("a.xyz", b"\0\1\2\3" * 100, "pdf", 422, "unsupported_route"),
        ("a.png", b"\x7fELF\2\1\1" + b"\0" * 500, "pdf", 422, "unsupported_route"),
        ("a.txt", b"Hello, world.\n", "mp4", 422, "unsupported_route"),
        ("a.txt", b"Hello, world.\n", "nonsense", 422, "unsupported_route"),
        ("a.txt", b"Hello, world.\n", "", 400, "bad_request"),
    ],
)
def test_refused_at_once(
    client: httpx.Client, name: str, content: bytes, target: str, status: int, code: str
) -> None:
    resp = client.post("/v1/jobs", content=content, params={"target": target, "filename": name})
    assert (resp.status_code, resp.json()["error"]["code"]) == (status, code)
    assert resp.json()["error"]["message"]


def test_bad_options_name_the_option(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/jobs",
        content=png.read_bytes(),
        params={"target": "jpg", "filename": "a.png", "quality": "101"},
    )
    assert (resp.status_code, resp.json()["error"]["code"]) == (422, "bad_options")
    assert resp.json()["error"]["details"]["option"] == "quality"


def test_mislabelled_content_wins_over_the_name(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/jobs", content=png.read_bytes(), params={"target": "jpg", "filename": "a.docx"}
    )
    job = finish(client, resp.json()["job_id"])
    assert (job["state"], job["source_format"]) == ("done", "png")


def test_a_wrong_source_fails_the_job(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/jobs",
        content=png.read_bytes(),
        params={"target": "png", "filename": "a.png", "source": "pdf"},
    )
    job = finish(client, resp.json()["job_id"])
    assert job["state"] == "failed"
    assert job["error"]["code"] == "file_invalid"
    assert job["error"]["retryable"] is False


def engines_of(server: Server) -> list[str]:
    """Command lines of ffmpeg processes below the server."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"ffmpeg" in words[0] and str(server.data) in os.readlink(f"/proc/{pid}/cwd"):
                found.append(b" ".join(words).decode())
    return found
