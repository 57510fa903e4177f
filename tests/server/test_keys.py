"""Plans, free keys, rotation, revocation, and what a key's answers say about its limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from filemill.errors import Forbidden
from filemill.http.site import Site
from filemill.plans import PLANS
from server.running import Server

PLANS_SET = {"free": {"conversions_per_month": 7}, "team": {"requests_per_minute": 5}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("keys") / "data"
    with Server(data, plans=json.dumps(PLANS_SET), keys_per_hour="8") as running:
        yield running


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "filemill", "keys", *arguments],
        env={
            **os.environ,
            "FILEMILL_DATA": str(server.data),
            "FILEMILL_PLANS": json.dumps(PLANS_SET),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def new_key(server: Server, name: str, plan: str) -> dict[str, str]:
    made = command(server, "create", name, "--plan", plan)
    assert made.returncode == 0, made.stderr
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def ask(server: Server, headers: dict[str, str], path: str = "/v1/jobs") -> httpx.Response:
    return httpx.get(server.url + path, headers=headers)


def room_in_this_minute(seconds: float) -> None:
    """Wait for the next window when this one is about to end."""
    if (left := 60 - time.time() % 60) < seconds:
        time.sleep(left + 0.1)


def test_plans(server: Server) -> None:
    plans = {row.pop("name"): row for row in httpx.get(f"{server.url}/v1/plans").json()["plans"]}
    assert set(plans) == {*PLANS, "team"}
    assert plans["free"] == PLANS["free"].to_json() | {"conversions_per_month": 7}
    assert plans["team"] == PLANS["unlimited"].to_json() | {"requests_per_minute": 5}
    assert plans["pro"] == PLANS["pro"].to_json()


def test_a_plan_that_is_none_is_refused(server: Server) -> None:
    made = command(server, "create", "x", "--plan", "nonsense")
    assert made.returncode == 2
    assert "free" in made.stderr


@pytest.mark.parametrize(
    "plans",
    ["[]", "{", '{"free": {"speed": 1}}', '{"free": {"queue": 0}}', '{"free": {"queue": "x"}}'],
)
def test_settings_that_are_no_plans_stop_the_start(server: Server, plans: str) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "filemill", "keys", "list"],
        env={**os.environ, "FILEMILL_DATA": str(server.data), "FILEMILL_PLANS": plans},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode != 0


def test_headers_count_down_and_429_says_when(server: Server) -> None:
    team = new_key(server, "counting", "team")
    room_in_this_minute(5)
    answers = [ask(server, team) for _ in range(4)] + [ask(server, team, "/v1/jobs/job_none")]
    assert [resp.status_code for resp in answers] == [200, 200, 200, 200, 404]
    assert [int(resp.headers["x-ratelimit-remaining"]) for resp in answers] == [4, 3, 2, 1, 0]
    asked = time.time()
    refused = ask(server, team)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["x-ratelimit-limit"] == "5"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    reset = int(refused.headers["x-ratelimit-reset"])
    assert reset - time.time() <= int(refused.headers["retry-after"]) <= reset - asked + 1
    other = new_key(server, "another", "team")
    assert ask(server, other).status_code == 200


def test_no_headers_without_a_key(server: Server) -> None:
    for resp in (httpx.get(f"{server.url}/v1/jobs"), httpx.get(f"{server.url}/v1/formats")):
        assert "x-ratelimit-limit" not in resp.headers


def test_free_key(server: Server) -> None:
    url = f"{server.url}/v1/keys/free"
    body = httpx.post(url, json={"email": "Ada@example.com"}).raise_for_status().json()
    assert set(body) == {"api_key", "plan", "monthly_limit", "message"}
    assert (body["plan"], body["monthly_limit"]) == ("free", 7)
    key = {"Authorization": f"Bearer {body['api_key']}"}
    assert ask(server, key).headers["x-ratelimit-limit"] == str(PLANS["free"].requests_per_minute)
    again = httpx.post(url, json={"email": "ada@example.com"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "body", [{}, {"email": 1}, {"email": "x"}, {"email": "a@b"}, {"email": "a b@c.de"}, []]
)
def test_no_address(server: Server, body: object) -> None:
    resp = httpx.post(f"{server.url}/v1/keys/free", json=body)
    assert (resp.status_code, resp.json()["error"]["code"]) == (400, "bad_request")


def test_rotation_overlaps_and_revocation_is_at_once(server: Server) -> None:
    old = new_key(server, "rotating", "pro")
    body = httpx.post(f"{server.url}/v1/keys/rotate", headers=old).raise_for_status().json()
    new = {"Authorization": f"Bearer {body['api_key']}"}
    assert new != old
    assert ask(server, old).status_code == 200
    assert ask(server, new).status_code == 200
    # Else whoever stole the old one could take the key over.
    late = httpx.post(f"{server.url}/v1/keys/rotate", headers=old)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    assert ask(server, new).status_code == 200
    assert command(server, "revoke", "rotating").returncode == 0
    for headers in (old, new):
        refused = ask(server, headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


def test_keys_are_handed_out_slowly(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("slow") / "data"
    with Server(data, keys_per_hour="3") as server:
        answers = [
            httpx.post(f"{server.url}/v1/keys/free", json={"email": f"{n}@example.com"})
            for n in range(5)
        ]
        assert [resp.status_code for resp in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert answers[-1].json()["error"]["code"] == "rate_limited"


@pytest.mark.parametrize(
    ("settings", "second", "scheme"),
    [({}, 200, "https"), ({"trusted_proxies": "10.0.0.0/8,fd00::/8"}, 429, "http")],
    ids=["our own host's", "another's"],
)
def test_which_proxies_are_believed(
    tmp_path: Path, settings: dict[str, str], second: int, scheme: str
) -> None:
    with Server(tmp_path / "data", keys_per_hour="1", **settings) as server:
        answers = [
            httpx.post(
                f"{server.url}/v1/keys/free",
                json={"email": f"{n}@example.com"},
                headers={"X-Forwarded-For": f"203.0.113.{n}"},
            ).status_code
            for n in range(2)
        ]
        assert answers == [200, second]
        begun = httpx.post(
            f"{server.url}/v1/uploads",
            headers=server.headers
            | {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "X-Forwarded-Proto": "https"},
        )
        assert begun.headers["location"].startswith(f"{scheme}://")


def test_free_keys_can_be_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("off") / "data", free_keys="off") as server:
        resp = httpx.post(f"{server.url}/v1/keys/free", json={"email": "a@example.com"})
        assert (resp.status_code, resp.json()["error"]["code"]) == (404, "not_found")


def test_without_keys_only_who_is_here_is_served(tmp_path: Path) -> None:
    """Another name may be a page's that led its reader's browser here (DNS rebinding)."""
    with Server(tmp_path / "data", "--no-auth") as server:
        port = server.url.rpartition(":")[2]

        def status(host: str) -> int:
            return httpx.get(f"{server.url}/v1/jobs", headers={"Host": host}).status_code

        for name in ("127.0.0.1", "localhost", "[::1]", "127.0.0.2", "localhost.", "LocalHost"):
            assert status(f"{name}:{port}") == 200, name
        assert status("") == 200
        for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::1"):
            assert status(f"{name}:{port}") == 401, name
        # Else it had a key then, and with that any name is good.
        led = {"Host": f"evil.example:{port}", "Authorization": "Bearer x"}
        made = httpx.post(f"{server.url}/v1/keys/free", json={"email": "a@b.example"}, headers=led)
        assert (made.status_code, made.json()["error"]["code"]) == (401, "invalid_api_key")


CROSS, SAME_SITE = {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}
EVIL = {"Origin": "https://evil.example"}
FOLLOWED = {"Sec-Fetch-Mode": "navigate"}


def test_without_keys_no_other_page_is_served(tmp_path: Path) -> None:
    """What a browser sends for a page of another site, with no question before (CORS)."""
    with Server(tmp_path / "data", "--no-auth", cors_origins="https://app.example") as server:

        def ask(method: str, path: str, headers: dict[str, str], **more: Any) -> tuple[int, str]:
            resp = httpx.request(method, server.url + path, headers=headers, **more)
            body = resp.json() if resp.content else {}
            return resp.status_code, body.get("error", {}).get("code", "")

        def send(headers: dict[str, str]) -> tuple[int, str]:
            form = {"files": {"file": ("a.md", b"# Hello")}, "data": {"target": "html"}}
            return ask("POST", "/v1/jobs", headers, **form)

        forbidden = (403, "forbidden")
        for headers in (CROSS, SAME_SITE, CROSS | EVIL, EVIL, {"Origin": "null"}, CROSS | FOLLOWED):
            assert send(headers) == forbidden, headers
        email = {"json": {"email": "a@b.example"}}
        assert ask("POST", "/v1/keys/free", {**CROSS, **EVIL}, **email) == forbidden
        assert ask("GET", "/v1/jobs", CROSS) == forbidden
        assert ask("GET", "/v1/jobs", CROSS | FOLLOWED)[0] == 200  # a link
        # Pages of ours, an address that was typed, programs.
        for headers in (
            {"Sec-Fetch-Site": "same-origin"} | EVIL,
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://localhost:8080"},
            {},
        ):
            assert send(headers) == (202, ""), headers
        begins = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
        named = CROSS | {"Origin": "https://app.example"}
        assert ask("POST", "/v1/uploads", begins | CROSS | EVIL) == forbidden
        assert ask("POST", "/v1/uploads", begins | named) == (201, "")
        assert send(named) == forbidden


def test_a_public_name_of_a_server_without_keys() -> None:
    """That of FILEMILL_BASE_URL, where a proxy of this host passes it on."""
    site = Site(frozenset({"files.example"}))

    def check(**headers: str) -> None:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": sent}
        site.check(Request(scope))

    check(host="files.example", origin="https://files.example")
    check(host="127.0.0.1:8080", origin="https://files.example")
    with pytest.raises(Forbidden):
        check(host="files.example", origin="https://evil.example")
