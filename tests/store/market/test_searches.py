"""Answers of the provider's search, by source and query."""

from datetime import timedelta
from decimal import Decimal

import asyncpg

from common.core.models import Match
from common.store.connection.pool import acquire
from common.store.market import searches
from common.store.market.searches import Search
from tests.store.conftest import START, Clock

OURS, OTHER = "simulated", "alphavantage"
TESCO = Match("TSCO.LON", 'Tesco "PLC" é', "Equity", "United Kingdom", "GBX", Decimal("0.7273"))
LATER = START + timedelta(hours=1)


async def test_an_answer_is_read_as_it_was_written(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OURS, "TESCO", [TESCO, TESCO], START)

        assert Search((TESCO, TESCO), START) == await searches.select_search(connection, OURS, "TESCO")


async def test_what_was_never_asked_has_no_answer_and_what_found_nothing_an_empty_one(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OURS, "NOTHING", [], START)

        assert await searches.select_search(connection, OURS, "TESCO") is None
        assert Search((), START) == await searches.select_search(connection, OURS, "NOTHING")


async def test_a_new_answer_takes_the_place_of_the_old(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OURS, "TESCO", [TESCO], START)
        await searches.upsert_search(connection, OURS, "TESCO", [], LATER)

        assert Search((), LATER) == await searches.select_search(connection, OURS, "TESCO")


async def test_answers_of_another_source_are_not_served(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OTHER, "TESCO", [TESCO], START)

        assert await searches.select_search(connection, OURS, "TESCO") is None


async def test_a_refusal_prolongs_what_was_found_and_else_finds_nothing(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OURS, "TESCO", [TESCO], START)
        await searches.upsert_search_refused(connection, OURS, "TESCO", LATER)
        await searches.upsert_search_refused(connection, OURS, "NOTHING", LATER)

        assert Search((TESCO,), LATER) == await searches.select_search(connection, OURS, "TESCO")
        assert Search((), LATER) == await searches.select_search(connection, OURS, "NOTHING")


async def test_old_answers_are_forgotten(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await searches.upsert_search(connection, OURS, "OLD", [TESCO], START)
        await searches.upsert_search(connection, OURS, "YOUNG", [TESCO], LATER)
        clock.set(LATER + timedelta(minutes=30))

        assert 1 == await searches.delete_old_searches(connection, keep=timedelta(hours=1))
        assert await searches.select_search(connection, OURS, "OLD") is None
        assert Search((TESCO,), LATER) == await searches.select_search(connection, OURS, "YOUNG")
