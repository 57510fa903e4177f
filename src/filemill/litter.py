"""Cleaning up what nobody owns: uploads that were never finished, files without a row. Core."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from filemill.ports.blobs import Blobs
from filemill.ports.jobs import Jobs
from filemill.ports.uploads import Incomings

log = logging.getLogger(__name__)

SETTLED = 3600.0
"""Seconds without a change after which a file without a row is not one that is just arriving."""


@dataclass(frozen=True, slots=True)
class Litter:
    jobs: Jobs
    rows: Incomings
    blobs: Blobs

    def sweep(self) -> None:
        """Remove uploads whose time is up. Safe to run on many hosts at once."""
        for upload_id in self.rows.expired(now=time.time()):
            self.blobs.delete(f"uploads/{upload_id}")
            self.rows.remove(upload_id)  # last: a crash before it leaves something to come back for

    def sweep_orphans(self, *, settled: float = SETTLED) -> None:
        """Remove what a crash left between a file and its row. Reads the names of all files."""
        before = time.time() - settled
        for kind, on_record in (
            ("jobs", lambda ids: self.jobs.versions(ids).keys()),
            ("uploads", self.rows.existing),
        ):
            idle = self.blobs.idle(kind, before=before)
            for start in range(0, len(idle), 500):
                some = idle[start : start + 500]
                for orphan in set(some) - on_record(some):
                    log.info("removing %s/%s: nothing on record owns it", kind, orphan)
                    self.blobs.delete(f"{kind}/{orphan}")
