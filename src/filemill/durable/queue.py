"""Durable runs of jobs on DBOS: a workflow a job, its id the job's id.

A job starts directly while this host has a free slot (a few ms), and through a
database queue when it has none. After a crash DBOS starts the workflows again
that were running; what their steps returned is remembered, so finished steps are
not redone. Only public calls of DBOS are used.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, SetWorkflowID, WorkflowStatus

from filemill.durable.janitor import Janitor
from filemill.durable.slots import Slots
from filemill.errors import ServiceUnavailable
from filemill.model import Delivery, Job
from filemill.ports.jobs import Transaction
from filemill.ports.queue import Run, RunPart

APPLICATION = "filemill"
VERSION = "1"
"""Of the workflow's shape: a run that began under another one is not resumed by this code."""
CONVERT, CONVERSIONS = "convert", "conversions"
DELIVER, DELIVERIES = "deliver", "deliveries"
PART, PARTS = "part", "parts"
"""Names of the workflows and of their queues."""
POLL = 0.1
"""Seconds between two looks at the queue while jobs wait there. A look takes 4 ms of a core; jobs
that find a free slot do not wait for one."""
IDLE_POLL = 0.5
"""Seconds, while none waits. For a database that is ours alone: we know when one is put there."""
DELIVERY_POLL = 0.5
"""Seconds; the first attempt must leave within one."""
PARTS_POLL = 0.5
"""Seconds; a part takes many."""
AT_ONE_RECEIVER = 8
"""Deliveries to one receiver at a time: a slow one holds up itself only."""
FORGET = 1000
"""Records dropped at once."""
_LIVE = ["PENDING", "ENQUEUED", "DELAYED"]
log = logging.getLogger(__name__)


Deliver = Callable[[str, int], Awaitable[None]]
"""(delivery id, number of the attempt) -> made and on record."""


