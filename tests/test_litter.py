"""What nobody owns is removed, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from filemill.blobs import DiskBlobs
from filemill.jobs.database import Database
from filemill.jobs.jobs import Jobs
from filemill.jobs.uploads import Uploads
from filemill.litter import Litter
from jobs.test_jobs import a_job
from jobs.test_uploads import an_upload


def test_expired_uploads_and_orphans(tmp_path: Path, database_url: str) -> None:
    database = Database(database_url)
    jobs, uploads, blobs = Jobs(database), Uploads(database), DiskBlobs(tmp_path / "blobs")
    litter = Litter(jobs, uploads, blobs)
    now = time.time()
    with jobs.transaction() as transaction:
        jobs.insert(transaction, a_job("job_owned"))
    uploads.insert(replace(an_upload("upl_owned"), expires_at=now + 60))
    uploads.insert(replace(an_upload("upl_expired"), expires_at=now - 1))
    names = ["jobs/job_owned", "jobs/job_orphan", "uploads/upl_owned", "uploads/upl_orphan"]
    for name in [*names, "uploads/upl_expired"]:
        asyncio.run(blobs.write(f"{name}/in", _some()))

    def left() -> list[str]:
        return sorted(f"{p.parent.name}/{p.name}" for p in (tmp_path / "blobs").glob("*/*"))

    litter.sweep()
    assert left() == sorted(names)
    assert uploads.get("upl_expired") is None
    litter.sweep_orphans()
    assert left() == sorted(names), "they may just be arriving"
    litter.sweep_orphans(settled=-60)
    assert left() == ["jobs/job_owned", "uploads/upl_owned"]
    database.close()


async def _some() -> AsyncIterator[bytes]:
    yield b"some"
