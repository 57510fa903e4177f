"""Running a job: claim it, do its steps, settle it. Core.

A run owns its job by an attempt token; every write compares it. A run that lost
its job (cancelled, or taken over because it was thought dead) notices within a
quarter of a second, kills its engine and leaves the job alone. Its outputs have
its own name, so two runs never write the same blob.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filemill.conversion import Converter, input_name, share
from filemill.errors import Cancelled, EngineError, FilemillError
from filemill.filename import with_extension
from filemill.formats import FORMATS
from filemill.model import Blob, Job, State, Step
from filemill.ports import Blobs, Checkpoint, Jobs
from filemill.settlement import Settlement

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
"""Runs that a job gets when each takes the whole process down with it."""
LOOK_EVERY = 0.25
"""Seconds between two looks at whether the job is still ours."""
WRITE_EVERY = 0.5
"""Seconds between two writes of progress."""


@dataclass(slots=True)
class Lease:
    """One run's hold on its job: tells progress, and learns that the job was lost."""

    jobs: Jobs
    job_id: str
    attempt: str
    changed: Callable[[str], None]
    _fraction: float = 0.0
    _written: int = 0
    _looked_at: float = 0.0
    _wrote_at: float = 0.0
    _lost: bool = field(default=False)

    def report(self, fraction: float) -> None:
        self._fraction = max(self._fraction, fraction)

    def lost(self) -> bool:
        """Asked by the sandbox all the time; goes to the database only now and then."""
        now = time.monotonic()
        if self._lost or now - self._looked_at < LOOK_EVERY:
            return self._lost
        self._looked_at = now
        pct = min(int(self._fraction * 100), 99)  # 100 is said only by the settled job
        if pct > self._written and now - self._wrote_at >= WRITE_EVERY:
            self._lost = not self.jobs.progress(self.job_id, self.attempt, pct)
            self._written, self._wrote_at = pct, now
            self.changed(self.job_id)
        else:
            self._lost = not self.jobs.owns(self.job_id, self.attempt)
        return self._lost


@dataclass(frozen=True, slots=True)
class Runner:
    jobs: Jobs
    blobs: Blobs
    converter: Converter
    scratch: Path
    """Private directories are made here, one a run; emptied at start."""
    settlement: Settlement
    changed: Callable[[str], None]
    """Told the id of a job whose state or progress changed."""

    def run(self, job_id: str, checkpoint: Checkpoint) -> None:
        """Run a job to its end. Does nothing for one that has ended already."""
        attempt = secrets.token_hex(8)
        claimed = self.jobs.claim(job_id, attempt, now=time.time())
        if claimed is None:
            return
        job, attempts = claimed
        self.changed(job_id)
        lease = Lease(self.jobs, job_id, attempt, self.changed)
        try:
            if attempts > MAX_ATTEMPTS:
                raise EngineError("This file took the converter down each time it was tried.")
            done = self._convert(job, lease, checkpoint)
        except Cancelled:
            log.info("job %s was taken from this run", job_id)
            self._leave(job_id)
            return
        except FilemillError as error:
            done = failed(job, error)
        except Exception:
            log.exception("job %s failed in a way that nobody thought of", job_id)
            done = failed(job, EngineError("Something went wrong inside the converter."))
        if not self.settlement.settle(done, attempt=attempt):
            self._leave(job_id)

    def _leave(self, job_id: str) -> None:
        """What this run stored goes with its job; if that is gone already, nobody else will see."""
        if self.jobs.get(job_id) is None:
            self.blobs.delete(f"jobs/{job_id}")

    def _convert(self, job: Job, lease: Lease, checkpoint: Checkpoint) -> Job:
        plan = job.plan
        before, total = 0.0, sum(step.cost for step in plan.steps)
        source, last, checks = job.input, len(plan.steps) - 1, list[dict[str, Any]]()
        outcome: dict[str, Any] = {}
        for number, step in enumerate(plan.steps):

            def run_step(
                step: Step = step,
                number: int = number,
                source: Blob = source,
                before: float = before,
            ) -> dict[str, Any]:
                return self._step(job, lease, step, number, source, before, total)

            outcome = checkpoint(f"{number}:{step.engine}", run_step)
            source, before = Blob(**outcome["blob"]), before + step.cost
            lease.report(before / total)
            checks.append({"engine": step.engine, "checks": outcome["checks"]})
            if number != last and lease.lost():
                raise Cancelled("The job was taken from this run.")
        format = FORMATS[outcome["format"]]
        return replace(
            job,
            state=State.DONE,
            progress_pct=100,
            finished_at=time.time(),
            output=source,
            output_name=with_extension(job.filename, format.extension),
            media_type=format.media_type,
            report={
                "format": format.id,
                **outcome["facts"],
                "steps": checks,
                "losses": list(plan.losses),
                "notes": list(plan.notes),
            },
        )

    def _step(
        self,
        job: Job,
        lease: Lease,
        step: Step,
        number: int,
        source: Blob,
        before: float,
        total: float,
    ) -> dict[str, Any]:
        """One step, from blob to blob; an engine's own failure is tried once more."""
        report = share(lease.report, before, step.cost, total)
        for again in (False, True):
            with self._room(f"{job.id}-{lease.attempt}-{number}-{again:d}") as room:
                self.blobs.fetch(source.key, room / input_name(step))
                try:
                    result = self.converter.step(
                        step,
                        room,
                        final=number + 1 == len(job.plan.steps),
                        report=report,
                        stopped=lease.lost,
                    )
                except EngineError:
                    if again:
                        raise
                    log.warning("job %s: %s failed, trying once more", job.id, step.engine)
                    continue
                format = FORMATS[result.format]
                blob = self.blobs.store(
                    result.path,
                    f"jobs/{job.id}/{lease.attempt}-{number}.{format.extension}",
                    filename=with_extension(job.filename, format.extension),
                    media_type=format.media_type,
                )
                return {
                    "blob": {"key": blob.key, "size": blob.size, "sha256": blob.sha256},
                    "format": result.format,
                    "facts": result.facts.to_json(),
                    "checks": list(result.verdict.checks),
                }
        raise AssertionError("unreachable")

    @contextmanager
    def _room(self, name: str) -> Iterator[Path]:
        """A private directory, gone afterwards."""
        room = self.scratch / name
        room.mkdir(mode=0o700)
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def failed(job: Job, error: FilemillError) -> Job:
    return replace(
        job,
        state=State.FAILED,
        finished_at=time.time(),
        error={**error.to_json(), "retryable": error.retryable},
    )