class DurableQueue:
    """Implements `ports.queue.Queue` and `ports.queue.Post`. One per process: DBOS is a singleton.

    Made first, since the core needs it; `begin` gives it the core's work and starts it."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        slots: int,
        executor_id: str,
        dead_after: float = 30.0,
    ) -> None:
        """`engine` reaches the database that holds the jobs; DBOS keeps its own tables there.

        `executor_id` is this process's alone, and the same after a restart. On a shared
        database one that was silent for `dead_after` seconds loses its runs to the others."""
        self._engine = engine
        self._slots = Slots(slots)
        self._direct: set[str] = set()
        """Jobs whose slot was taken by `reserve`."""
        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": APPLICATION,
            "application_version": VERSION,
            "executor_id": executor_id,
            "system_database_url": engine.url.render_as_string(hide_password=False),
            "system_database_engine": engine,
            "log_level": "WARNING",
            "notification_listener_polling_interval_sec": 1.0,
        }
        DBOS(config=config)
        self._shared = shared = engine.dialect.name != "sqlite"
        self._polls_every = POLL if shared else IDLE_POLL
        # One host may hold a few more runs than slots, so that a slot never idles between two
        # looks at the queue; with many hosts that would keep work from a free one.
        self._at_once = slots if shared else 2 * slots
        self._janitor = (
            Janitor(
                engine,
                executor_id,
                queues={CONVERT: CONVERSIONS, DELIVER: DELIVERIES, PART: PARTS},
                beat_every=dead_after / 6,
                dead_after=dead_after,
            )
            if shared
            else None
        )

    def begin(self, run: Run, deliver: Deliver, run_part: RunPart) -> None:
        """Take up work: what was left over by a crash, and what comes."""

        def convert(job_id: str) -> None:
            if job_id in self._direct:
                self._direct.discard(job_id)
            else:
                self._slots.take()
            try:
                run(job_id, _checkpoint)
            finally:
                self._slots.give()
                self._rest()

        def part(job_id: str, step: int, number: int) -> None:
            self._slots.take(behind=True)
            try:
                run_part(job_id, step, number)
            finally:
                self._slots.give()

        async def attempt(delivery_id: str, number: int) -> None:
            await deliver(delivery_id, number)

        self._convert = DBOS.workflow(name=CONVERT)(convert)
        DBOS.workflow(name=DELIVER)(attempt)
        DBOS.workflow(name=PART)(part)
        DBOS.launch()
        self._compare_hosts()
        DBOS.register_queue(
            CONVERSIONS,
            worker_concurrency=self._at_once,
            polling_interval_sec=self._polls_every,
        )
        DBOS.register_queue(
            PARTS, worker_concurrency=self._at_once, polling_interval_sec=PARTS_POLL
        )
        DBOS.register_queue(
            DELIVERIES,
            partition_concurrency=AT_ONE_RECEIVER,
            polling_interval_sec=DELIVERY_POLL,
        )
        self._client = DBOSClient(system_database_engine=self._engine, application_name=APPLICATION)
        if self._janitor:
            self._janitor.start()

    def _compare_hosts(self) -> None:
        """DBOS keeps one number for all hosts, that of the last to start: a larger one then leaves
        slots free, or a smaller one takes jobs that wait for its slots while others are free."""
        known = DBOS.retrieve_queue(CONVERSIONS) if self._shared else None
        if known and (theirs := known.worker_concurrency) not in (None, self._at_once):
            log.warning(
                "this host has %d slots, the last to start here had %d: all now take %d jobs from "
                "the queue at once. Set FILEMILL_WORKER_SLOTS alike on all",
                *(self._at_once, theirs, self._at_once),
            )

    def reserve(self) -> bool:
        if self._slots.try_take():
            return True
        self._poll_every(POLL)
        return False

    def release(self) -> None:
        self._slots.give()

    def start(self, job: Job) -> None:
        self._direct.add(job.id)
        try:
            with SetWorkflowID(job.id):
                DBOS.start_workflow(self._convert, job.id)
        except BaseException:
            self._direct.discard(job.id)
            self.release()
            raise

    def put(self, transaction: Transaction, job: Job) -> None:
        self._put(transaction, job, job.id)

    def _put(self, transaction: Transaction, job: Job, run_id: str) -> None:
        self._client.enqueue_in_transaction(
            transaction,
            {
                "priority": job.turn,
                "workflow_name": CONVERT,
                "queue_name": CONVERSIONS,
                "workflow_id": run_id,
                "app_version": VERSION,
            },
            job.id,
        )

    def spread(self, transaction: Transaction, job_id: str, step: int, number: int) -> None:
        options: EnqueueOptions = {
            "workflow_name": PART,
            "queue_name": PARTS,
            "workflow_id": f"{job_id}:{step}:{number}",
            "app_version": VERSION,
            "priority": number + 1,  # the parts of several jobs take turns
        }
        self._client.enqueue_in_transaction(transaction, options, job_id, step, number)

    def gather(self, transaction: Transaction, job: Job, step: int) -> None:
        options: EnqueueOptions = {
            "workflow_name": CONVERT,
            "queue_name": CONVERSIONS,
            "workflow_id": f"{job.id}:{step}:join",
            "app_version": VERSION,
        }  # no priority is the highest one
        self._client.enqueue_in_transaction(transaction, options, job.id)

    def post(self, transaction: Transaction, delivery: Delivery) -> None:
        options: EnqueueOptions = {
            "workflow_name": DELIVER,
            "queue_name": DELIVERIES,
            "workflow_id": _attempt_id(delivery),
            "app_version": VERSION,
            "queue_partition_key": delivery.receiver,
        }
        delay = (delivery.next_at or 0) - time.time()
        if delay > 0:
            options["delay_seconds"] = delay
        self._client.enqueue_in_transaction(transaction, options, delivery.id, delivery.attempts)

    def under_way(self, deliveries: Sequence[Delivery]) -> Collection[str]:
        wanted = {_attempt_id(delivery): delivery.id for delivery in deliveries}
        live = _runs(workflow_ids=list(wanted), status=_LIVE) if wanted else ()
        return {wanted[run.workflow_id] for run in live}

    def adopt(self, job: Job) -> bool:
        known = _runs(workflow_ids=[job.id])
        if known and known[0].status in _LIVE:
            return True
        family = f"{job.id}:"
        if _runs(workflow_id_prefix=family, status=_LIVE, limit=1):
            return True  # its parts are being done, or it is run once more
        run_id = job.id
        if known:
            again = f"{family}{job.attempt}"  # each attempt has a token of its own
            broken = known[0].status == "ERROR" or _runs(
                workflow_id_prefix=family, name=CONVERT, status="ERROR", limit=1
            )
            if not broken or _runs(workflow_ids=[again]):
                return False
            log.warning("job %s: its run ended in an error, it is run once more", job.id)
            run_id = again
        with self._engine.begin() as transaction:
            self._put(transaction, job, run_id)
        return True

    def forget(self, *, before: float) -> None:
        while ended := _runs(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=FORGET,
        ):
            DBOS.delete_workflows([run.workflow_id for run in ended])

    def _poll_every(self, seconds: float) -> None:
        if seconds == self._polls_every:
            return
        self._polls_every = seconds
        if queue := DBOS.retrieve_queue(CONVERSIONS):
            queue.set_polling_interval_sec(seconds)

    def _rest(self) -> None:
        """Look less often, when nothing runs and nothing waits."""
        may = self._polls_every == POLL and not self._shared and self._slots.idle
        if may and not _runs(queue_name=CONVERSIONS, status="ENQUEUED", limit=1):
            self._poll_every(IDLE_POLL)

    def close(self) -> None:
        if self._janitor:
            self._janitor.close()
        self._client.destroy()
        DBOS.destroy(destroy_registry=True)


def _attempt_id(delivery: Delivery) -> str:
    """Of the run that makes the next attempt: one that is due anew has another."""
    return f"{delivery.id}:{delivery.attempts}:{delivery.next_at or 0:.0f}"


def _runs(**which: Any) -> list[WorkflowStatus]:
    return DBOS.list_workflows(load_input=False, load_output=False, **which)


def _checkpoint(name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return DBOS.run_step({"name": name}, step)


class Lock:
    """Keeps a second process from the same data folder: on SQLite two of them would not see each
    other's concurrency."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise ServiceUnavailable(
                "Another filemill already runs on this data folder.",
                hint="Stop it, or set FILEMILL_DATA to another folder.",
            ) from None

    def close(self) -> None:
        os.close(self._descriptor)
