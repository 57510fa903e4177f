"""Long steps in parts: each a durable piece of work whose result is a checkpoint. Core.

The run of a job that meets such a step puts its parts on the queue and ends: it holds no slot while
they are done, by whoever has one free. Whoever does the last part puts the job on the queue again,
in the transaction that records it; that run joins the parts and goes on. All there is to know is
in the tables, so it does not matter which of these is killed when, or happens twice.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from filemill.conversion import Converter, Result, input_name
from filemill.engine import Split
from filemill.errors import Cancelled, EngineError, FilemillError
from filemill.formats import find
from filemill.lease import WRITE_EVERY, Lease, Pace, insist
from filemill.model import Blob, Cut, Facts, Job, Piece
from filemill.ports.blobs import Blobs
from filemill.ports.cuts import Cuts
from filemill.ports.jobs import Jobs
from filemill.ports.queue import PartsQueue
from filemill.ports.sandbox import Report, Stopped
from filemill.settlement import Settlement, failed

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
"""Tries that a part gets when each takes the whole process down with it."""
JOINING = 0.03
"""The share of a step's progress that is left to the join."""


class Misfit(Exception):
    """A part's result is not what was foreseen: the input is not what its head says."""


@dataclass(slots=True)
class PartLease(Lease):
    """One run's hold on a part of a job."""

    cuts: Cuts | None = None
    step: int = 0
    number: int = 0
    _running: int = 1
    _ends_at: float | None = None

    def _pause(self) -> float:
        return WRITE_EVERY * self._running  # so many a second for the whole job

    def _owns(self) -> bool:
        assert self.cuts
        return self.cuts.owns(self.job_id, self.step, self.number, self.attempt)

    def _tell(self, now: float) -> bool:
        assert self.cuts
        told = self.cuts.tell(
            *(self.job_id, self.step, self.number, self.attempt), self._fraction, self._ends_at
        )
        if told is None:
            return False
        fraction, self._running = told
        self._ends_at = self._end(fraction, now)
        return True


