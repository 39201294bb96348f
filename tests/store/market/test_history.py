"""Collected quotes: thinned once, forgotten by an index, in batches."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest

from common.core.models import Price, Quote
from common.store.budget import ledger
from common.store.connection.pool import Connection, acquire
from common.store.market import history
from common.store.market.history import Thinned
from tests.harness.database import create_next, drop
from tests.store.conftest import START, Clock

SOURCE, OTHER = "simulated", "alphavantage"
MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=7)
MANY = 10_000


def quote(at: datetime, *, symbol: str = "IBM", source: str = SOURCE, day: date | None = None) -> Quote:
    return Quote(Price(symbol, Decimal(10), day or START.date(), volume=7), source, at)


async def collect(db: asyncpg.Pool, *quotes: Quote, gap: timedelta = timedelta()) -> None:
    async with acquire(db) as connection:
        await history.insert_history(connection, quotes, gap=gap)


async def collected(db: asyncpg.Pool) -> list[tuple[str, timedelta]]:
    """Symbols and when they were fetched, from START on."""
    async with acquire(db) as connection:
        rows = await connection.fetch("SELECT symbol, fetched_at FROM quote_history ORDER BY symbol, fetched_at")
    return [(row["symbol"], row["fetched_at"] - START) for row in rows]


async def thin(db: asyncpg.Pool, *, most: int = MANY) -> Thinned:
    async with acquire(db) as connection:
        return await history.thin_history(connection, age=WEEK, most=most)


async def test_a_quote_within_the_gap_after_the_last_one_is_not_collected(db: asyncpg.Pool) -> None:
    for seconds in (0, 59, 60, 119, 121):
        await collect(db, quote(START + timedelta(seconds=seconds)), gap=MINUTE)

    assert [("IBM", timedelta(seconds=seconds)) for seconds in (0, 60, 121)] == await collected(db)


async def test_the_gap_is_a_symbols_and_a_sources_own(db: asyncpg.Pool) -> None:
    await collect(db, quote(START), gap=MINUTE)
    await collect(db, quote(START + MINUTE / 2, symbol="AAPL"), quote(START + MINUTE / 2, source=OTHER), gap=MINUTE)

    assert [("AAPL", MINUTE / 2), ("IBM", timedelta()), ("IBM", MINUTE / 2)] == await collected(db)


async def test_without_a_gap_and_after_a_step_back_of_the_clock_all_are_collected(db: asyncpg.Pool) -> None:
    await collect(db, quote(START), quote(START + timedelta(microseconds=1)))
    await collect(db, quote(START - HOUR), gap=MINUTE)

    assert 3 == len(await collected(db))


async def test_of_each_hour_that_is_older_than_a_week_the_last_quote_stays(db: asyncpg.Pool, clock: Clock) -> None:
    await collect(db, *(quote(START + n * 20 * MINUTE) for n in range(6)))
    await collect(db, quote(START + 5 * MINUTE, symbol="AAPL"))
    clock.set(START + WEEK + 2 * HOUR)

    thinned = await thin(db)

    assert Thinned(read=7, deleted=4) == thinned
    assert [("AAPL", 5 * MINUTE), ("IBM", 40 * MINUTE), ("IBM", 100 * MINUTE)] == await collected(db)


async def test_the_last_quote_of_a_trading_day_stays_though_the_hour_has_a_later_one(
    db: asyncpg.Pool, clock: Clock
) -> None:
    yesterday = START.date() - DAY
    await collect(db, *(quote(START + n * MINUTE, day=yesterday) for n in range(3)))
    await collect(db, *(quote(START + n * MINUTE) for n in range(3, 6)))
    clock.set(START + WEEK + HOUR)

    await thin(db)

    assert [("IBM", 2 * MINUTE), ("IBM", 5 * MINUTE)] == await collected(db)


async def test_one_sources_quotes_do_not_thin_anothers(db: asyncpg.Pool, clock: Clock) -> None:
    await collect(db, quote(START), quote(START + MINUTE, source=OTHER))
    clock.set(START + WEEK + HOUR)

    assert Thinned(read=2, deleted=0) == await thin(db)


async def test_what_is_younger_than_a_week_stays_until_it_is_older(db: asyncpg.Pool, clock: Clock) -> None:
    await collect(db, *(quote(START + n * MINUTE) for n in range(3)))

    clock.set(START + WEEK)
    assert Thinned(read=0, deleted=0) == await thin(db)

    clock.set(START + WEEK + HOUR)
    assert Thinned(read=3, deleted=2) == await thin(db)


async def test_a_row_is_read_once_and_rows_of_one_moment_in_one_batch(db: asyncpg.Pool, clock: Clock) -> None:
    await collect(db, *(quote(START + n * MINUTE, symbol=f"S{m}") for n in range(2) for m in range(5)))
    clock.set(START + WEEK + HOUR)

    batches = [await thin(db, most=3) for _ in range(3)]

    assert [Thinned(5, 5), Thinned(5, 0), Thinned(0, 0)] == batches


async def test_two_that_thin_at_once_do_the_work_once(db: asyncpg.Pool, clock: Clock) -> None:
    await collect(db, *(quote(START + n * MINUTE) for n in range(3)))
    clock.set(START + WEEK + HOUR)

    async with acquire(db) as connection, connection.transaction():
        first = await history.thin_history(connection, age=WEEK, most=MANY)
        second = await thin(db)

    assert (Thinned(3, 2), Thinned(0, 0)) == (first, second)
    assert Thinned(0, 0) == await thin(db)


class Explained:
    """A connection that notes the plan of each statement before it runs it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.scans: list[tuple[str, str]] = []

    async def execute(self, statement: str, *arguments: object) -> Any:
        await self._note(statement, arguments)
        return await self.connection.execute(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: object) -> Any:
        await self._note(statement, arguments)
        return await self.connection.fetchrow(statement, *arguments)

    async def _note(self, statement: str, arguments: Sequence[object]) -> None:
        plan = await self.connection.fetchval("EXPLAIN (FORMAT JSON) " + statement, *arguments)
        self._note_scans(json.loads(plan)[0]["Plan"])

    def _note_scans(self, node: dict[str, Any]) -> None:
        if "Relation Name" in node and node["Node Type"] != "ModifyTable":
            bounded = "Index Cond" in node  # else an index only gives the order
            self.scans.append((node["Relation Name"], node["Index Name"] if bounded else node["Node Type"]))
        for child in node.get("Plans", ()):
            self._note_scans(child)


