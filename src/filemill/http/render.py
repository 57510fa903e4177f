"""From the core's values to the wire."""

from __future__ import annotations

import base64
import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request

from filemill.errors import BadRequest
from filemill.http import schemas
from filemill.model import Job, State
from filemill.signing import Signer


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the addresses that answers hold."""

    signer: Signer
    ttl: float
    """Seconds that a download link lives."""
    base_url: str | None = None
    """Public address; None: the one that the request was sent to."""

    def base(self, request: Request) -> str:
        return (self.base_url or str(request.base_url)).rstrip("/")

    def status(self, request: Request, job_id: str) -> str:
        return f"{self.base(request)}/v1/jobs/{job_id}"

    def download(self, base: str, job: Job) -> str:
        name = job.output_name or "file"
        token = self.signer.sign(signed_text(job.id, name), expires_at=time.time() + self.ttl)
        return f"{base}/v1/files/{job.id}/{quote(name, safe='')}?token={token}"


def signed_text(job_id: str, name: str) -> str:
    return f"{job_id}/{name}"


def status(job: Job, base: str, links: Links, *, position: int | None = None) -> schemas.JobStatus:
    result = job.output
    return schemas.JobStatus(
        job_id=job.id,
        state=job.state.value,
        progress_pct=job.progress_pct,
        source_format=job.plan.source,
        target_format=job.plan.target,
        filename=job.filename,
        created_at=moment(job.created_at),
        started_at=moment(job.started_at) if job.started_at else None,
        finished_at=moment(job.finished_at) if job.finished_at else None,
        expires_at=moment(job.expires_at),
        metadata=job.metadata,
        eta_seconds=_left(job),
        queue_position=position,
        download_url=links.download(base, job) if result else None,
        size=result.size if result else None,
        sha256=result.sha256 if result else None,
        duration_ms=job.duration_ms if job.state.terminal else None,
        report=dict(job.report) if job.report else None,
        error=schemas.JobError.model_validate(job.error) if job.error else None,
    )


def _left(job: Job) -> float | None:
    if job.state is not State.PROCESSING or job.ends_at is None:
        return None
    left = job.ends_at - time.time()
    return round(left, 1) if left > 0 else None


def moment(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def cursor(job: Job) -> str:
    return _place(job.created_at, job.id)


def parse_cursor(text: str) -> tuple[float, str]:
    """Raises `BadRequest` for what `cursor` cannot have made."""
    try:
        created, job_id = base64.urlsafe_b64decode(text).decode().split(" ")
        created_at = float(created)
        # Databases disagree on what comes before "not a number", and take no NUL in an id.
        ours = math.isfinite(created_at) and re.fullmatch(r"job_[0-9a-f]+", job_id)
        if not ours or _place(created_at, job_id) != text:
            raise ValueError(text)
    except ValueError as error:
        raise BadRequest("`cursor` is not one of ours.", hint="Use `next_cursor`.") from error
    return created_at, job_id


def _place(created_at: float, job_id: str) -> str:
    return base64.urlsafe_b64encode(f"{created_at!r} {job_id}".encode()).decode()
