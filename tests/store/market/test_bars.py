"""A symbol's history: bars of one source, when they were fetched, and pages of collected quotes."""

from datetime import date, timedelta
from decimal import Decimal

import asyncpg
import pytest

from common.core.models import Bar, Price, Quote
from common.store.connection.pool import acquire
from common.store.market import bars, history
from common.store.market.bars import Collected
from tests.store.conftest import START, Clock

OURS, OTHER = "simulated", "alphavantage"
MINUTE = timedelta(minutes=1)


def bar(day: int, close: str = "10.5", volume: int | None = 7) -> Bar:
    return Bar(date(2026, 3, day), Decimal(10), Decimal(11), Decimal("9.25"), Decimal(close), volume)


async def keep(db: asyncpg.Pool, *kept: Bar, source: str = OURS, symbol: str = "AAPL") -> None:
    async with acquire(db) as connection:
        await bars.upsert_bars(connection, source, symbol, kept)


async def held_bars(db: asyncpg.Pool, *, source: str = OURS, symbol: str = "AAPL", most: int = 100) -> list[Bar]:
    async with acquire(db) as connection:
        return await bars.select_bars(connection, source, symbol, most=most)


async def test_the_newest_bars_are_read_oldest_first(db: asyncpg.Pool) -> None:
    await keep(db, bar(3), bar(2), bar(5, volume=None), bar(4))

    assert [bar(4), bar(5, volume=None)] == await held_bars(db, most=2)
    assert [2, 3, 4, 5] == [one.day.day for one in await held_bars(db)]


async def test_a_partial_day_becomes_the_whole_one_and_other_days_stay(db: asyncpg.Pool) -> None:
    await keep(db, bar(2), bar(3, "10.1", volume=None))

    await keep(db, bar(3, "10.9", volume=9), bar(4))

    assert [bar(2), bar(3, "10.9", volume=9), bar(4)] == await held_bars(db)


async def test_bars_of_another_source_or_symbol_are_not_served(db: asyncpg.Pool) -> None:
    await keep(db, bar(2, "10.2"))
    await keep(db, bar(2, "10.3"), bar(3), source=OTHER)
    await keep(db, bar(2, "10.4"), symbol="MSFT")

    assert [bar(2, "10.2")] == await held_bars(db)
    assert [bar(2, "10.3"), bar(3)] == await held_bars(db, source=OTHER)


async def test_a_symbol_whose_bars_nobody_asked_for_was_neither_fetched_nor_refused(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        assert await bars.select_bars_fetched(connection, OURS, "AAPL") is None
        assert not await bars.select_bars_refused(connection, OURS, "AAPL")


async def test_a_fetch_is_remembered_by_source(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await bars.upsert_bars_fetched(connection, OURS, "AAPL", clock.now)

        assert START == await bars.select_bars_fetched(connection, OURS, "AAPL")
        assert await bars.select_bars_fetched(connection, OTHER, "AAPL") is None


async def test_a_refusal_is_remembered_for_an_hour(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await bars.upsert_bars_refused(connection, OURS, "NOSUCH", clock.now)

        clock.pass_(timedelta(minutes=59))
        assert await bars.select_bars_refused(connection, OURS, "NOSUCH")
        assert not await bars.select_bars_refused(connection, OTHER, "NOSUCH")
        clock.pass_(MINUTE)
        assert not await bars.select_bars_refused(connection, OURS, "NOSUCH")


async def test_a_refusal_leaves_the_time_of_the_bars_and_bars_end_a_refusal(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await bars.upsert_bars_fetched(connection, OURS, "AAPL", START)
        await bars.upsert_bars_refused(connection, OURS, "AAPL", START + MINUTE)

        assert START == await bars.select_bars_fetched(connection, OURS, "AAPL")
        assert await bars.select_bars_refused(connection, OURS, "AAPL")
        await bars.upsert_bars_fetched(connection, OURS, "AAPL", START + 2 * MINUTE)
        assert not await bars.select_bars_refused(connection, OURS, "AAPL")


async def test_charts_that_nobody_asked_for_are_forgotten(db: asyncpg.Pool, clock: Clock) -> None:
    day = timedelta(days=1)
    async with acquire(db) as connection:
        for symbol in ("OLD", "YOUNG"):
            await bars.upsert_bars(connection, OURS, symbol, [bar(2)])
        await bars.upsert_bars_fetched(connection, OURS, "OLD", START)
        await bars.upsert_bars_refused(connection, OURS, "NOSUCH", START)
        clock.pass_(31 * day)
        await bars.upsert_bars_fetched(connection, OURS, "YOUNG", clock.now)

        assert 2 == await bars.delete_old_bars(connection, keep=30 * day)
        assert [] == await bars.select_bars(connection, OURS, "OLD", most=1)
        assert await bars.select_bars_fetched(connection, OURS, "OLD") is None
        assert [bar(2)] == await bars.select_bars(connection, OURS, "YOUNG", most=1)


async def collect(db: asyncpg.Pool, minutes: int, *, source: str = OURS, symbol: str = "AAPL") -> Collected:
    """A quote fetched some minutes after the start; its price is that number."""
    price, at = Price(symbol, Decimal(minutes), START.date(), volume=minutes * 10), START + minutes * MINUTE
    async with acquire(db) as connection:
        await history.insert_history(connection, [Quote(price, source, at)])
    return Collected(at, price.price, price.volume, price.trading_day)


async def test_collected_quotes_are_read_by_the_page_each_once(db: asyncpg.Pool) -> None:
    collected = [await collect(db, minutes) for minutes in (1, 2, 3, 4, 5)]

    async with acquire(db) as connection:
        first = await bars.select_history(connection, OURS, "AAPL", most=2)
        second = await bars.select_history(connection, OURS, "AAPL", after=first[-1].fetched_at, most=2)
        third = await bars.select_history(connection, OURS, "AAPL", after=second[-1].fetched_at, most=2)

    assert [collected[:2], collected[2:4], collected[4:]] == [first, second, third]


@pytest.mark.parametrize(
    ("since", "until", "after", "expected"),
    [
        (None, None, None, [1, 2, 3, 4]),
        (2, None, None, [2, 3, 4]),
        (None, 3, None, [1, 2]),
        (2, 4, None, [2, 3]),
        (2, 4, 2, [3]),
        (3, None, 1, [3, 4]),
        (3, 3, None, []),
    ],
)
async def test_a_page_keeps_within_its_bounds(
    db: asyncpg.Pool, since: int | None, until: int | None, after: int | None, expected: list[int]
) -> None:
    for minutes in (1, 2, 3, 4):
        await collect(db, minutes)
    bounds = [None if minutes is None else START + minutes * MINUTE for minutes in (since, until, after)]

    async with acquire(db) as connection:
        page = await bars.select_history(
            connection, OURS, "AAPL", since=bounds[0], until=bounds[1], after=bounds[2], most=100
        )

    assert expected == [int(one.price) for one in page]


async def test_what_another_source_said_is_no_part_of_the_history(db: asyncpg.Pool) -> None:
    ours = await collect(db, 1)
    await collect(db, 2, source=OTHER)
    await collect(db, 3, symbol="MSFT")

    async with acquire(db) as connection:
        assert [ours] == await bars.select_history(connection, OURS, "AAPL", most=100)
