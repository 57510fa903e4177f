"""Cleaning up after time has passed: expired jobs, and jobs that nothing runs. Core."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from filemill.courier import Courier
from filemill.errors import EngineError, Timeout
from filemill.model import Job
from filemill.ports.blobs import Blobs
from filemill.ports.counters import Forgets
from filemill.ports.jobs import Jobs
from filemill.ports.queue import Queue
from filemill.settlement import Settlement, failed

log = logging.getLogger(__name__)

KEEP_RUNS = 3600.0
"""Seconds that the record of a run is kept after its end."""
ADOPT_AFTER = 10.0
"""Seconds after which a job that has not ended must have a run on record."""


@dataclass(frozen=True, slots=True)
class Sweeper:
    jobs: Jobs
    blobs: Blobs
    queue: Queue
    settlement: Settlement
    courier: Courier
    grace: float
    """Seconds before its time is up in which a job that has not ended is failed: so long its
    client can see that, and be told."""
    memories: Sequence[Forgets] = ()

    def sweep(self, *, adopt_after: float = ADOPT_AFTER) -> None:
        """One round. Safe to run on many hosts at once."""
        now = time.time()
        while expired := self.jobs.expired(now=now):
            for job in expired:
                self.blobs.delete(f"jobs/{job.id}")
                self.jobs.remove(job.id)  # last: a crash before it leaves this to come back for
        # After that: one whose grace passed while no host was up is there until the next round.
        while late := self.jobs.late(by=now + self.grace):
            for job in late:
                self._fail(job, Timeout("The job did not end within its time to live."))
        for job in self.jobs.unfinished(before=now - adopt_after):
            if not self.queue.adopt(job):
                self._fail(
                    job, EngineError("The run of this job was lost.", hint="Submit it again.")
                )
        self.courier.find_lost()
        admission = self.settlement.admission
        with self.jobs.reading() as transaction:
            waiting = admission.lines.keys_with_held(transaction)
        for key_id in waiting:  # as a rule the end of another job let them go
            with self.jobs.transaction() as transaction:
                admission.lock(transaction, key_id)
                admission.release(transaction, key_id)
        for memory in self.memories:
            memory.forget(before=now)
        self.queue.forget(before=now - KEEP_RUNS)

    def _fail(self, job: Job, error: EngineError | Timeout) -> None:
        log.warning("job %s: %s", job.id, error.message)
        self.settlement.settle(failed(job, error), attempt=None)
