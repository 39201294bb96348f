"""The way of the data, end to end within one process: real stores, the simulator on a real socket."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import aiohttp
import asyncpg
import pytest
import structlog

from common.calls import permits, work
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.process.resources import Resources
from common.provider import Permit
from common.store.budget import gate, ledger
from common.store.budget import queue as rows
from common.store.budget.ledger import Wait
from common.store.connection.pool import acquire
from common.store.market import feed, quotes


async def join(resources: Resources, *subjects: str, call_class: CallClass = CallClass.USER) -> None:
    async with acquire(resources.db) as connection:
        assert "joined" == await rows.enqueue(connection, resources.budget, Function.QUOTE, subjects, call_class)


async def serve_one(resources: Resources) -> Outcome:
    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    return await work.carry_out(resources, permit)


async def test_a_wanted_symbol_is_fetched_saved_published_and_settled(resources: Resources) -> None:
    await join(resources, "AAPL")

    outcome = await serve_one(resources)

    assert Outcome.OK == outcome
    async with acquire(resources.db) as connection:
        [saved] = await quotes.select_quotes(connection, "simulated", ["AAPL"])
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
        assert "ok" == await connection.fetchval("SELECT outcome FROM calls")
        assert await connection.fetchval("SELECT published_at IS NOT NULL FROM quotes")
        assert 1 == await connection.fetchval("SELECT count(*) FROM quote_history")
    assert [saved] == [quote for _, quote in await feed.select_published(resources.redis, "simulated", ["AAPL"])]


async def test_the_provider_is_told_lost_once_and_recovered_once(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(structlog, "get_logger", lambda *_: SimpleNamespace(warning=note(told), info=note(told)))
    async with aiohttp.ClientSession(resources.provider.base_url) as http:
        await http.put("/_fault", json={"kind": "http_503", "count": 2})
    for symbol in ("AAPL", "MSFT", "IBM", "TSLA"):
        await join(resources, symbol)
        await serve_one(resources)

    assert ["lost provider", "recovered provider"] == [each for each in told if each.endswith("provider")]


def note(told: list[str]) -> Callable[..., None]:
    def write(event: str, **fields: object) -> None:
        told.append(f"{event} {fields.get('what', '')}")

    return write


async def test_a_jump_that_could_not_be_acted_upon_is_seen_again(resources: Resources) -> None:
    """The hold was not written: the next ask must not take the new time for the right one."""
    await permits.obtain_permit(resources)
    now = resources.clock.lowest
    assert now is not None
    resources.clock.remember(asked=now.asked, now=now.at - HOUR)
    async with acquire(resources.db) as connection:
        await connection.execute("ALTER TABLE ledgers ADD CONSTRAINT nobody_holds CHECK (held_for IS NULL)")
        with pytest.raises(asyncpg.CheckViolationError):
            await permits.obtain_permit(resources)
        await connection.execute("ALTER TABLE ledgers DROP CONSTRAINT nobody_holds")

    told = await permits.obtain_permit(resources)

    assert isinstance(told, Wait)
    assert permits.JUMP == told.reason


HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=2)


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        (permits.JUMP, MINUTES),  # nobody holds so long for it: the clock was ahead, and is set right again
        (Outcome.THROTTLED_MINUTE, MINUTES),
        (Outcome.DAY_USED_UP, HOUR),
        ("operator", HOUR),
    ],
)
async def test_a_hold_from_before_a_step_back_of_the_clock_is_soon_over(
    resources: Resources, reason: str, left: timedelta
) -> None:
    async with acquire(resources.db) as connection:
        until = await ledger.select_now(connection) + HOUR
        await gate.upsert_hold(connection, resources.budget.account, Hold(until, reason, probing=False))

    await permits.obtain_permit(resources)
    told = await permits.obtain_permit(resources)

    assert isinstance(told, Wait)
    assert told.wait is not None
    assert left - timedelta(minutes=1) < told.wait <= left


@pytest.mark.parametrize("place", ["obtain_permit", "publish"])
async def test_a_call_is_settled_whatever_else_fails(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    await join(resources, "AAPL")
    answers = [await permits.obtain_permit(resources)]

    async def obtain(_: Resources) -> Permit | Wait:
        if place == "obtain_permit" and not answers:
            raise RuntimeError("unexpected")
        return answers.pop() if answers else Wait(None, "nothing_wanted")

    async def fail(*_: object) -> bool:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(work, "obtain_permit", obtain)
    if place == "publish":
        monkeypatch.setattr(work, "publish", fail)
    turns = iter([True, True])

    assert 1 == await work.work_queue(resources, keep_on=lambda: next(turns, False))
    async with acquire(resources.db) as connection:
        assert "ok" == await connection.fetchval("SELECT outcome FROM calls")
        assert 1 == len(await quotes.select_quotes(connection, "simulated", ["AAPL"]))
