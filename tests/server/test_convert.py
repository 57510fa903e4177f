"""POST /v1/convert: the bytes in the same answer."""

from __future__ import annotations

import io
import json
import select
import socket
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from server.running import Server, finish
from server.test_jobs import engines_of


def convert(client: httpx.Client, path: Path, target: str, **more: object) -> httpx.Response:
    return client.post(
        "/v1/convert",
        files={"file": (path.name, path.read_bytes())},
        data={"target": target, **more},
    )


def test_form_in_bytes_out(client: httpx.Client, png: Path) -> None:
    resp = convert(client, png, "jpg", quality="60").raise_for_status()
    assert resp.headers["content-type"] == "image/jpeg"
    assert resp.headers["content-disposition"] == 'attachment; filename="picture.jpg"'
    assert resp.headers["x-conversion-time"].endswith("ms")
    assert int(resp.headers["content-length"]) == len(resp.content)
    with Image.open(io.BytesIO(resp.content)) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))


def test_raw_body_with_everything_in_the_query(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/convert",
        content=png.read_bytes(),
        params={"target": "webp", "filename": "Größe ✓.png", "options": '{"width": 64}'},
    ).raise_for_status()
    assert (
        "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%9C%93.webp" in resp.headers["content-disposition"]
    )
    with Image.open(io.BytesIO(resp.content)) as image:
        assert image.size == (64, 64)


def test_envelope_for_json(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/convert",
        content=png.read_bytes(),
        params={"target": "gif", "filename": "a.png"},
        headers={"Accept": "application/json"},
    ).raise_for_status()
    body = resp.json()
    assert set(body) == {
        "job_id",
        "state",
        "download_url",
        "size",
        "duration_ms",
        "source_format",
        "target_format",
    }
    assert len(httpx.get(body["download_url"]).content) == body["size"]


def test_office_to_pdf(client: httpx.Client, tmp_path: Path) -> None:
    """A plan of two steps: markdown to docx to pdf."""
    import pypdfium2

    note = tmp_path / "note.md"
    note.write_text("# Quarterly report\n\nRevenue rose by seven percent.\n")
    formats = client.get("/v1/formats/md").json()
    if "pdf" not in {row["target"] for row in formats["targets"]}:
        pytest.skip("LibreOffice is not on this host")
    resp = convert(client, note, "pdf").raise_for_status()
    pdf = pypdfium2.PdfDocument(resp.content)
    assert "Revenue rose by seven percent" in pdf[0].get_textpage().get_text_bounded()


def test_too_large_names_the_other_door(client: httpx.Client, png: Path) -> None:
    big = png.read_bytes() + b"\0" * (21 * 1024 * 1024)
    resp = client.post("/v1/convert", content=big, params={"target": "jpg", "filename": "a.png"})
    assert (resp.status_code, resp.json()["error"]["code"]) == (413, "file_too_large")
    assert "/v1/jobs" in resp.json()["error"]["hint"]


