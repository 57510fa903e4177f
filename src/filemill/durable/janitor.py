"""Hosts that died: the runs they had go back to the queue.

DBOS does not notice that an executor is gone. Each one writes the time into a table
again and again; a run whose executor has been silent for too long is put on the queue
for whoever has a free slot. For databases that hosts share (PostgreSQL). A host that was
only cut off loses its runs too: DBOS and the job's attempt token then refuse what it writes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.dialects.postgresql import insert

log = logging.getLogger(__name__)

_EXECUTORS = sa.Table(
    "executors",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)
_NOW = sa.extract("epoch", sa.func.clock_timestamp()).cast(sa.Double)
"""By the database's clock: those of the hosts may differ."""
_LOCK = 0x6A616E69746F7221
"""Key of the advisory lock of those who make the table or bury the dead: "janitor!" in ASCII."""


class Janitor:
    def __init__(
        self,
        engine: sa.Engine,
        executor_id: str,
        *,
        queues: Mapping[str, str],
        beat_every: float,
        dead_after: float,
    ) -> None:
        """Says that this executor lives. `queues`: where the runs of each workflow go."""
        self._engine = engine
        self._executor_id = executor_id
        self._queues = queues
        self._beat_every = beat_every
        self._dead_after = dead_after
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)
        with engine.begin() as transaction:
            transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            _EXECUTORS.create(transaction, checkfirst=True)
        self.beat()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def beat(self) -> None:
        row = insert(_EXECUTORS).values(id=self._executor_id, seen_at=_NOW)
        with self._engine.begin() as transaction:
            transaction.execute(
                row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": _NOW})
            )

    def bury(self) -> list[str]:
        """Put the runs of dead executors on the queue. Gives their ids."""
        silent = _EXECUTORS.c.seen_at < _NOW - self._dead_after
        with self._engine.begin() as transaction:
            # One host at a time, or a run that was just taken up again would be taken once more.
            mine = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
            if not transaction.execute(mine).scalar():
                return []
            transaction.execute(_EXECUTORS.delete().where(silent))
            runs = DBOS.list_workflows(
                status="PENDING", name=list(self._queues), load_input=False, load_output=False
            )
            # Asked last: an executor that has a run said that it lives before it took it.
            living = set(transaction.execute(sa.select(_EXECUTORS.c.id)).scalars())
            lost = [run for run in runs if run.executor_id not in living]
            for name, queue in self._queues.items():
                if ids := [run.workflow_id for run in lost if run.name == name]:
                    log.warning("%d of hosts that are gone go back to %s", len(ids), queue)
                    DBOS.resume_workflows(ids, queue_name=queue)
        return [run.workflow_id for run in lost]

    def _work(self) -> None:
        while not self._closed.wait(self._beat_every):
            try:
                self.beat()
                self.bury()
            except Exception:
                log.exception("a round of the janitor failed; the next one may do better")
