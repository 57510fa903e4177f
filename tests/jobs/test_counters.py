"""Rate limits on one database, SQLite and PostgreSQL: hosts that share it never let too many by."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from filemill.jobs.counters import Counters
from filemill.jobs.database import Database
from filemill.ratelimit import Limiter, Rate


def test_counts_by_subject_and_window(database: Database) -> None:
    counters = Counters(database)
    assert counters.take("a", 0, 60, 5) == 5
    assert counters.take("a", 0, 60, 1) == 6
    assert counters.take("b", 0, 60, 1) == 1
    assert counters.take("a", 60, 120, 1) == 1
    counters.forget(before=61)
    assert counters.take("a", 0, 60, 1) == 1
    assert counters.take("a", 60, 120, 1) == 2


def test_takes_at_once_are_all_counted(database: Database) -> None:
    counters = Counters(database)
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda _: counters.take("a", 0, 60, 1), range(80)))
    assert sorted(sums) == list(range(1, 81))


@pytest.mark.parametrize("limit", [1, 3, 10, 95, 1000])
def test_three_hosts_let_exactly_the_limit_by(database: Database, limit: int) -> None:
    async def host(limiter: Limiter) -> list[Rate]:
        return await asyncio.gather(*(limiter.spend("key", limit, now=30.0) for _ in range(limit)))

    async def all_hosts() -> list[Rate]:
        hosts = [Limiter(Counters(database)) for _ in range(3)]
        return [rate for rates in await asyncio.gather(*map(host, hosts)) for rate in rates]

    rates = asyncio.run(all_hosts())
    assert len(rates) == 3 * limit
    assert sum(rate.allowed for rate in rates) == limit
    assert {rate.reset for rate in rates} == {60}


def test_one_host_counts_down_to_zero_and_starts_again(database: Database) -> None:
    async def run() -> tuple[list[Rate], Rate]:
        limiter = Limiter(Counters(database))
        rates = [await limiter.spend("key", 25, now=59.9) for _ in range(26)]
        return rates, await limiter.spend("key", 25, now=60.0)

    rates, later = asyncio.run(run())
    assert [rate.remaining for rate in rates] == [*range(24, -1, -1), 0]
    assert [rate.allowed for rate in rates] == [True] * 25 + [False]
    assert later == Rate(25, 24, 120)


def test_a_restart_does_not_give_the_window_anew(database: Database) -> None:
    async def run() -> int:
        allowed = 0
        for _ in range(5):
            limiter = Limiter(Counters(database))
            for _ in range(8):
                allowed += (await limiter.spend("key", 20, now=1.0)).allowed
        return allowed

    assert asyncio.run(run()) <= 20
