"""Idempotency-Key: the same request again is the same answer, and one job."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.running import Server, finish
from server.test_jobs import submit


def post(client: httpx.Client, door: str, path: Path, token: str, **fields: str) -> httpx.Response:
    return client.post(
        f"/v1/{door}",
        content=path.read_bytes(),
        params={"target": "bmp", "filename": path.name, **fields},
        headers={"Idempotency-Key": token},
    )


def jobs_of(client: httpx.Client) -> set[str]:
    return {job["job_id"] for job in client.get("/v1/jobs?limit=100").json()["jobs"]}


def test_fifty_at_once_make_one_job(server: Server, png: Path) -> None:
    with server.client() as client:
        before = jobs_of(client)
        barrier = threading.Barrier(50)

        def one(_: int) -> httpx.Response:
            with server.client() as own:
                own.get("/healthz")
                barrier.wait()
                return post(own, "jobs", png, "fifty:1")

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(one, range(50)))
        assert {resp.status_code for resp in answers} <= {202, 409}
        accepted = {resp.text for resp in answers if resp.status_code == 202}
        assert len(accepted) == 1
        for resp in answers:
            if resp.status_code == 409:
                assert resp.json()["error"]["code"] == "conflict"
                assert int(resp.headers["retry-after"]) > 0
        again = post(client, "jobs", png, "fifty:1")
        assert {again.text} == accepted
        assert again.headers["idempotent-replayed"] == "true"
        assert len(jobs_of(client) - before) == 1


def test_convert_gives_the_same_bytes_from_the_stored_job(server: Server, png: Path) -> None:
    with server.client() as client:
        before = jobs_of(client)
        first = post(client, "convert", png, "c/1").raise_for_status()
        again = post(client, "convert", png, "c/1").raise_for_status()
        assert first.content == again.content
        for name in ("content-type", "content-disposition", "x-job-id", "x-conversion-time"):
            assert first.headers[name] == again.headers[name]
        assert "idempotent-replayed" not in first.headers
        assert len(jobs_of(client) - before) == 1


def test_a_form_with_another_boundary_and_order_is_the_same(
    client: httpx.Client, png: Path
) -> None:
    answers = [
        client.post(
            "/v1/jobs",
            files={"file": (png.name, png.read_bytes())},
            data=data,
            headers={"Idempotency-Key": "form"},
        )
        for data in ({"target": "jpg", "quality": "9"}, {"quality": "9", "target": "jpg"})
    ]
    assert [resp.status_code for resp in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("change", ["body", "option", "name", "door"])
def test_another_request_is_refused(
    client: httpx.Client, png: Path, tmp_path: Path, change: str
) -> None:
    token = f"other-{change}"
    assert post(client, "jobs", png, token).status_code == 202
    other = tmp_path / ("x.png" if change == "name" else png.name)
    other.write_bytes(png.read_bytes() + (b"\0" if change == "body" else b""))
    fields = {"width": "9"} if change == "option" else {}
    resp = post(client, "convert" if change == "door" else "jobs", other, token, **fields)
    assert (resp.status_code, resp.json()["error"]["code"]) == (422, "bad_options")
    assert "Idempotency-Key" in resp.json()["error"]["message"]


@pytest.mark.parametrize("token", ["", "a b", "x" * 129, "ü".encode(), "a;b"])
def test_a_key_that_is_none(client: httpx.Client, png: Path, token: str | bytes) -> None:
    resp = post(client, "jobs", png, token)  # type: ignore[arg-type]
    assert (resp.status_code, resp.json()["error"]["code"]) == (400, "bad_request")


def test_in_flight_is_a_conflict_until_it_ends(server: Server, film_short: Path) -> None:
    def first() -> httpx.Response:
        with server.client() as own:
            return post(own, "convert", film_short, "flight", target="webm")

    with ThreadPoolExecutor(1) as pool, server.client() as client:
        before = jobs_of(client)
        running = pool.submit(first)
        while not (made := jobs_of(client) - before):
            time.sleep(0.01)
        resp = post(client, "convert", film_short, "flight", target="webm")
        assert (resp.status_code, resp.json()["error"]["code"]) == (409, "conflict")
        assert resp.headers["retry-after"]
        done = running.result().raise_for_status()
        again = post(client, "convert", film_short, "flight", target="webm").raise_for_status()
        assert done.content == again.content
        assert jobs_of(client) - before == made


def test_it_outlives_the_server(tmp_path: Path, png: Path) -> None:
    server = Server(tmp_path / "data")
    with server, server.client() as client:
        first = post(client, "jobs", png, "kept").json()
        finish(client, first["job_id"])
    with server, server.client() as client:
        assert post(client, "jobs", png, "kept").json()["job_id"] == first["job_id"]


def test_without_a_key_there_are_two_jobs(client: httpx.Client, png: Path) -> None:
    assert submit(client, png, "gif") != submit(client, png, "gif")
