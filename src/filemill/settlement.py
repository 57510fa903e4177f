"""The end of a job, and the event it is: one transaction. Core."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from filemill.admission import Admission
from filemill.errors import FilemillError
from filemill.model import Delivery, Job, State
from filemill.ports.deliveries import Deliveries
from filemill.ports.jobs import Jobs
from filemill.ports.queue import Post
from filemill.webhook import event_of


@dataclass(frozen=True, slots=True)
class Settlement:
    jobs: Jobs
    deliveries: Deliveries
    post: Post
    admission: Admission
    changed: Callable[[str], None]
    """Told the id of a job that has ended."""

    def settle(self, job: Job, *, attempt: str | None) -> bool:
        """End a job and put its webhook on the way; false when it has ended already or
        belongs to another run (`attempt`; None: whoever has it)."""
        with self.jobs.transaction() as transaction:
            self.admission.lock(transaction, job.key_id)
            if not self.jobs.settle(transaction, job, attempt=attempt):
                return False
            self.admission.ended(transaction, job)
            event = event_of(job)
            if job.webhook_url and event:
                delivery = Delivery(
                    id="dlv_" + secrets.token_hex(12),
                    job_id=job.id,
                    key_id=job.key_id,
                    event=event,
                    url=job.webhook_url,
                    created_at=time.time(),
                    next_at=time.time(),
                )
                self.deliveries.insert(transaction, delivery)
                self.post.post(transaction, delivery)
        self.changed(job.id)
        return True


def failed(job: Job, error: FilemillError) -> Job:
    return replace(
        job,
        state=State.FAILED,
        finished_at=time.time(),
        error={**error.to_json(), "retryable": error.retryable},
    )