def test_chunked_body_is_cut_off_at_the_cap(server: Server, png: Path) -> None:
    """No Content-Length: the answer comes while the client still sends."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as sending:
        sending.sendall(
            f"POST /v1/convert?target=jpg&filename=a.png HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = png.read_bytes().ljust(1 << 20, b"\0")
        sent = 0
        while sent < 60 and not select.select([sending], [], [], 0)[0]:
            sending.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            sent += 1
        assert 20 <= sent < 60
        answer = b""
        while not answer.endswith(b"}}"):
            answer += sending.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"file_too_large" in answer


def test_estimate(client: httpx.Client, png: Path) -> None:
    assert convert(client, png, "gif").is_success
    plan = client.post("/v1/plan", json={"source": "png", "target": "gif", "size": 5000}).json()
    assert 0 < plan["estimate_seconds"] < 60


def test_prefer_respond_async(client: httpx.Client, png: Path) -> None:
    resp = client.post(
        "/v1/convert",
        content=png.read_bytes(),
        params={"target": "jpg", "filename": "a.png"},
        headers={"Prefer": "respond-async"},
    )
    assert resp.status_code == 202
    assert finish(client, resp.json()["job_id"])["state"] == "done"


def test_prefer_wait(client: httpx.Client, png: Path, film_short: Path) -> None:
    """RFC 7240: so long the answer may take; then it is that of a job."""
    for path, target, wait, status in ((png, "jpg", 30, 200), (film_short, "webm", 0, 202)):
        resp = client.post(
            "/v1/convert",
            content=path.read_bytes(),
            params={"target": target, "filename": path.name},
            headers={"Prefer": f"wait={wait}"},
        )
        assert resp.status_code == status, resp.text
    assert finish(client, resp.json()["job_id"])["state"] == "done"


def test_the_largest_result_is_a_setting(tmp_path: Path, png: Path) -> None:
    with Server(tmp_path / "data", max_output="100000") as server, server.client() as client:
        resp = convert(client, png, "bmp")
        assert (resp.status_code, resp.json()["error"]["code"]) == (422, "limit_exceeded")
        assert convert(client, png, "jpg").is_success


def test_timeout_goes_on_as_a_job(tmp_path: Path, film_short: Path) -> None:
    with Server(tmp_path / "data", convert_timeout="0.3") as server, server.client() as client:
        resp = convert(client, film_short, "webm")
        error = resp.json()["error"]
        assert (resp.status_code, error["code"]) == (504, "timeout")
        assert error["details"]["status_url"].endswith(error["details"]["job_id"])
        assert finish(client, error["details"]["job_id"])["state"] == "done"


def test_a_client_that_leaves_cancels(server: Server, client: httpx.Client, film: Path) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as leaving:
        body = film.read_bytes()
        leaving.sendall(
            f"POST /v1/convert?target=webm&filename=film.mp4 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        leaving.sendall(body)
        while not engines_of(server):
            time.sleep(0.05)
    deadline = time.monotonic() + 10
    while engines_of(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not engines_of(server)
    newest = client.get("/v1/jobs", params={"limit": 1}).json()["jobs"][0]
    assert newest["state"] == "cancelled"


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, "invalid_api_key"), ({"Authorization": "Bearer ctf_sk_wrong"}, "invalid_api_key")],
)
def test_without_a_key(server: Server, headers: dict[str, str], code: str) -> None:
    resp = httpx.post(f"{server.url}/v1/convert?target=jpg", content=b"x", headers=headers)
    assert (resp.status_code, resp.json()["error"]["code"]) == (401, code)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary here"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=t"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
    ],
)
def test_malformed_forms(client: httpx.Client, content_type: str, body: bytes) -> None:
    resp = client.post("/v1/convert", content=body, headers={"Content-Type": content_type})
    assert (resp.status_code, resp.json()["error"]["code"]) == (400, "bad_request")


def test_unknown_addresses_and_methods_have_the_envelope(client: httpx.Client) -> None:
    assert client.get("/nowhere").json()["error"]["code"] == "not_found"
    resp = client.put("/v1/jobs")
    assert (resp.status_code, resp.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in resp.headers["allow"]


def test_discovery(client: httpx.Client) -> None:
    formats = client.get("/v1/formats").json()["categories"]
    assert {"png", "jpg", "webp"} <= {row["format"] for row in formats["image"]}
    targets = client.get("/v1/formats/png").json()["targets"]
    jpg = next(row for row in targets if row["target"] == "jpg")
    assert jpg["options"]["properties"]["quality"]["maximum"] == 100
    plan = client.post("/v1/plan", json={"source": "mp4", "target": "webm", "size": 400 << 20})
    assert plan.json()["sync"] is False
    assert plan.json()["route"] == ["mp4", "webm"]
    none = client.post("/v1/plan", json={"source": "mp3", "target": "docx"})
    assert (none.status_code, none.json()["error"]["code"]) == (422, "unsupported_route")
    assert client.post("/v1/plan", content=b"{").json()["error"]["code"] == "bad_request"
    document = client.get("/openapi.json").json()
    assert {"/v1/convert", "/v1/jobs", "/v1/jobs/{job_id}"} <= set(document["paths"])
    assert json.dumps(document)
    assert client.get("/healthz").json() == {"status": "ok"}
    told = client.get("/metrics").text
    assert "python_info" in told
    assert 'filemill_jobs{state="done"}' in told
