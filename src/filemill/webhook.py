"""What a webhook says and how it is signed. Floor 1, pure.

Two schemes, of one secret `whsec_<base64>`:

- `X-CTF-Signature: t=<unix>,v1=<hex>`: HMAC-SHA256, its key the ASCII hex of sha256(secret), over
  `"{t}." + body`. While a secret is being rotated there are two `v1`, the new one's first.
- Standard Webhooks 1.0.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`): HMAC-SHA256, its
  key the decoded base64, over `"{id}.{timestamp}." + body`, as `v1,<base64>`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence

from filemill.model import Job, State

PREFIX = "whsec_"
COMPLETED, FAILED, TEST = "job.completed", "job.failed", "webhook.test"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def event_of(job: Job) -> str | None:
    """The event that the end of a job is; None: nobody is told."""
    return {State.DONE: COMPLETED, State.FAILED: FAILED}.get(job.state)


def body_of(job: Job, download_url: str | None) -> bytes:
    content = {
        "job_id": job.id,
        "state": job.state.value,
        **({"error": job.error} if job.state is State.FAILED else {"download_url": download_url}),
        "metadata": job.metadata,
        "duration_ms": job.duration_ms,
    }
    return json.dumps(content).encode()


def headers(
    body: bytes, *, event: str, delivery_id: str, now: int, secrets: Sequence[str]
) -> Mapping[str, str]:
    """All headers of one attempt. `secrets`: the newest first."""
    ours = ",".join(f"v1={_ctf(secret, now, body)}" for secret in secrets)
    standard = " ".join(f"v1,{_standard(secret, delivery_id, now, body)}" for secret in secrets)
    return {
        "Content-Type": "application/json",
        "User-Agent": "filemill-webhooks/1",
        "X-CTF-Event": event,
        "X-CTF-Signature": f"t={now},{ours}",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(now),
        "webhook-signature": standard,
    }


def _ctf(secret: str, now: int, body: bytes) -> str:
    key = hashlib.sha256(secret.encode()).hexdigest().encode()
    return hmac.new(key, f"{now}.".encode() + body, hashlib.sha256).hexdigest()


def _standard(secret: str, delivery_id: str, now: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    mac = hmac.new(key, f"{delivery_id}.{now}.".encode() + body, hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()
