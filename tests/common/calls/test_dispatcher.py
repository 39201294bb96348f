"""The dispatcher of a process: which requests it serves and wakes, and that its calls outlive their requests."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from common.calls import permits
from common.calls.dispatcher import Dispatcher, Key
from common.core.limits import parse_limits
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold
from common.process.resources import Resources
from common.store.budget import gate, ledger, queue
from common.store.connection.pool import acquire
from tests.harness.polling import eventually

HOUR = timedelta(hours=1)
SOON = 4.0  # seconds on a busy machine: who is not woken waits for five
IBM, CHART = (Function.QUOTE, "IBM"), (Function.DAILY, "IBM")


@asynccontextmanager
async def running(resources: Resources) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(resources)
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        task.cancel()
        await dispatcher.close()


@pytest.fixture
async def dispatcher(resources: Resources) -> AsyncIterator[Dispatcher]:
    async with running(resources) as started:
        yield started


async def join(resources: Resources, key: Key) -> None:
    async with acquire(resources.db) as connection:
        await queue.enqueue(connection, resources.budget, key[0], [key[1]], CallClass.USER)


async def slow_down(resources: Resources, seconds: float) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{resources.provider.base_url}/_fault", json={"kind": "slow", "delay": seconds}) as answer,
    ):
        assert 200 == answer.status


async def journal(resources: Resources) -> list[tuple[str, str | None]]:
    async with acquire(resources.db) as connection:
        return [tuple(row) for row in await connection.fetch("SELECT function, outcome FROM calls ORDER BY id")]


async def is_under_way(resources: Resources) -> bool:
    return [("GLOBAL_QUOTE", None)] == await journal(resources)


async def waited(dispatcher: Dispatcher, key: Key, *, seconds: float = 5.0) -> float:
    """For how long a waiter waits until there is news."""
    began = time.monotonic()
    with dispatcher.waiting(key) as waiter:
        await waiter.wait(seconds)
    return time.monotonic() - began


@pytest.mark.parametrize("key", [IBM, CHART, (Function.SEARCH, "TESCO")])
async def test_whoever_waits_is_served_and_woken_when_the_call_is_settled(
    resources: Resources, dispatcher: Dispatcher, key: Key
) -> None:
    await join(resources, key)
    took = await waited(dispatcher, key)

    assert took < SOON
    assert [(key[0], "ok")] == await journal(resources)


async def test_a_call_outlives_a_request_that_went_away(resources: Resources, dispatcher: Dispatcher) -> None:
    await slow_down(resources, 2)
    await join(resources, IBM)
    with dispatcher.waiting(IBM):
        await eventually(lambda: is_under_way(resources))
    await dispatcher.close()

    assert [("GLOBAL_QUOTE", "ok")] == await journal(resources)


async def test_a_waiter_whose_task_is_cancelled_is_forgotten_and_its_call_is_not_lost(
    resources: Resources, dispatcher: Dispatcher
) -> None:
    await slow_down(resources, 2)
    await join(resources, IBM)
    waiting = asyncio.create_task(waited(dispatcher, IBM))
    await eventually(lambda: is_under_way(resources))
    waiting.cancel()
    await asyncio.wait({waiting})
    await dispatcher.close()

    assert [("GLOBAL_QUOTE", "ok")] == await journal(resources)


async def test_without_anybody_who_waits_no_call_is_made(resources: Resources, dispatcher: Dispatcher) -> None:
    await join(resources, IBM)
    await asyncio.sleep(1)
    quiet = await journal(resources)

    async def is_served() -> bool:
        return [("GLOBAL_QUOTE", "ok")] == await journal(resources)

    with dispatcher.waiting(CHART):
        await eventually(is_served)  # whoever's demand it is
    assert [] == quiet


async def test_one_call_wakes_all_who_wait_for_it_and_nobody_else(resources: Resources, dispatcher: Dispatcher) -> None:
    await join(resources, IBM)
    other = asyncio.create_task(waited(dispatcher, CHART, seconds=0.4))  # which is not queued, so it is told so
    took = await asyncio.gather(*(waited(dispatcher, IBM) for _ in range(20)))

    assert max(took) < SOON
    assert [("GLOBAL_QUOTE", "ok")] == await journal(resources)
    assert await other >= 0.3


async def test_what_another_process_served_or_refused_is_told_within_a_second(resources: Resources) -> None:
    """The budget is spent: this process asks the ledger in a minute again."""
    spent = replace(resources, budget=replace(resources.budget, limits=parse_limits("1/1min", "limits")))
    async with acquire(resources.db) as connection:
        await connection.execute(
            """
            INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
            VALUES ($1, 'GLOBAL_QUOTE', '{MSFT}', 'user', ledger_now(), ledger_now(), 'ok', 'another')
            """,
            resources.budget.account,
        )
    await join(resources, CHART)
    async with running(spent) as dispatcher:
        waiting = asyncio.create_task(waited(dispatcher, CHART))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        async with acquire(resources.db) as connection:
            await connection.execute("DELETE FROM demand")
        served = time.monotonic()
        await waiting

    assert time.monotonic() - served < SOON
    assert 1 == len(await journal(resources))


@pytest.mark.parametrize(("reason", "closed"), [("bad_key", True), ("provider_down", True), ("operator", False)])
async def test_a_closed_gate_is_told_at_once_and_a_hold_is_waited_for(
    resources: Resources, dispatcher: Dispatcher, reason: str, closed: bool
) -> None:
    async with acquire(resources.db) as connection:
        until = await ledger.select_now(connection) + HOUR
        await gate.upsert_hold(connection, resources.budget.account, Hold(until, reason, probing=closed))
    await join(resources, IBM)
    took = await waited(dispatcher, IBM, seconds=2)

    assert closed == (took < 1.9)
    assert (reason if closed else None) == (dispatcher.closed.reason if dispatcher.closed else None)
    assert [] == await journal(resources)


async def test_new_demand_is_served_at_once_while_the_loop_sleeps(resources: Resources, dispatcher: Dispatcher) -> None:
    first = asyncio.create_task(waited(dispatcher, (Function.DAILY, "NOT QUEUED"), seconds=10))
    await asyncio.sleep(0.3)
    await join(resources, IBM)

    assert await waited(dispatcher, IBM) < SOON
    first.cancel()
    await asyncio.wait({first})


async def test_without_the_database_each_waiter_is_told_to_look(resources: Resources, dispatcher: Dispatcher) -> None:
    await resources.db.close()

    assert await waited(dispatcher, IBM) < SOON


async def test_after_an_unexpected_failure_those_who_wait_are_still_served(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keep_running` of api/app.py runs the loop again."""

    async def fail(_: Resources) -> None:
        raise RuntimeError("unexpected")

    dispatcher = Dispatcher(resources)
    await join(resources, IBM)
    with dispatcher.waiting(IBM) as waiter:
        with monkeypatch.context() as broken:
            broken.setattr(permits, "obtain_permit", fail)
            with pytest.raises(RuntimeError):
                await dispatcher.run()
        again = asyncio.create_task(dispatcher.run())
        await waiter.wait(30)
    again.cancel()
    await dispatcher.close()

    assert [("GLOBAL_QUOTE", "ok")] == await journal(resources)
