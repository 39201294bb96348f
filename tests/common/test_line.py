"""The way of the data, end to end within one process: real stores, the simulator on a real socket."""

from common import line
from common.core.models import Function, Purpose
from common.core.outcomes import Outcome
from common.provider import Permit
from common.resources import Resources
from common.store import feed, quotes
from common.store import line as rows
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
