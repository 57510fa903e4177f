"""Waiting for jobs to change, however many wait. Core.

Changes made in this process are told at once; those of other hosts are found by
one query for all that anybody waits for, a few times a second. All that wait for
a job look at it together, once a change.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio.to_thread

from filemill.model import Job
from filemill.ports.jobs import Jobs

log = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at the database while anybody waits."""


class Watch:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._looks: dict[str, asyncio.Task[Job | None]] = {}
        """The last look at each job that somebody waits for, unless it changed since."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poller: asyncio.Task[None] | None = None

    def changed(self, job_id: str) -> None:
        """Tell that a job changed. From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_id)

    @contextmanager
    def of(self, job_id: str) -> Iterator[Callable[[float], Awaitable[bool]]]:
        """Gives a function that returns at the next change, or after so many seconds: then False.

        Look at the job only after entering: a change between two calls is not lost."""
        self._loop = asyncio.get_running_loop()
        if self._poller is None or self._poller.done():
            self._poller = self._loop.create_task(self._poll())
        event = asyncio.Event()

        async def changed(seconds: float) -> bool:
            try:
                async with asyncio.timeout(seconds):
                    await event.wait()
            except TimeoutError:
                return False
            event.clear()
            return True

        self._waiting[job_id].add(event)
        try:
            yield changed
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
                self._looks.pop(job_id, None)

    async def look(self, job_id: str) -> Job | None:
        """The job as it is now, to one that waits for it."""
        look = self._looks.get(job_id)
        if look is None:
            look = asyncio.create_task(anyio.to_thread.run_sync(self._jobs.get, job_id))
            self._looks[job_id] = look
        try:
            return await asyncio.shield(look)
        except Exception:
            if self._looks.get(job_id) is look:
                del self._looks[job_id]  # the next look may do better
            raise

    def _wake(self, job_id: str) -> None:
        self._looks.pop(job_id, None)
        for event in self._waiting.get(job_id, ()):
            event.set()

    async def _poll(self) -> None:
        await asyncio.sleep(0)  # whoever started this waits from now on
        seen: dict[str, tuple[str, int] | None] = {}
        while self._waiting:
            ids = list(self._waiting)
            try:
                now = await anyio.to_thread.run_sync(self._jobs.versions, ids)
            except Exception:
                log.exception("could not look for changes; the next look may do better")
                await asyncio.sleep(1)
                continue
            for job_id in ids:
                # One seen for the first time may have changed since its waiter looked at it.
                if job_id not in seen or seen[job_id] != now.get(job_id):
                    self._wake(job_id)
            seen = {job_id: now.get(job_id) for job_id in ids}
            await asyncio.sleep(POLL)
