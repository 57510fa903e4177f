"""A host for the tests: the real queue, runs that write down what they do. DBOS is one a
process, so each host is one.

    python host.py DATABASE_URL FOLDER EXECUTOR_ID SLOTS DEAD_AFTER

Takes commands as lines on its input and answers each with a line. A run does three steps;
the second waits as long as there is a file FOLDER/hold. As long as there is a file FOLDER/away
what is done ends as it does when the database does not answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from filemill.durable import DurableQueue, Lock
from filemill.durable import queue as module
from filemill.errors import FilemillError
from filemill.jobs.database import Database
from filemill.model import Blob, Delivery, Job, Plan, State
from filemill.ports.queue import Checkpoint

url, folder, executor_id, slots, dead_after = sys.argv[1:]
here = Path(folder)
diary = os.open(here / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(*words: object) -> None:
    os.write(diary, (" ".join(map(str, (executor_id, *words))) + "\n").encode())


def answer(said: object) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


def be_away() -> None:
    if (here / "away").exists():
        raise OperationalError("SELECT 1", {}, ConnectionError("it is away"))


def run(job_id: str, checkpoint: Checkpoint) -> None:
    note("begin", job_id)
    be_away()

    def step(number: int) -> Callable[[], dict[str, Any]]:
        def work() -> dict[str, Any]:
            note(f"step{number}", job_id)
            while number == 1 and (here / "hold").exists():
                time.sleep(0.02)
            time.sleep(0.005)
            return {"number": number}

        return work

    try:
        for number in range(3):
            assert checkpoint(f"{number}:x", step(number)) == {"number": number}
        note("end", job_id)
    finally:
        note("leave", job_id)


def job(job_id: str, attempt: str | None = None) -> Job:
    blob = Blob("x", 1, "00")
    plan = Plan("md", "txt", ())
    return Job(job_id, "k", State.QUEUED, plan, "a.md", blob, 1.0, 2.0, attempt=attempt)


def delivery(delivery_id: str, next_at: str) -> Delivery:
    return Delivery(delivery_id, "j", "k", "x", "http://a/", 1.0, next_at=float(next_at))


def obey(command: str, *ids: str) -> object:
    match command:
        case "put":
            with database.transaction() as transaction:
                for job_id in ids:
                    queue.put(transaction, job(job_id))
        case "rollback":
            with suppress(ZeroDivisionError), database.transaction() as transaction:
                for job_id in ids:
                    queue.put(transaction, job(job_id))
                raise ZeroDivisionError
        case "reserve":
            return queue.reserve()
        case "release":
            queue.release()
        case "start":
            queue.start(job(ids[0]))
        case "adopt":
            return queue.adopt(job(*ids))
        case "post":
            with database.transaction() as transaction:
                queue.post(transaction, delivery(*ids))
        case "under_way":
            return bool(queue.under_way([delivery(*ids)]))
        case "forget":
            queue.forget(before=time.time() - float(ids[0]))
    return "ok"


database = Database(url)
if database.is_sqlite:
    try:
        lock = Lock(here / "lock")
    except FilemillError as error:
        answer(f"refused: {error.message}")
        sys.exit(3)
module.FORGET = 2  # a batch of few
queue = DurableQueue(
    database.engine,
    slots=int(slots),
    executor_id=executor_id,
    dead_after=float(dead_after),
)


async def deliver(delivery_id: str, number: int) -> None:
    note("deliver", delivery_id)
    be_away()


def part(job_id: str, step: int, number: int) -> None:
    raise AssertionError("no parts here")


queue.begin(run, deliver, part)
answer("ready")
for line in sys.stdin:
    answer(obey(*line.split()))
queue.close()
os._exit(0)