@dataclass(frozen=True, slots=True)
class Parts:
    jobs: Jobs
    blobs: Blobs
    converter: Converter
    scratch: Path
    settlement: Settlement
    changed: Callable[[str], None]
    cuts: Cuts
    queue: PartsQueue
    grain: float
    """Seconds of one core that a part should take."""

    def of(self, job: Job) -> Cut | None:
        """The step of `job` that was cut last."""
        if not any(self.converter.splits(step) for step in job.plan.steps):
            return None
        return self.cuts.find(job.id)

    def spread(
        self,
        job: Job,
        number: int,
        facts: Facts,
        grain: float,
        earlier: Sequence[Mapping[str, Any]],
    ) -> None:
        """Cut a step and put its parts on the queue. Does nothing when that was done before."""
        step = job.plan.steps[number]
        split = self.converter.split(step, facts, grain)
        assert split is not None, "a split is the same each time"
        costs = [step.cost for step in job.plan.steps]
        base = sum(costs[:number]) / sum(costs)
        span = step.cost / sum(costs) * (1 - JOINING)
        pieces = tuple(Piece(index, part.weight) for index, part in enumerate(split.parts))
        cut = Cut(job.id, number, grain, facts, tuple(earlier), pieces=pieces)
        with self.jobs.transaction() as transaction:
            if self.cuts.open(transaction, cut, base=base, span=span):
                for piece in pieces:
                    self.queue.spread(transaction, job.id, number, piece.number)

    def run(self, job_id: str, step: int, number: int) -> None:
        """Do one part, unless it is done or no longer wanted. Anew, when the database was away."""
        insist(self.jobs.away, partial(self._try, job_id, step, number))

    def _try(self, job_id: str, step: int, number: int) -> None:
        attempt = secrets.token_hex(8)
        attempts = self.cuts.claim(job_id, step, number, attempt)
        job, cut = self.jobs.get(job_id), self.cuts.find(job_id)
        if attempts is None or job is None or cut is None:
            self.leave(job_id)
            return
        lease = PartLease(
            *(self.jobs, job_id, attempt, self.changed, Pace(job.started_at)),
            cuts=self.cuts,
            step=step,
            number=number,
        )
        try:
            if attempts > MAX_ATTEMPTS:
                raise EngineError("This file took the converter down each time it was tried.")
            self._run(job, cut, number, lease)
        except Cancelled:
            log.info("part %s of job %s was taken from this run", number, job_id)
        except Misfit:
            log.warning("job %s is no file to be split: done whole", job_id)
            with self.jobs.transaction() as transaction:
                if self.cuts.give_up(transaction, job_id, step):
                    self.queue.gather(transaction, job, step)
        except self.jobs.away:
            raise
        except FilemillError as error:
            self._fail(job, lease, error)
        except Exception:
            log.exception(
                "part %s of job %s failed in a way that nobody thought of", number, job_id
            )
            self._fail(job, lease, EngineError("Something went wrong inside the converter."))
        self.leave(job_id)

    def _run(self, job: Job, cut: Cut, number: int, lease: PartLease) -> None:
        step, split = job.plan.steps[cut.step], self._split(job, cut)
        part = split.parts[number]
        source = Blob(**cut.earlier[-1]["blob"]) if cut.earlier else job.input

        def attempt(again: bool) -> None:
            with room(self.scratch, f"{job.id}-{lease.attempt}-{number}-{again:d}") as directory:
                self.blobs.fetch(source.key, directory / input_name(step))
                path, facts = self.converter.part(
                    step, part, directory, report=lease.report, stopped=lease.lost
                )
                known = facts.to_json()
                if any(known.get(name) != value for name, value in part.expects.items()):
                    raise Misfit
                self._finish(job, cut.step, number, lease, path, known)

        twice(attempt, f"job {job.id}: part {number}")

    def _finish(
        self,
        job: Job,
        step: int,
        number: int,
        lease: PartLease,
        path: Path,
        facts: Mapping[str, Any],
    ) -> None:
        format = find(path.suffix)
        assert format is not None, path
        blob = self.blobs.store(
            path,
            f"{_folder(job.id)}/{step}-{number:04}-{lease.attempt}{path.suffix}",
            filename=path.name,
            media_type=format.media_type,
        )
        with self.jobs.transaction() as transaction:
            left = self.cuts.finish(
                transaction, job.id, step, number, lease.attempt, blob=blob, facts=facts
            )
            if left == 0:
                self.queue.gather(transaction, job, step)
        self.changed(job.id)

    def join(
        self,
        job: Job,
        cut: Cut,
        attempt: str,
        keep: Callable[[Result], dict[str, Any]],
        *,
        report: Report,
        stopped: Stopped,
    ) -> Mapping[str, Any] | None:
        """The outcome of a step whose parts are all done; None: they do not join, do it whole."""
        if cut.outcome is None:
            try:
                outcome = self._join(job, cut, attempt, keep, report, stopped)
            except EngineError as error:
                log.warning("job %s: its parts do not join: %s", job.id, error.message)
                return None
            if stopped():
                raise Cancelled("The job was taken from this run.")
            self.cuts.close(job.id, cut.step, outcome)
        else:
            outcome = cut.outcome
        self.blobs.delete(_folder(job.id))
        return outcome

    def _join(
        self,
        job: Job,
        cut: Cut,
        attempt: str,
        keep: Callable[[Result], dict[str, Any]],
        report: Report,
        stopped: Stopped,
    ) -> Mapping[str, Any]:
        step, split = job.plan.steps[cut.step], self._split(job, cut)
        with room(self.scratch, f"{job.id}-{attempt}-join") as directory:
            for piece, part in zip(cut.pieces, split.parts, strict=True):
                assert piece.blob is not None
                self.blobs.fetch(piece.blob.key, directory / part.name)
            result = self.converter.join(
                step,
                cut.facts,
                split,
                directory,
                final=cut.step + 1 == len(job.plan.steps),
                report=report,
                stopped=stopped,
            )
            whole = result.facts.to_json().get(split.adds)
            parts = sum((piece.facts or {}).get(split.adds, 0) for piece in cut.pieces)
            if whole is not None and whole != parts:
                raise EngineError(f"{whole} {split.adds} of {parts}")
            return keep(result)

    def _split(self, job: Job, cut: Cut) -> Split:
        split = self.converter.split(job.plan.steps[cut.step], cut.facts, cut.grain)
        if split is None or len(split.parts) != len(cut.pieces):
            raise EngineError("The job was begun by another version.", hint="Submit it again.")
        return split

    def _fail(self, job: Job, lease: PartLease, error: FilemillError) -> None:
        if self.cuts.owns(job.id, lease.step, lease.number, lease.attempt):
            self.settlement.settle(failed(job, error), attempt=None)

    def leave(self, job_id: str) -> None:
        """Whoever finds the job over takes what is left of its parts along."""
        job = self.jobs.get(job_id)
        if job is None:
            self.blobs.delete(f"jobs/{job_id}")
        elif job.state.terminal:
            self.blobs.delete(_folder(job_id))


def _folder(job_id: str) -> str:
    return f"jobs/{job_id}/parts"


@contextmanager
def room(scratch: Path, name: str) -> Iterator[Path]:
    """A private directory, gone afterwards."""
    directory = scratch / name
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def twice(attempt: Callable[[bool], T], what: str) -> T:
    """What `attempt` gives; after an engine's own failure it is made once more, and told so.
    `what`: its name in the log."""
    try:
        return attempt(False)
    except EngineError:
        log.warning("%s failed, trying once more", what)
    return attempt(True)
