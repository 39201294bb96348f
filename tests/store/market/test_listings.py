"""The listing: replaced as a whole, refused when it is broken, and due once a week."""

from datetime import date, timedelta

import asyncpg
import pytest

from common.core.models import CallClass, Function, Listed
from common.core.provider.outcomes import Outcome
from common.store.budget import ledger, queue
from common.store.connection.pool import acquire
from common.store.market import listings
from common.store.market.listings import ListingState
from tests.store.budget.test_grants import budget, pace
from tests.store.conftest import START, Clock

OURS, OTHER = "simulated", "alphavantage"
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


def row(symbol: str, name: str = "A name", listed_on: date | None = None) -> Listed:
    return Listed(symbol, name, "NYSE", "Stock", listed_on)


def rows(count: int) -> list[Listed]:
    return [row(f"S{number:03}") for number in range(count)]


async def replace(
    db: asyncpg.Pool, listed: list[Listed], *, source: str = OURS, after: timedelta = timedelta()
) -> bool:
    async with acquire(db) as connection:
        return await listings.replace_listing(connection, source, listed, START + after)


async def test_a_listing_is_read_as_it_was_written(db: asyncpg.Pool) -> None:
    listed = [row("A", "Agilent", date(1999, 11, 18)), row("BRK-B", "Berkshire, Inc. Class B")]

    assert await replace(db, listed)

    async with acquire(db) as connection:
        assert listed == await listings.select_listing(connection, OURS)
        assert ListingState(START, 2) == await listings.select_listing_state(connection, OURS)


async def test_a_new_listing_changes_adds_and_removes(db: asyncpg.Pool) -> None:
    await replace(db, [row("GONE"), row("RENAMED", "Before"), row("SAME")])

    assert await replace(db, [row("NEW"), row("RENAMED", "After"), row("SAME")], after=WEEK)

    async with acquire(db) as connection:
        assert [row("NEW"), row("RENAMED", "After"), row("SAME")] == await listings.select_listing(connection, OURS)
        assert ListingState(START + WEEK, 3) == await listings.select_listing_state(connection, OURS)


@pytest.mark.parametrize(("count", "taken"), [(10, False), (1, False), (11, True), (20, True), (40, True)])
async def test_a_listing_that_shrinks_by_half_or_more_is_refused(db: asyncpg.Pool, count: int, taken: bool) -> None:
    await replace(db, rows(20))

    assert taken == await replace(db, rows(count), after=WEEK)

    async with acquire(db) as connection:
        assert rows(count if taken else 20) == await listings.select_listing(connection, OURS)
        state = await listings.select_listing_state(connection, OURS)
    assert (ListingState(START + WEEK, count) if taken else ListingState(START, 20)) == state


async def test_a_symbol_that_is_listed_twice_is_kept_once(db: asyncpg.Pool) -> None:
    assert await replace(db, [row("A", "First"), row("A", "Last")])

    async with acquire(db) as connection:
        assert [row("A", "Last")] == await listings.select_listing(connection, OURS)
        assert ListingState(START, 1) == await listings.select_listing_state(connection, OURS)


async def test_sources_have_listings_of_their_own(db: asyncpg.Pool) -> None:
    await replace(db, rows(20))
    await replace(db, [row("A")], source=OTHER)

    async with acquire(db) as connection:
        assert rows(20) == await listings.select_listing(connection, OURS)
        assert [row("A")] == await listings.select_listing(connection, OTHER)


async def test_where_no_listing_came_there_is_none(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        assert [] == await listings.select_listing(connection, OURS)
        assert await listings.select_listing_state(connection, OURS) is None


async def due(db: asyncpg.Pool, *, account: str = "a", source: str = OURS) -> bool:
    async with acquire(db) as connection:
        return await listings.select_listing_due(connection, account, source)


async def call(db: asyncpg.Pool, outcome: Outcome | None) -> None:
    """Insert a call for the listing with its outcome; None: unsettled."""
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(), Function.LISTING, [listings.SUBJECT], CallClass.REFRESH, ttl=HOUR)
        _, grant = await ledger.grant_call(connection, budget("100/1min"), pace())
        assert isinstance(grant, ledger.Grant)
        if outcome is not None:
            await ledger.update_call(connection, grant.id, outcome)


async def test_a_listing_is_due_when_it_is_missing_and_when_it_is_a_week_old(db: asyncpg.Pool, clock: Clock) -> None:
    assert await due(db)
    await replace(db, rows(2))
    assert not await due(db)
    assert await due(db, source=OTHER)

    clock.pass_(WEEK - timedelta(seconds=1))
    assert not await due(db)
    clock.pass_(1)
    assert await due(db)


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.OK, None])
async def test_a_call_that_brought_no_listing_is_not_repeated_within_the_hour(
    db: asyncpg.Pool, clock: Clock, outcome: Outcome | None
) -> None:
    await call(db, outcome)

    clock.pass_(HOUR - timedelta(seconds=1))
    assert not await due(db)
    assert await due(db, account="b")
    clock.pass_(1)
    assert await due(db)


async def test_a_call_that_never_left_is_no_call_for_the_listing(db: asyncpg.Pool, clock: Clock) -> None:
    await call(db, Outcome.UNSENT)

    assert await due(db)


async def test_of_some_symbols_those_that_are_listed_are_known(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        before = await listings.select_known(connection, OURS, ["BRK-B"])
        await listings.replace_listing(connection, OURS, [row("BRK-B"), row("IBM")], START)
        known = await listings.select_known(connection, OURS, ["BRK-B", "BRK/B"])
        none = await listings.select_known(connection, OURS, [])
        others = await listings.select_known(connection, OTHER, ["BRK-B"])

    assert (None, frozenset({"BRK-B"}), frozenset(), None) == (before, known, none, others)
