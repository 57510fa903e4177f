"""Files from and to addresses that a client named: a job's first and last step. Core.

Both run inside the job, as steps that a run after a crash does not repeat once they are done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from anyio.to_thread import run_sync

from filemill.admission import Admission
from filemill.errors import BadRequest, Cancelled, ServiceUnavailable, Timeout, UnsupportedRoute
from filemill.formats import FORMATS
from filemill.intake import Caps, Intake
from filemill.model import Blob, Job
from filemill.planner import Graph
from filemill.ports.blobs import Blobs
from filemill.ports.jobs import Jobs
from filemill.ports.remote import Remote, Reply
from filemill.ports.sandbox import Report, Stopped

T = TypeVar("T")
PAUSES = (1.0, 5.0, 20.0)
"""Seconds before each further try."""
LOOK_EVERY = 0.25
"""Seconds between two looks at whether the job is still ours."""


@dataclass(frozen=True, slots=True)
class Transfer:
    remote: Remote
    jobs: Jobs
    blobs: Blobs
    graph: Graph
    admission: Admission
    caps: Caps
    """Where the plan of a job's key does not say less."""
    make_room: Callable[[int], None]
    """Raises `ServiceUnavailable` when there is not enough disk for so many bytes."""
    seconds: float
    """That one try may take."""

    def fetch(self, job: Job, key: str, report: Report, stopped: Stopped) -> dict[str, Any]:
        """Store the file at a job's `source_url` under `key`, and plan what is to be done with
        it: `{"blob", "plan"}`. Raises what `Remote.get`, detection and planning raise."""
        return asyncio.run(_until(self._fetch(job, key, report), stopped))

    def send(self, job: Job, blob: Blob, media_type: str, stopped: Stopped) -> dict[str, Any]:
        """Put a result to a job's `output_url`: `{"status"}`. Raises `BadRequest` (it was
        refused), `Timeout` (it is slow) or `ServiceUnavailable` (it did not work, often
        enough)."""
        return asyncio.run(_until(self._send(job, blob, media_type), stopped))

    async def _fetch(self, job: Job, key: str, report: Report) -> dict[str, Any]:
        for pause in (*PAUSES, None):
            try:
                return await self._fetch_once(job, key, report)
            except ServiceUnavailable:  # not `Timeout`: a slow server has had its time
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _fetch_once(self, job: Job, key: str, report: Report) -> dict[str, Any]:
        assert job.source_url is not None
        caps = await run_sync(self._caps, job)
        intake = Intake(caps, job.filename, FORMATS.get(job.plan.source))
        most = max(caps.other, caps.media)
        async with self.remote.get(job.source_url, seconds=self.seconds, limit=most) as download:
            self.make_room(download.size or 0)

            async def counted() -> AsyncIterator[bytes]:
                size = 0
                async for chunk in intake.checked(download.chunks):
                    size += len(chunk)
                    if download.size:
                        report(size / download.size)
                    yield chunk

            blob = await self.blobs.write(key, counted())
        plan = job.plan
        if plan.wish is not None:
            if intake.format is None:
                raise UnsupportedRoute(
                    "The file at `source_url` is of no format that is known here.",
                    hint="Name its format: `source`.",
                )
            plan = self.graph.plan(intake.format.id, plan.target, plan.wish)
        return {"blob": asdict(blob), "plan": plan.to_json()}

    def _caps(self, job: Job) -> Caps:
        with self.jobs.transaction() as transaction:
            plan = self.admission.plan_name(transaction, job.key_id)
        return self.admission.caps(self.caps, plan)

    async def _send(self, job: Job, blob: Blob, media_type: str) -> dict[str, Any]:
        assert job.output_url is not None
        for pause in (*PAUSES, None):
            reply: Reply = await self.remote.put(
                job.output_url,
                self.blobs.read(blob.key),
                blob.size,
                {"Content-Type": media_type},
                self.seconds,
            )
            if reply.ok:
                return {"status": reply.status}
            if reply.status is not None and reply.status < 500 and reply.status != 429:
                raise BadRequest(
                    f"`output_url` answered {reply.status}.",
                    hint="Presign it for PUT, without conditions on other headers.",
                    details={"status": reply.status},
                )
            if pause is None or reply.late:
                raise (Timeout if reply.late else ServiceUnavailable)(
                    "The result could not be put to `output_url`.",
                    hint=reply.error,
                    details={"status": reply.status},
                )
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")


async def _until(work: Coroutine[Any, Any, T], stopped: Stopped) -> T:
    """What `work` gives. Raises `Cancelled` soon after `stopped` says so."""
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=LOOK_EVERY))[0]:
        if await run_sync(stopped):
            task.cancel()
            await asyncio.wait({task})
            raise Cancelled("The job was taken from this run.")
    return task.result()
