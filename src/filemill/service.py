"""What a door asks for: submit, get, wait, cancel, open a result. Core.

Knows keys and jobs, not requests; raises the errors of `errors`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from filemill import estimate
from filemill.admission import Admission, month, next_month
from filemill.disk import Watermark
from filemill.errors import (
    BadOptions,
    Conflict,
    NotFound,
    UnsupportedRoute,
)
from filemill.formats import by_name
from filemill.intake import Caps, Intake
from filemill.model import ApiKey, Blob, Job, Plan, State
from filemill.planner import Graph
from filemill.ports.blobs import Blobs
from filemill.ports.jobs import Jobs, Transaction
from filemill.ports.lines import Idempotency
from filemill.ports.queue import Queue
from filemill.settlement import Settlement
from filemill.submission import Once, Submission, Upload
from filemill.watch import Watch

REMEMBER = 24 * 3600.0
"""Seconds that an Idempotency-Key is remembered."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a key used."""

    conversions: int
    resets_at: float
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Service:
    jobs: Jobs
    blobs: Blobs
    queue: Queue
    settlement: Settlement
    admission: Admission
    idempotency: Idempotency
    graph: Graph
    watch: Watch
    disk: Watermark
    job_ttl: float
    """Seconds that a job lives."""

    def plan(self, source: str, target: str, options: Mapping[str, Any]) -> Plan:
        """Raises `UnsupportedRoute` or `BadOptions`."""
        return self.graph.plan(by_name(source).id, by_name(target).id, options)

    async def estimate(self, plan: Plan, size: int | None) -> float | None:
        """Seconds that it will take; None: nothing to go by."""
        done = await run_sync(self.jobs.lately)
        return estimate.seconds(done, plan.source, plan.target, size)

    async def foresee(self, key: ApiKey, token: str | None) -> None:
        """Before a file is sent in vain: raises the `QuotaExceeded` or `TooBusy` that `submit`
        would by the look of it now. Not for a request that `token` (an Idempotency-Key) made
        before: its answer is there."""
        await run_sync(self._foresee, key, token)

    def _foresee(self, key: ApiKey, token: str | None) -> None:
        with self.jobs.reading() as transaction:
            if token and self.idempotency.knows(transaction, key.id, token, now=time.time()):
                return
            self.admission.foresee(transaction, key)

    async def affords(self, key: ApiKey) -> None:
        """The same for an upload that takes its time: raises `QuotaExceeded`. How full the queue
        is now says nothing of when it has arrived."""
        await run_sync(self._affords, key)

    def _affords(self, key: ApiKey) -> None:
        with self.jobs.reading() as transaction:
            self.admission.affords(transaction, key)

    async def receive(
        self, filename: str, chunks: AsyncIterator[bytes], caps: Caps, *, source: str | None = None
    ) -> Upload:
        """Store an uploaded file as a stream. Refuses it as soon as its first bytes tell that it
        is of no use, or as soon as it passes its cap.

        Raises `FileInvalid`, `FileTooLarge` or `UnsupportedRoute`."""
        job_id = new_job_id()
        intake = Intake(caps, filename, by_name(source) if source else None)
        try:
            blob = await self.blobs.write(f"jobs/{job_id}/in", intake.checked(chunks))
        except BaseException:
            await run_sync(self.blobs.delete, f"jobs/{job_id}")
            raise
        return Upload(job_id, filename, blob, intake.format)

    async def submit(
        self,
        key: ApiKey,
        upload: Upload,
        submission: Submission,
        once: Once | None = None,
        *,
        consuming: Callable[[Transaction], bool] | None = None,
    ) -> Job:
        """Accept a job. When this returns, the job is on record and will reach an end.

        The job may be an earlier one that the same `once` made: then its id is not the
        upload's. `consuming`: done in the same transaction; raises `Conflict` when it says no.
        Raises `QuotaExceeded`, `TooBusy`, `UnsupportedRoute` or `BadOptions`."""
        try:
            job = self._job(key, upload, submission, self.check(upload, submission))
            before = await run_sync(self._accept, key, job, once, consuming)
        except BaseException:
            await self.discard(upload)
            raise
        if before is None:
            return job
        await self.discard(upload)
        return await self.get(key, before)

    async def submit_url(
        self,
        key: ApiKey,
        url: str,
        filename: str,
        submission: Submission,
        once: Once | None = None,
    ) -> tuple[Job, bool]:
        """Accept a job whose file is yet to be fetched. Its plan is made once the file is here,
        or now when `source` says what it is. Also whether `once` made the job before.

        Raises what `submit` raises."""
        target = by_name(submission.target).id
        plan = Plan("", target, (), wish=dict(submission.options))
        if submission.source:
            plan = self.plan(submission.source, target, submission.options)
        upload = Upload(new_job_id(), filename, Blob("", 0, ""), None)
        job = replace(self._job(key, upload, submission, plan), source_url=url)
        before = await run_sync(self._accept, key, job, once)
        return (job, False) if before is None else (await self.get(key, before), True)

    async def earlier(self, key: ApiKey, once: Once) -> Job:
        """The job that `once` made. Raises `NotFound`, or `BadOptions` for another request."""
        return await self.get(key, await run_sync(self._earlier, key, once))

    def _earlier(self, key: ApiKey, once: Once) -> str:
        with self.jobs.transaction() as transaction:
            job_id = self._claim(transaction, key.id, "", once)
            if job_id is None:
                raise NotFound("No such request was made before.")  # and nothing is put down
        return job_id

    async def consumption(self, key: ApiKey) -> Consumption:
        return await run_sync(self._consumption, key)

    def _consumption(self, key: ApiKey) -> Consumption:
        now = time.time()
        with self.jobs.reading() as transaction:
            used = self.admission.usage.used(transaction, key.id, month(now))
            standing = self.admission.lines.standing(transaction, key.id)
            held = self.admission.lines.held(transaction, key.id)
        running = max(0, standing.released + held - standing.waiting)
        return Consumption(used, next_month(now), running=running, waiting=standing.waiting)

    async def discard(self, upload: Upload) -> None:
        await run_sync(self.blobs.delete, f"jobs/{upload.job_id}")

    async def get(self, key: ApiKey, job_id: str) -> Job:
        """Raises `NotFound`, for another key's job too."""
        return _visible(key, await run_sync(self.jobs.get, job_id))

    async def list(
        self, key: ApiKey, *, state: State | None, limit: int, before: tuple[float, str] | None
    ) -> Sequence[Job]:
        return await run_sync(
            partial(
                self.jobs.list, key.id, state=state, limit=limit, before=before, now=time.time()
            )
        )

    async def position(self, job: Job) -> int:
        return await run_sync(self.jobs.position, job)

    async def end(self, key: ApiKey, job_id: str, *, seconds: float) -> Job:
        """The job once it has ended, or as it is after `seconds`."""
        deadline = time.monotonic() + seconds
        with self.watch.of(job_id) as changed:
            job = _visible(key, await self.watch.look(job_id))
            while not job.state.terminal and (left := deadline - time.monotonic()) > 0:
                await changed(left)
                job = _visible(key, await self.watch.look(job_id))
        return job

    async def change(self, key: ApiKey, job_id: str, *, seconds: float) -> Job:
        """The job after its next change of state or progress, or as it is after `seconds`."""
        deadline = time.monotonic() + seconds
        with self.watch.of(job_id) as changed:
            first = job = _visible(key, await self.watch.look(job_id))
            while (
                not job.state.terminal
                and (job.state, job.progress_pct) == (first.state, first.progress_pct)
                and (left := deadline - time.monotonic()) > 0
            ):
                await changed(left)
                job = _visible(key, await self.watch.look(job_id))
        return job

    async def changes(self, key: ApiKey, job_id: str) -> AsyncIterator[Job | None]:
        """The job now and at each change until it has ended; None every 15 s of silence."""
        last: tuple[State, int] | None = None
        silence = False
        with self.watch.of(job_id) as changed:
            while True:
                job = _visible(key, await self.watch.look(job_id))
                if (job.state, job.progress_pct) != last:
                    yield job
                elif silence:
                    yield None
                last = (job.state, job.progress_pct)
                if job.state.terminal:
                    return
                silence = not await changed(15)

    async def cancel(self, key: ApiKey, job_id: str) -> Job | None:
        """Cancel a job, or remove one that has ended: then None.

        The run that had it notices within a quarter of a second and kills its engine."""
        job = await self.get(key, job_id)
        if not job.state.terminal:
            ended = replace(job, state=State.CANCELLED, finished_at=time.time())
            if await run_sync(partial(self.settlement.settle, ended, attempt=None)):
                return ended
        await run_sync(self._remove, job_id)
        return None

    async def retry(self, key: ApiKey, job_id: str) -> Job:
        """A new job with the same file and plan. Raises `Conflict` while the old one runs,
        `ServiceUnavailable` when the disk is full, and what `submit` raises."""
        old = await self.get(key, job_id)
        if not old.state.terminal:
            raise Conflict("This job has not ended yet.", hint="Cancel it first, or wait.")
        self.disk.check(old.input.size)
        await self.foresee(key, None)
        upload = Upload(new_job_id(), old.filename, old.input, None)
        if old.input.key:  # else it was never fetched
            upload = replace(upload, blob=replace(old.input, key=f"jobs/{upload.job_id}/in"))
        again = Submission(
            old.plan.target,
            webhook_url=old.webhook_url,
            metadata=old.metadata,
            base_url=old.base_url,
            output_url=old.output_url,
        )
        job = replace(self._job(key, upload, again, old.plan), source_url=old.source_url)
        try:
            if old.input.key:
                await run_sync(self.blobs.copy, old.input.key, job.input.key)
            await run_sync(self._accept, key, job, None)
        except BaseException:
            await self.discard(upload)
            raise
        return job

    async def result(self, job_id: str) -> Job:
        """The finished job that a signed link names. Raises `NotFound`."""
        job = await run_sync(self.jobs.get, job_id)
        if job is None or job.output is None or job.expires_at <= time.time():
            raise NotFound("This file is gone.", hint="It may have expired, or been deleted.")
        return job

    def check(self, upload: Upload, submission: Submission) -> Plan:
        """How `upload` is going to be converted. Raises `UnsupportedRoute` or `BadOptions`."""
        source = by_name(submission.source) if submission.source else upload.format
        if source is None:
            raise UnsupportedRoute(
                "This file is of no format that is known here.",
                hint="GET /v1/formats lists the formats; `source` names one that was not detected.",
            )
        return self.plan(source.id, submission.target, submission.options)

    def _job(self, key: ApiKey, upload: Upload, submission: Submission, plan: Plan) -> Job:
        now = time.time()
        return Job(
            id=upload.job_id,
            key_id=key.id,
            state=State.QUEUED,
            plan=plan,
            filename=upload.filename,
            input=upload.blob,
            created_at=now,
            expires_at=now + self.job_ttl,
            webhook_url=submission.webhook_url,
            metadata=submission.metadata,
            base_url=submission.base_url,
            output_url=submission.output_url,
        )

    def _accept(
        self,
        key: ApiKey,
        job: Job,
        once: Once | None,
        consuming: Callable[[Transaction], bool] | None = None,
    ) -> str | None:
        """Put a job on record and see to it that it runs: now if a slot is free and nobody
        waits for it, else through the queue. Gives the id of the job that `once` made before;
        then nothing is done."""
        direct = self.queue.reserve()
        try:
            with self.jobs.transaction() as transaction:
                before = self._claim(transaction, key.id, job.id, once) if once else None
                if before is None:
                    job = self.admission.admit(transaction, job, self.admission.plan(key))
                if direct and (before or job.held or self.jobs.waiting(transaction)):
                    self.queue.release()
                    direct = False
                if before is None:
                    self.jobs.insert(transaction, job)
                    if consuming is not None and not consuming(transaction):
                        raise Conflict("What this job was to be made of is gone.")
                    if not (direct or job.held):
                        self.queue.put(transaction, job)
        except BaseException:
            if direct:
                self.queue.release()
            raise
        if direct:
            # A crash right here leaves a queued job without a run: the sweeper adopts it.
            self.queue.start(job)
        return before

    def _claim(self, transaction: Transaction, key_id: str, job_id: str, once: Once) -> str | None:
        """The job that the same request made before. Raises `BadOptions` for another request."""
        now = time.time()
        fingerprint, made = self.idempotency.claim(
            transaction,
            key_id,
            once.token,
            once.fingerprint,
            job_id,
            now=now,
            expires_at=now + REMEMBER,
        )
        if fingerprint != once.fingerprint:
            raise BadOptions(
                "This Idempotency-Key was used for another request.",
                hint="Use a new one for each request; the same only to repeat one.",
            )
        return None if made == job_id else made

    def _remove(self, job_id: str) -> None:
        self.jobs.remove(job_id)
        self.blobs.delete(f"jobs/{job_id}")


def _visible(key: ApiKey, job: Job | None) -> Job:
    if job is None or job.key_id != key.id or job.expires_at <= time.time():
        raise NotFound("There is no such job.", hint="It may have expired, or been deleted.")
    return job


def new_job_id() -> str:
    return "job_" + secrets.token_hex(12)
