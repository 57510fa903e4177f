"""source_url and output_url: files that come from, and go to, other people's servers."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from PIL import Image

from filemill import transfer
from filemill.admission import Admission
from filemill.blobs import DiskBlobs
from filemill.disk import Watermark
from filemill.errors import ServiceUnavailable
from filemill.intake import Caps
from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.jobs.lines import Lines, Usage
from filemill.outbound import Outbound
from filemill.planner import Graph
from filemill.plans import PLANS
from jobs.test_jobs import a_job
from server.running import Server, finish
from server.test_limits import PLANS_SET, client_on

ELF = b"\x7fELF\x02\x01\x01" + bytes(300_000)


class Bucket:
    """A server of files: GET gives what is in `files`, PUT adds to it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fail = 0
        """Requests to answer with 503."""
        self.slow = threading.Event()
        """Set: bodies come to their end."""
        self.slow.set()
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                bucket.asked.append(f"GET {self.path}")
                data = bucket.files.get(self.path.partition("?")[0])
                if self._refused(data is None):
                    return
                assert data is not None
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                bucket.slow.wait(60)
                self.wfile.write(data[len(data) // 2 :])

            def do_PUT(self) -> None:
                bucket.asked.append(f"PUT {self.path}")
                data = self.rfile.read(int(self.headers["Content-Length"]))
                bucket.slow.wait(60)
                if not self._refused(self.path.startswith("/forbidden")):
                    bucket.files[self.path] = data
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def _refused(self, never: bool) -> bool:
                status = 403 if never else 503
                if never or bucket.fail > 0:
                    bucket.fail -= not never
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return True
                return False

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_until_asked(self) -> None:
        while not self.asked:
            time.sleep(0.02)

    def close(self) -> None:
        self.slow.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may reach this host."""
    data = tmp_path_factory.mktemp("near") / "data"
    with Server(data, outbound_allow="127.0.0.0/8", max_upload="1000000") as server:
        yield server


@pytest.fixture
def client(near: Server) -> Iterator[httpx.Client]:
    with near.client() as client:
        yield client


def submit(client: httpx.Client, **fields: object) -> str:
    resp = client.post("/v1/jobs", json=fields)
    assert resp.status_code == 202, resp.text
    return str(resp.json()["job_id"])


def test_fetched_converted_and_put(client: httpx.Client, bucket: Bucket, png: Path) -> None:
    bucket.files["/a/picture.png"] = png.read_bytes()
    job_id = submit(
        client,
        source_url=f"{bucket.url}/a/picture.png?signature=x%2Fy",
        output_url=f"{bucket.url}/out/result.jpg?signature=z",
        target="jpg",
        options={"quality": 60},
    )
    job = finish(client, job_id)
    assert job["state"] == "done", job
    assert (job["source_format"], job["filename"]) == ("png", "picture.png")
    put = bucket.files["/out/result.jpg?signature=z"]
    assert Image.open(BytesIO(put)).size == (256, 256)
    assert httpx.get(str(job["download_url"])).content == put
    assert bucket.asked == ["GET /a/picture.png?signature=x%2Fy", "PUT /out/result.jpg?signature=z"]
    again = client.post(f"/v1/jobs/{job_id}/retry").json()["job_id"]
    assert finish(client, again)["state"] == "done"
    assert sum(asked.startswith("GET") for asked in bucket.asked) == 1, "the file was here"


def test_the_content_decides_and_the_plan_waits_for_it(
    client: httpx.Client, bucket: Bucket, png: Path
) -> None:
    bucket.files["/download"] = png.read_bytes()
    bucket.slow.clear()
    job_id = submit(client, source_url=f"{bucket.url}/download", target="webp")
    bucket.wait_until_asked()
    assert client.get(f"/v1/jobs/{job_id}").json()["source_format"] == ""
    bucket.slow.set()
    job = finish(client, job_id)
    assert (job["state"], job["source_format"]) == ("done", "png")


@pytest.mark.parametrize(
    ("content", "fields", "code"),
    [
        (ELF, {"target": "pdf"}, "unsupported_route"),
        (b"", {"target": "pdf"}, "file_invalid"),
        (b"%PDF-1.4 and then nothing", {"target": "png"}, "file_invalid"),
        (b"hello", {"target": "mp4"}, "unsupported_route"),
        (b"# Hello", {"target": "html", "options": {"no": 1}}, "bad_options"),
        (bytes(1_000_001), {"target": "pdf"}, "file_too_large"),
        (None, {"target": "pdf"}, "file_invalid"),
    ],
    ids=["program", "empty", "broken", "no route", "options", "large", "missing"],
)
def test_what_is_wrong_with_the_file_fails_the_job(
    client: httpx.Client,
    bucket: Bucket,
    content: bytes | None,
    fields: dict[str, object],
    code: str,
) -> None:
    if content is not None:
        bucket.files["/file"] = content
    job = finish(client, submit(client, source_url=f"{bucket.url}/file", **fields))
    assert job["state"] == "failed"
    error = job["error"]
    assert isinstance(error, dict)
    assert error["code"] == code, error


def test_what_is_known_before_is_refused_at_once(client: httpx.Client, bucket: Bucket) -> None:
    url = f"{bucket.url}/a"
    for fields, code in (
        ({"source_url": url, "target": "nonsense"}, "unsupported_route"),
        ({"source_url": url, "target": "mp4", "source": "md"}, "unsupported_route"),
        ({"source_url": url, "target": "html", "source": "md", "no": 1}, "bad_options"),
        ({"source_url": "ftp://example.com/a", "target": "pdf"}, "bad_request"),
        ({"source_url": url, "upload_id": "upl_1", "target": "pdf"}, "bad_request"),
        ({"source_url": url, "output_url": "nowhere", "target": "pdf"}, "bad_request"),
    ):
        resp = client.post("/v1/jobs", json=fields)
        assert resp.json()["error"]["code"] == code, (fields, resp.text)
    assert not bucket.asked


def test_a_server_that_stumbles_is_asked_again(
    client: httpx.Client, bucket: Bucket, png: Path
) -> None:
    bucket.files["/a.png"] = png.read_bytes()
    bucket.fail = 2
    job_id = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
    assert finish(client, job_id)["state"] == "done"
    assert len(bucket.asked) == 3


def test_a_result_that_is_refused_fails_the_job_and_is_kept(
    client: httpx.Client, bucket: Bucket, png: Path
) -> None:
    resp = client.post(
        "/v1/jobs",
        params={"target": "jpg", "filename": "a.png", "output_url": f"{bucket.url}/forbidden"},
        content=png.read_bytes(),
    )
    job = finish(client, resp.json()["job_id"])
    assert job["state"] == "failed"
    assert job["error"]["details"] == {"status": 403}  # type: ignore[index]
    result = httpx.get(str(job["download_url"])).raise_for_status().content
    assert Image.open(BytesIO(result)).size == (256, 256)
    assert len(result) == job["size"]
    assert job["report"]["format"] == "jpg"  # type: ignore[index]


def test_cancel_amid_a_download(client: httpx.Client, bucket: Bucket, png: Path) -> None:
    bucket.files["/a.png"] = png.read_bytes()
    bucket.slow.clear()
    job_id = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
    bucket.wait_until_asked()
    assert client.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    bucket.slow.set()
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"


def test_kill_9_amid_a_download(tmp_path: Path, bucket: Bucket, png: Path) -> None:
    bucket.files["/a.png"] = png.read_bytes()
    bucket.slow.clear()
    server = Server(tmp_path / "data", outbound_allow="127.0.0.0/8").start()
    try:
        with server.client() as client:
            job_id = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
            bucket.wait_until_asked()
        server.kill()
        bucket.slow.set()
        server.start()
        with server.client() as client:
            assert finish(client, job_id)["state"] == "done"
    finally:
        server.stop()


def test_kill_9_amid_an_upload_converts_once(tmp_path: Path, bucket: Bucket, png: Path) -> None:
    bucket.slow.clear()
    server = Server(tmp_path / "data", outbound_allow="127.0.0.0/8").start()
    try:
        with server.client() as client:
            params = {"target": "jpg", "filename": "a.png", "output_url": f"{bucket.url}/a.jpg"}
            sent = client.post("/v1/jobs", params=params, content=png.read_bytes())
            job_id = sent.raise_for_status().json()["job_id"]
            bucket.wait_until_asked()
        server.kill()
        bucket.slow.set()
        server.start()
        with server.client() as client:
            job = finish(client, job_id)
        assert job["state"] == "done", job
        assert len(bucket.files["/a.jpg"]) == job["size"]
        stored = {path.name for path in (server.data / "blobs" / "jobs" / job_id).iterdir()}
        assert len(stored) == 2, "the upload and one result"
    finally:
        server.stop()


def test_a_private_address_is_never_reached(server: Server, bucket: Bucket, png: Path) -> None:
    """By the server whose operator allowed nothing."""
    bucket.files["/a.png"] = png.read_bytes()
    with server.client() as client:
        job_id = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
        job = finish(client, job_id)
    assert job["error"]["code"] == "bad_request"  # type: ignore[index]
    assert not bucket.asked


def test_the_same_request_again_fetches_once(
    client: httpx.Client, bucket: Bucket, png: Path
) -> None:
    bucket.files["/a.png"] = png.read_bytes()
    body = {"source_url": f"{bucket.url}/a.png", "target": "jpg"}
    headers = {"Idempotency-Key": "fetch-once"}
    first, second = (client.post("/v1/jobs", json=body, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["job_id"] == second.json()["job_id"]
    finish(client, first.json()["job_id"])
    assert bucket.asked == ["GET /a.png"]
    other = client.post("/v1/jobs", json={**body, "target": "webp"}, headers=headers)
    assert other.status_code == 422


def test_a_slow_server_is_not_asked_again(tmp_path: Path, bucket: Bucket, png: Path) -> None:
    """One that fails is; this one had its time."""
    bucket.files["/a.png"] = png.read_bytes()
    bucket.slow.clear()
    settings = {"outbound_allow": "127.0.0.0/8", "transfer_timeout": "1"}
    with Server(tmp_path / "data", **settings) as server, server.client() as client:
        fetched = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
        params = {"target": "jpg", "filename": "a.png", "output_url": f"{bucket.url}/a.jpg"}
        sent = client.post("/v1/jobs", params=params, content=png.read_bytes())
        for job_id in (fetched, sent.raise_for_status().json()["job_id"]):
            job = finish(client, job_id)
            assert (job["state"], job["error"]["code"]) == ("failed", "timeout")  # type: ignore[index]
    assert sorted(bucket.asked) == ["GET /a.png", "PUT /a.jpg"]


def test_the_plan_of_the_key_caps_an_import(tmp_path: Path, bucket: Bucket, png: Path) -> None:
    bucket.files["/a.png"] = png.read_bytes()
    settings = {"outbound_allow": "127.0.0.0/8", "plans": json.dumps(PLANS_SET)}
    with Server(tmp_path / "data", **settings) as server:
        for plan, state in (("small", "failed"), ("few", "done")):
            with client_on(server, plan, plan) as client:
                job_id = submit(client, source_url=f"{bucket.url}/a.png", target="jpg")
                job = finish(client, job_id)
            assert job["state"] == state, job
            assert plan != "small" or job["error"]["code"] == "file_too_large"  # type: ignore[index]


def test_an_import_leaves_the_disk_its_reserve(
    tmp_path: Path, bucket: Bucket, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAUSES", ())
    bucket.files["/a.png"] = png.read_bytes()
    jobs = Jobs(Database(f"sqlite:///{tmp_path / 'test.db'}"))
    room = shutil.disk_usage(tmp_path).free
    fetching = transfer.Transfer(
        Outbound([ip_network("127.0.0.0/8")]),
        jobs,
        DiskBlobs(tmp_path / "blobs"),
        Graph([]),
        Admission(PLANS, Lines(), Usage(), None, 1),  # type: ignore[arg-type]
        Caps(10**9, 10**9, ""),
        lambda size: Watermark(tmp_path, 2 * room if size else 0).check(size),
        20,
    )
    job = a_job(source_url=f"{bucket.url}/a.png")
    with pytest.raises(ServiceUnavailable, match="disk space"):
        fetching.fetch(job, "jobs/job_1/in", lambda _: None, lambda: False)
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
