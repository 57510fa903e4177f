"""Webhooks: signed, retried, on record, redelivered; whatever the receiver does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sandbox.processes import eventually
from server.receiver import Received, Receiver, deaf
from server.running import Server, finish

LOOPBACK = {"outbound_allow": "127.0.0.0/8", "webhook_retry_delays": "1,1,2"}


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hooked") / "data", **LOOPBACK) as server:
        yield server


def submit(client: httpx.Client, png: Path, url: str, **more: str) -> str:
    params = {"target": "jpg", "filename": "a.png", "webhook_url": url, **more}
    resp = client.post("/v1/jobs", content=png.read_bytes(), params=params)
    assert resp.status_code == 202, resp.text
    return str(resp.json()["job_id"])


def test_a_job_whose_time_is_up_is_told_before_it_goes(tmp_path: Path, film: Path) -> None:
    # It fails two seconds before its time is up, within which its webhook must leave.
    settings = {**LOOPBACK, "job_ttl": "20", "worker_slots": "1"}
    with Server(tmp_path / "data", **settings) as server, server.client() as client:
        with Receiver() as receiver:
            params = {"target": "webm", "filename": "a.mp4", "webhook_url": receiver.url}
            sent = client.post("/v1/jobs", content=film.read_bytes(), params=params)
            job_id = sent.raise_for_status().json()["job_id"]
            job = finish(client, job_id)
            (received,) = receiver.wait(1)
        assert (job["state"], job["error"]["code"]) == ("failed", "timeout")  # type: ignore[index]
        assert received.event["error"]["code"] == "timeout"
        assert eventually(lambda: client.get(f"/v1/jobs/{job_id}").status_code == 404)


def ctf_verifies(received: Received, secret: str, *, now: float) -> bool:
    """A receiver written from the contract alone."""
    parts = [part.partition("=") for part in received.headers["x-ctf-signature"].split(",")]
    stamp = next(value for name, _, value in parts if name == "t")
    if abs(now - int(stamp)) > 300:
        return False
    key = hashlib.sha256(secret.encode()).hexdigest().encode()
    wanted = hmac.new(key, f"{stamp}.".encode() + received.body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(wanted, value) for name, _, value in parts if name == "v1")


def test_the_event_of_a_finished_job(hooked: Server, png: Path) -> None:
    with Receiver() as receiver, hooked.client() as client:
        secret = client.post("/v1/webhooks/secret").json()["secret"]
        job_id = submit(client, png, receiver.url, webhook_metadata='{"user_id": "u_123"}')
        (received,) = receiver.wait(1)
        job = finish(client, job_id)
        ended = time.mktime(time.strptime(str(job["finished_at"])[:19], "%Y-%m-%dT%H:%M:%S"))
        assert received.at - (ended + float(str(job["finished_at"])[19:23])) < 1.5
        assert received.headers["x-ctf-event"] == "job.completed"
        assert received.headers["content-type"] == "application/json"
        event = received.event
        assert set(event) == {"job_id", "state", "download_url", "metadata", "duration_ms"}
        assert (event["job_id"], event["state"]) == (job_id, "done")
        assert event["metadata"] == {"user_id": "u_123"}
        assert len(httpx.get(event["download_url"]).raise_for_status().content) == job["size"]

        public = Webhook(secret)
        public.verify(received.body, received.headers)
        assert ctf_verifies(received, secret, now=time.time())
        altered = Received(received.at, received.headers, received.body + b" ", 204)
        with pytest.raises(WebhookVerificationError):
            public.verify(altered.body, altered.headers)
        assert not ctf_verifies(altered, secret, now=time.time())
        other = "whsec_" + base64.b64encode(b"x" * 32).decode()
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(received.body, received.headers)
        assert not ctf_verifies(received, other, now=time.time())
        old = {**received.headers, "webhook-timestamp": str(int(time.time()) - 1000)}
        with pytest.raises(WebhookVerificationError):
            public.verify(received.body, old)
        assert not ctf_verifies(received, secret, now=time.time() + 1000)

        def delivery() -> dict[str, Any]:
            (found,) = client.get(f"/v1/jobs/{job_id}/deliveries").json()["deliveries"]
            return dict(found)

        # It is written down after the answer, which we gave before we looked.
        assert eventually(lambda: delivery()["state"] == "delivered")
        assert [attempt["status"] for attempt in delivery()["attempts"]] == [204]


def test_the_event_of_a_failed_job(hooked: Server, png: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(png.read_bytes()[:2000])
    with Receiver() as receiver, hooked.client() as client:
        submit(client, broken, receiver.url)
        (received,) = receiver.wait(1)
    assert received.headers["x-ctf-event"] == "job.failed"
    assert set(received.event) == {"job_id", "state", "error", "metadata", "duration_ms"}
    assert received.event["error"]["code"] == "file_invalid"


def test_rotation_overlaps(hooked: Server, png: Path) -> None:
    with Receiver() as receiver, hooked.client() as client:
        old = client.post("/v1/webhooks/secret").json()["secret"]
        new = client.post("/v1/webhooks/secret").json()["secret"]
        submit(client, png, receiver.url)
        (received,) = receiver.wait(1)
    for secret in (old, new):
        Webhook(secret).verify(received.body, received.headers)
        assert ctf_verifies(received, secret, now=time.time())


def test_retries_on_schedule_until_a_2xx_then_never_again(hooked: Server, png: Path) -> None:
    with Receiver(lambda nth: [500, 302, 200][min(nth, 2)]) as receiver, hooked.client() as client:
        job_id = submit(client, png, receiver.url)
        receiver.wait(3)
        time.sleep(2.5)
        log = receiver.wait(3)
        assert [received.answered for received in log] == [500, 302, 200]
        assert len({received.headers["webhook-id"] for received in log}) == 1
        gaps = [after.at - before.at for before, after in itertools.pairwise(log)]
        assert all(gap >= 0.9 for gap in gaps), gaps
        (delivery,) = client.get(f"/v1/jobs/{job_id}/deliveries").json()["deliveries"]
        assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 200]
        assert delivery["id"] == log[0].headers["webhook-id"]


def test_given_up_then_redelivered_by_hand(hooked: Server, png: Path) -> None:
    answers = [500, 500, 500, 500, 200]
    with Receiver(lambda nth: answers[min(nth, 4)]) as receiver, hooked.client() as client:
        job_id = submit(client, png, receiver.url)
        receiver.wait(4)
        deadline = time.monotonic() + 20
        state = ""
        while state != "failed" and time.monotonic() < deadline:
            (delivery,) = client.get(f"/v1/jobs/{job_id}/deliveries").json()["deliveries"]
            state = delivery["state"]
        assert state == "failed"
        again = client.post(f"/v1/jobs/{job_id}/deliveries/{delivery['id']}/redeliver")
        assert again.status_code == 202
        assert receiver.wait(5)[-1].headers["webhook-id"] == delivery["id"]


def test_a_dead_or_slow_receiver_holds_nobody_else_up(hooked: Server, png: Path) -> None:
    def slow(_nth: int) -> int:
        time.sleep(5)
        return 200

    with Receiver(slow) as sleepy, Receiver() as quick, deaf() as url, hooked.client() as client:
        for _ in range(12):
            submit(client, png, sleepy.url)
            submit(client, png, url)
        job_id = submit(client, png, quick.url)
        finish(client, job_id)
        (received,) = quick.wait(1, seconds=3)
        assert received.event["job_id"] == job_id


def test_the_test_event(hooked: Server) -> None:
    with Receiver() as receiver, deaf() as url, hooked.client() as client:
        secret = client.post("/v1/webhooks/secret").json()["secret"]
        told = client.post("/v1/webhooks/test", json={"webhook_url": receiver.url}).json()
        assert (told["acknowledged"], told["status"]) == (True, 204)
        (received,) = receiver.wait(1)
        assert received.headers["x-ctf-event"] == "webhook.test"
        Webhook(secret).verify(received.body, received.headers)
        gone = client.post("/v1/webhooks/test", json={"webhook_url": url}).json()
        assert (gone["acknowledged"], gone.get("status")) == (False, None)
        assert gone["error"]


@pytest.mark.parametrize("url", ["ftp://example.com/", "nonsense", "http://user:pw@example.com/"])
def test_no_address_for_a_webhook(hooked: Server, png: Path, url: str) -> None:
    with hooked.client() as client:
        params = {"target": "jpg", "filename": "a.png", "webhook_url": url}
        resp = client.post("/v1/jobs", content=png.read_bytes(), params=params)
    assert (resp.status_code, resp.json()["error"]["code"]) == (400, "bad_request")


def test_a_private_address_is_not_reached(server: Server, png: Path) -> None:
    """The server without FILEMILL_OUTBOUND_ALLOW."""
    with Receiver() as receiver, server.client() as client:
        told = client.post("/v1/webhooks/test", json={"webhook_url": receiver.url}).json()
        assert told["acknowledged"] is False
        assert receiver.log == []


def test_500_jobs_a_bad_receiver_and_two_kills(tmp_path: Path, png: Path) -> None:
    """Every event arrives at least once, the ledger agrees with the receiver's log, and none
    comes after a 2xx."""
    dice = random.Random(4)
    small = tmp_path / "small.bmp"
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(small)
    count = 500

    def moody(nth: int) -> int:
        if dice.random() < 0.05:
            time.sleep(0.3)
        return dice.choice([200, 200, 200, 200, 204, 204, 500, 503])

    settings = {"outbound_allow": "127.0.0.0/8", "webhook_retry_delays": ",".join(["1"] * 40)}
    server = Server(tmp_path / "data", **settings).start()
    receiver = Receiver(moody)
    try:
        with receiver, server.client() as client:
            ids = []
            for number in range(count):
                params = {"target": "png", "filename": "a.bmp", "webhook_url": receiver.url}
                resp = client.post("/v1/jobs", content=small.read_bytes(), params=params)
                ids.append(resp.raise_for_status().json()["job_id"])
                if number in (150, 320):
                    server.kill()
                    server.start()
        time.sleep(3)  # the receiver is down
        with receiver:
            deadline = time.monotonic() + 200
            waiting = set(ids)
            while waiting and time.monotonic() < deadline:
                time.sleep(0.5)
                acknowledged = {
                    received.event["job_id"] for received in receiver.log if received.answered < 300
                }
                waiting = set(ids) - acknowledged
            assert not waiting
            time.sleep(3)  # nothing more may come
    finally:
        server.stop()
    per_job: dict[str, list[Received]] = {job_id: [] for job_id in ids}
    for received in receiver.log:
        per_job[received.event["job_id"]].append(received)
    with sqlite3.connect(tmp_path / "data" / "filemill.db") as database:
        ledger: dict[str, list[int]] = {job_id: [] for job_id in ids}
        for job_id, status in database.execute(
            "SELECT job_id, status FROM deliveries d JOIN delivery_attempts a"
            " ON a.delivery_id = d.id WHERE status IS NOT NULL ORDER BY job_id, number"
        ):
            ledger[job_id].append(status)
    unrecorded = 0
    for job_id, received_list in per_job.items():
        answers = [received.answered for received in received_list]
        assert len({received.headers["webhook-id"] for received in received_list}) == 1
        # A kill between an answer and its record may repeat that one attempt; nothing else may.
        unrecorded += len(answers) - len(ledger[job_id])
        assert ledger[job_id][-1] < 300
        assert all(status >= 300 for status in ledger[job_id][:-1])
    assert 0 <= unrecorded <= 2 * 8