FILL = """
INSERT INTO quote_history
SELECT 'S' || mod(n, 100), at, 'simulated', 10, 7, %(start)s::timestamptz::date
FROM generate_series(1, 200000) AS n, LATERAL (SELECT %(start)s::timestamptz + n * interval '20 s' AS at) AS moment
"""
FILL_CALLS = """
INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
SELECT 'a', 'GLOBAL_QUOTE', ARRAY['IBM'], 'refresh', at, at + interval '1 s', 'ok', 'test'
FROM generate_series(1, 200000) AS n, LATERAL (SELECT %(start)s::timestamptz + n * interval '20 s' AS at) AS moment
"""


@pytest.fixture(scope="module")
def filled_url(store_urls: dict[str, str]) -> Iterator[str]:
    """A database with 46 days of calls and of quotes, the last one just now."""
    server = store_urls["DATABASE_URL"]
    url = create_next(server)
    with psycopg.connect(url, autocommit=True) as connection:
        Clock(connection).pass_(200_001 * timedelta(seconds=20))
        connection.execute(FILL, {"start": START})
        connection.execute(FILL_CALLS, {"start": START})
        connection.execute("ANALYZE quote_history, calls")
    yield url
    drop(server, url)


@pytest.fixture
async def explained(filled_url: str) -> AsyncIterator[Explained]:
    """In a transaction that is rolled back."""
    async with asyncpg.create_pool(filled_url, min_size=1, max_size=1) as pool, acquire(pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield Explained(connection)
        await transaction.rollback()


async def test_old_calls_are_found_by_an_index(explained: Explained) -> None:
    assert 1000 == await ledger.delete_old_calls(explained, keep=30 * DAY, most=1000)

    assert {("calls", "calls_granted"), ("calls", "calls_pkey")} == set(explained.scans)


async def test_old_quotes_are_found_by_an_index(explained: Explained) -> None:
    assert 1000 == await history.delete_old_history(explained, keep=30 * DAY, most=1000)

    assert {("quote_history", "quote_history_times"), ("quote_history", "Tid Scan")} == set(explained.scans)


async def test_quotes_to_be_thinned_are_found_by_an_index(explained: Explained) -> None:
    assert Thinned(1000, 0) != await history.thin_history(explained, age=WEEK, most=1000)

    assert {
        ("quote_history", "quote_history_times"),
        ("quote_history", "quote_history_pkey"),
        ("quote_history", "Tid Scan"),
        ("history_thinning", "Seq Scan"),
    } == set(explained.scans)


async def test_the_last_quote_of_a_symbol_is_found_by_an_index(explained: Explained) -> None:
    await history.insert_history(explained, [quote(START + n * MINUTE, symbol="S1") for n in range(100)], gap=MINUTE)

    assert {("quote_history", "quote_history_pkey")} == set(explained.scans)
