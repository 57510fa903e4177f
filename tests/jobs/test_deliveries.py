"""The ledger of webhooks, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

from filemill.jobs.database import Database
from filemill.jobs.deliveries import Deliveries
from filemill.jobs.jobs import Jobs
from filemill.model import Attempt, Delivery, DeliveryState
from jobs.test_jobs import a_job, add

PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED


def a_delivery(id: str, next_at: float) -> Delivery:
    return Delivery(id, "job_1", "key_1", "job.completed", "http://a/", 1.0, next_at=next_at)


def test_overdue_ones_are_postponed_once(database: Database) -> None:
    add(Jobs(database), a_job())
    deliveries = Deliveries(database)
    now = 1_796_000_000.123456
    new, old, ended = a_delivery("new", now), a_delivery("old", now - 9), a_delivery("ended", now)
    with database.transaction() as transaction:
        for delivery in (new, old, ended):
            deliveries.insert(transaction, delivery)
        assert deliveries.record(transaction, "ended", Attempt(0, 1.0, 0.1, 204), DELIVERED, None)
    assert deliveries.overdue(before=now) == [old]
    assert deliveries.overdue(before=now + 1) == [old, new]
    for happens in (True, False):  # another host was as quick
        with database.transaction() as transaction:
            assert deliveries.postpone(transaction, old, now) is happens
    assert deliveries.overdue(before=now) == []
    assert deliveries.get("old") == replace(old, next_at=now)
    with database.transaction() as transaction:
        assert not deliveries.postpone(transaction, ended, now)


def test_an_attempt_that_is_made_twice_is_recorded_once(database: Database) -> None:
    add(Jobs(database), a_job())
    deliveries = Deliveries(database)
    with database.transaction() as transaction:
        deliveries.insert(transaction, a_delivery("dlv", 1.0))
    for status, recorded in ((500, True), (204, False)):
        attempt = Attempt(0, 1.0, 0.1, status)
        with database.transaction() as transaction:
            assert deliveries.record(transaction, "dlv", attempt, PENDING, 31.0) is recorded
    ((delivery, attempts),) = deliveries.of_job("job_1")
    assert (delivery.attempts, delivery.next_at) == (1, 31.0)
    assert [attempt.status for attempt in attempts] == [500]
