"""Running a job: claim it, do its steps, settle it. Core.

A run owns its job by an attempt token; every write compares it. A run that lost
its job (cancelled, or taken over because it was thought dead) notices within a
quarter of a second, kills its engine and leaves the job alone. Its outputs have
its own name, so two runs never write the same blob. A run that meets a step to be
done in parts hands these over and ends; the job is run again when they are done.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from filemill.conversion import Converter, Result, input_name, share
from filemill.errors import Cancelled, EngineError, FilemillError
from filemill.filename import with_extension
from filemill.formats import FORMATS
from filemill.lease import Lease, insist
from filemill.model import Blob, Facts, Job, Plan, State, Step
from filemill.parts import JOINING, Parts, room, twice
from filemill.ports.blobs import Blobs
from filemill.ports.jobs import Jobs
from filemill.ports.queue import Checkpoint
from filemill.settlement import Settlement, failed
from filemill.transfer import Transfer

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
"""Runs that a job gets when each takes the whole process down with it."""
FETCHING = 0.2
"""Share of a job's progress that its file's way to here is."""


@dataclass(frozen=True, slots=True)
class Runner:
    jobs: Jobs
    blobs: Blobs
    converter: Converter
    scratch: Path
    """Private directories are made here, one a try of a step; emptied at start."""
    settlement: Settlement
    changed: Callable[[str], None]
    """Told the id of a job whose state or progress changed."""
    parts: Parts
    transfer: Transfer

    def run(self, job_id: str, checkpoint: Checkpoint) -> None:
        """Run a job to its end. Does nothing for one that has ended already."""
        attempt = secrets.token_hex(8)
        claimed = self.jobs.claim(job_id, attempt, now=time.time())
        if claimed is None:
            self.parts.leave(job_id)
            return
        job, attempts = claimed
        self.changed(job_id)
        lease = Lease(self.jobs, job_id, attempt, self.changed)
        try:
            if attempts > MAX_ATTEMPTS:
                raise EngineError("This file took the converter down each time it was tried.")
            job = self._fetched(job, lease, checkpoint)
            done = self._convert(job, lease, checkpoint)
            if done is not None:
                job = done  # one that fails now keeps its result
                self._sent(done, lease, checkpoint)
        except Cancelled:
            log.info("job %s was taken from this run", job_id)
            self.parts.leave(job_id)
            return
        except self.jobs.away:
            raise  # nothing is known of the job then: it is run once more
        except FilemillError as error:
            done = failed(job, error)
        except Exception:
            log.exception("job %s failed in a way that nobody thought of", job_id)
            done = failed(job, EngineError("Something went wrong inside the converter."))
        if done is None:
            return
        settle = partial(self.settlement.settle, done, attempt=attempt)
        settled = insist(self.jobs.away, settle)
        if not settled or self.parts.of(job):
            self.parts.leave(job_id)

    def _fetched(self, job: Job, lease: Lease, checkpoint: Checkpoint) -> Job:
        """The job with its file here, and the plan for it."""
        if not job.source_url or job.input.key:
            return job
        key = f"jobs/{job.id}/{lease.attempt}-in"
        report = share(lease.report, 0, FETCHING, 1)
        fetch = partial(self.transfer.fetch, job, key, report, lease.lost)
        outcome = checkpoint("fetch", fetch)
        blob, plan = Blob(**outcome["blob"]), Plan.from_json(outcome["plan"])
        job = replace(job, input=blob, plan=plan)
        if not self.jobs.arrived(job, lease.attempt):
            raise Cancelled("The job was taken from this run.")
        return job

    def _sent(self, done: Job, lease: Lease, checkpoint: Checkpoint) -> None:
        if done.output_url and done.output:
            kind = done.media_type or ""
            checkpoint("send", partial(self.transfer.send, done, done.output, kind, lease.lost))

    def _convert(self, job: Job, lease: Lease, checkpoint: Checkpoint) -> Job | None:
        """The job's end; None: the parts of one of its steps are to be done first."""
        plan = job.plan
        cut = self.parts.of(job)
        costs = sum(step.cost for step in plan.steps)
        # What fetching took of the whole came before.
        before = costs * FETCHING / (1 - FETCHING) if job.source_url else 0.0
        total = before + costs
        source, last, checks = job.input, len(plan.steps) - 1, list[dict[str, Any]]()
        outcome: Mapping[str, Any] = {}
        outcomes: list[Mapping[str, Any]] = []
        for number, step in enumerate(plan.steps):

            def run_step(
                step: Step = step,
                number: int = number,
                source: Blob = source,
                before: float = before,
            ) -> dict[str, Any]:
                may_split = cut is None or number > cut.step
                return self._step(job, lease, step, number, source, before, total, may_split)

            joined = None
            if cut is not None and number < cut.step:
                joined = cut.earlier[number]
            elif cut is not None and number == cut.step and not cut.whole:
                if not cut.complete:
                    return None
                joined = self.parts.join(
                    job,
                    cut,
                    lease.attempt,
                    partial(self._kept, job, lease, number),
                    report=share(
                        lease.report, before + step.cost * (1 - JOINING), step.cost * JOINING, total
                    ),
                    stopped=lease.lost,
                )
            outcome = joined or (
                run_step()  # its record is the job's end, which follows at once
                if number == last and not job.output_url
                else checkpoint(f"{number}:{step.engine}", run_step)
            )
            if "split" in outcome:
                facts = Facts.from_json(outcome["split"])
                self.parts.spread(job, number, facts, outcome["grain"], outcomes)
                return None
            outcomes.append(outcome)
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
        may_split: bool,
    ) -> dict[str, Any]:
        """One step, from blob to blob; an engine's own failure is tried once more. Or the facts
        of its input, when it is to be done in parts."""
        report = share(lease.report, before, step.cost, total)

        def attempt(again: bool) -> dict[str, Any]:
            with room(self.scratch, f"{job.id}-{lease.attempt}-{number}-{again:d}") as directory:
                self.blobs.fetch(source.key, directory / input_name(step))
                facts = None
                if may_split and self.converter.splits(step):
                    facts = self.converter.look(step, directory, stopped=lease.lost)
                    if self.converter.split(step, facts, self.parts.grain):
                        return {"split": facts.to_json(), "grain": self.parts.grain}
                result = self.converter.step(
                    step,
                    directory,
                    facts=facts,
                    final=number + 1 == len(job.plan.steps),
                    report=report,
                    stopped=lease.lost,
                )
                return self._kept(job, lease, number, result)

        return twice(attempt, f"job {job.id}: {step.engine}")

    def _kept(self, job: Job, lease: Lease, number: int, result: Result) -> dict[str, Any]:
        """Store the result of a step; gives the step's outcome."""
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
