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
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, SetWorkflowID

from filemill.durable.janitor import Janitor
from filemill.errors import ServiceUnavailable
from filemill.model import Job
from filemill.ports import Run, Transaction

APPLICATION = "filemill"
VERSION = "1"
"""Of the workflow's shape: a run that began under another one is not resumed by this code."""
WORKFLOW = "convert"
QUEUE = "conversions"
POLL = 0.05
"""Seconds between two looks at the queue: ~40 ms to dispatch, measured at 6 % of a core."""
FORGET = 1000
"""Records dropped at once."""
_LIVE = {"PENDING", "ENQUEUED", "DELAYED"}


class DurableQueue:
    """Implements `ports.Queue`. One per process: DBOS is a singleton."""

    def __init__(
        self,
        engine: sa.Engine,
        run: Run,
        *,
        slots: int,
        executor_id: str,
        beat_every: float = 5.0,
        dead_after: float = 30.0,
    ) -> None:
        """`engine` reaches the database that holds the jobs; DBOS keeps its own tables there.

        `executor_id` is this process's alone, and the same after a restart. On a shared
        database one that was silent for `dead_after` seconds loses its runs to the others."""
        self._engine = engine
        self._run = run
        self._slots = threading.BoundedSemaphore(slots)
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
        self._convert = DBOS.workflow(name=WORKFLOW)(self._convert_workflow())
        shared = engine.dialect.name != "sqlite"
        self._janitor = (
            Janitor(
                engine,
                executor_id,
                workflow=WORKFLOW,
                queue=QUEUE,
                beat_every=beat_every,
                dead_after=dead_after,
            )
            if shared
            else None
        )
        DBOS.launch()
        # One host may hold a few more runs than slots, so that a slot never idles between two
        # looks at the queue; with many hosts that would keep work from a free one.
        ahead = 0 if shared else slots
        DBOS.register_queue(QUEUE, worker_concurrency=slots + ahead, polling_interval_sec=POLL)
        self._client = DBOSClient(system_database_engine=engine, application_name=APPLICATION)
        if self._janitor:
            self._janitor.start()

    def _convert_workflow(self) -> Callable[[str], None]:
        def convert(job_id: str) -> None:
            if job_id in self._direct:
                self._direct.discard(job_id)
            else:
                self._slots.acquire()
            try:
                self._run(job_id, _checkpoint)
            finally:
                self._slots.release()

        return convert

    def reserve(self) -> bool:
        return self._slots.acquire(blocking=False)

    def release(self) -> None:
        self._slots.release()

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
        self._client.enqueue_in_transaction(
            transaction,
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": job.id,
                "app_version": VERSION,
            },
            job.id,
        )

    def adopt(self, job: Job) -> bool:
        known = DBOS.list_workflows(workflow_ids=[job.id], load_input=False, load_output=False)
        if known:
            return known[0].status in _LIVE
        with self._engine.begin() as transaction:
            self.put(transaction, job)
        return True

    def forget(self, *, before: float) -> None:
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=FORGET,
            load_input=False,
            load_output=False,
        )
        if ended:
            DBOS.delete_workflows([run.workflow_id for run in ended])

    def close(self) -> None:
        if self._janitor:
            self._janitor.close()
        self._client.destroy()
        DBOS.destroy(destroy_registry=True)


def _checkpoint(name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return DBOS.run_step({"name": name}, step)


class Lock:
    """Keeps a second process from running workflows on the same SQLite database: two of them
    would not see each other's concurrency."""

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
