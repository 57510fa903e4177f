"""Downloads: signed, with ranges, without a key."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sandbox.processes import eventually
from server.running import Server, finish
from server.test_jobs import submit


@pytest.fixture(scope="module")
def result(server: Server, png: Path) -> tuple[str, bytes]:
    """A download address, and the bytes behind it."""
    with server.client() as client:
        job = finish(client, submit(client, png, "bmp"))
    url = str(job["download_url"])
    return url, httpx.get(url).raise_for_status().content


def test_head_has_the_headers_of_get(result: tuple[str, bytes]) -> None:
    url, data = result
    head, get = httpx.head(url), httpx.get(url)
    names = ("content-length", "content-type", "content-disposition", "etag", "accept-ranges")
    assert [head.headers[name] for name in names] == [get.headers[name] for name in names]
    assert head.headers["content-length"] == str(len(data))
    assert head.content == b""


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=0-999999999", 0, None),
        ("bytes=7-7", 7, 8),
    ],
)
def test_ranges(result: tuple[str, bytes], wanted: str, start: int, end: int | None) -> None:
    url, data = result
    resp = httpx.get(url, headers={"Range": wanted})
    assert resp.status_code == 206
    assert resp.content == data[start:end]
    first = start % len(data)
    assert resp.headers["content-range"] == (
        f"bytes {first}-{first + len(resp.content) - 1}/{len(data)}"
    )


@pytest.mark.parametrize("wanted", ["bytes=1-0", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6"])
def test_ranges_to_ignore(result: tuple[str, bytes], wanted: str) -> None:
    url, data = result
    resp = httpx.get(url, headers={"Range": wanted})
    assert (resp.status_code, resp.content) == (200, data)


def test_range_beyond_the_end(result: tuple[str, bytes]) -> None:
    url, data = result
    resp = httpx.get(url, headers={"Range": f"bytes={len(data)}-"})
    assert (resp.status_code, resp.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert resp.headers["content-range"] == f"bytes */{len(data)}"


def test_conditions(result: tuple[str, bytes]) -> None:
    url, data = result
    etag = httpx.head(url).headers["etag"]
    assert httpx.get(url, headers={"If-None-Match": etag}).status_code == 304
    same = httpx.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = httpx.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (same.status_code, other.status_code, other.content) == (206, 200, data)


@pytest.mark.parametrize(
    "alter",
    [
        lambda url: url.replace("picture.bmp", "other.bmp"),
        lambda url: url.replace("/job_", "/job_0"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace("token=", "token=9"),
        lambda url: url.partition("?")[0],
        lambda url: url.partition("?")[0] + "?token=",
        lambda url: url.partition("?")[0] + "?token=%C3%A4.%C3%A4",
    ],
)
def test_altered_links(result: tuple[str, bytes], alter: object) -> None:
    url = alter(result[0])  # type: ignore[operator]
    resp = httpx.get(url)
    assert (resp.status_code, resp.json()["error"]["code"]) == (403, "bad_signature")


def test_expired_link(tmp_path: Path, png: Path) -> None:
    import time

    with Server(tmp_path / "data", link_ttl="3") as server, server.client() as client:
        job_id = submit(client, png, "jpg")
        url = str(finish(client, job_id)["download_url"])
        time.sleep(4)
        resp = client.get(url)
        assert (resp.status_code, resp.json()["error"]["code"]) == (410, "link_expired")
        fresh = client.get(f"/v1/jobs/{job_id}").json()["download_url"]
        assert client.get(fresh).status_code == 200


def test_deleted_and_expired_jobs_take_their_files_along(tmp_path: Path, png: Path) -> None:
    with Server(tmp_path / "data", job_ttl="15") as server, server.client() as client:
        job_id = submit(client, png, "jpg")
        url = str(finish(client, job_id)["download_url"])
        assert eventually(lambda: client.get(f"/v1/jobs/{job_id}").status_code == 404, 20)
        assert httpx.get(url).json()["error"]["code"] == "not_found"
        deleted = submit(client, png, "jpg")
        url = str(finish(client, deleted)["download_url"])
        client.delete(f"/v1/jobs/{deleted}")
        assert httpx.get(url).status_code == 404
        assert not list((server.data / "blobs" / "jobs" / deleted).glob("*"))
