"""Two servers on one PostgreSQL and one blob store are one service."""

from __future__ import annotations

from pathlib import Path

import httpx

from databases import Postgres
from server.running import Server, finish


def test_two_servers_are_one(postgres: Postgres, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    shared = {"database_url": postgres.new(), "blob_url": f"file://{tmp_path / 'blobs'}"}
    with Server(tmp_path / "one", **shared) as one, Server(tmp_path / "two", **shared) as two:
        assert one.key
        assert not two.key, "the first start made the key"
        two.key = one.key
        names = {(server.data / "executor").read_text() for server in (one, two)}
        assert len(names) == 2, "they would take each other's runs"
        with one.client() as first, two.client() as second:
            ids = []
            for number in range(8):
                answer = (first, second)[number % 2].post(
                    "/v1/jobs",
                    params={"target": "html", "filename": f"{number}.md"},
                    content=f"# Page {number}".encode(),
                )
                assert answer.status_code == 202, answer.text
                ids.append(answer.json()["job_id"])
            for number, job_id in enumerate(ids):
                # Each is asked for at the server that did not take it.
                job = finish((second, first)[number % 2], job_id)
                assert job["state"] == "done", job
                # A link that one server signed is good at the other.
                link = str(job["download_url"]).replace(two.url, one.url)
                for url in (link, link.replace(one.url, two.url)):
                    page = httpx.get(url)
                    assert page.status_code == 200, page.text
                    assert f"Page {number}" in page.text
            assert {job["job_id"] for job in second.get("/v1/jobs").json()["jobs"]} == set(ids)
            assert second.delete(f"/v1/jobs/{ids[0]}").is_success
            assert first.get(f"/v1/jobs/{ids[0]}").status_code == 404
