"""The way of the data, end to end within one process: real stores, the simulator on a real socket."""

from datetime import timedelta

import pytest

from common import line
from common.core.models import Function, Purpose
from common.core.outcomes import Hold, Outcome
from common.provider import Permit
from common.resources import Resources
from common.store import feed, ledger, quotes
from common.store import line as rows
from common.store.ledger import Wait
from common.store.pool import connection


async def join(resources: Resources, *subjects: str, purpose: Purpose = Purpose.INTERACTIVE) -> None:
    async with connection(resources.db) as held:
        stay = rows.INTERACTIVE_STAY
        assert "joined" == await rows.join_line(held, Function.QUOTE, subjects, purpose, stay=stay)


async def serve_one(resources: Resources) -> Outcome:
    permit = await line.ask(resources)
    assert isinstance(permit, Permit)
    return await line.carry_out(resources, permit)


async def test_a_wanted_symbol_is_fetched_saved_published_and_settled(resources: Resources) -> None:
    await join(resources, "AAPL")

    outcome = await serve_one(resources)

    assert Outcome.OK == outcome
    async with connection(resources.db) as held:
        [saved] = await quotes.select_quotes(held, "simulated", ["AAPL"])
        assert 0 == await held.fetchval("SELECT count(*) FROM demand")
        assert "ok" == await held.fetchval("SELECT outcome FROM calls")
        assert await held.fetchval("SELECT published_at IS NOT NULL FROM quotes")
        assert 1 == await held.fetchval("SELECT count(*) FROM quote_history")
    assert [saved] == [quote for _, quote in await feed.select_published(resources.redis, "simulated", ["AAPL"])]


HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=2)


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        (line.JUMP, MINUTES),  # nobody holds so long for it: the clock was ahead, and is set right again
        (Outcome.THROTTLED_MINUTE, MINUTES),
        (Outcome.DAY_USED_UP, HOUR),
        ("operator", HOUR),
    ],
)
async def test_a_hold_from_before_a_step_back_of_the_clock_is_soon_over(
    resources: Resources, reason: str, left: timedelta
) -> None:
    async with connection(resources.db) as held:
        until = await ledger.select_now(held) + HOUR
        await ledger.upsert_hold(held, resources.ask.account, Hold(until, reason, probing=False))

    await line.ask(resources)
    told = await line.ask(resources)

    assert isinstance(told, Wait)
    assert told.wait is not None
    assert left - timedelta(minutes=1) < told.wait <= left
