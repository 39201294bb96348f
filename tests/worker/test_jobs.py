"""A worker's jobs as coroutines: real stores, the simulator, no Celery."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from common.core.models import CallClass, Function, Price, Quote
from common.core.provider.outcomes import Outcome
from common.process.resources import Resources
from common.store.budget import heartbeats, ledger, queue
from common.store.connection.pool import acquire
from common.store.market import bars, feed, quotes, symbols
from worker.jobs import work_queue

SOURCE = "simulated"


def at_once() -> bool:
    return True


def after(calls: int) -> Callable[[], bool]:
    """Stop a worker after it has asked the ledger this many times."""
    left = iter([False] * calls)
    return lambda: next(left, True)


async def waiting(resources: Resources) -> list[tuple[str, str, str]]:
    async with acquire(resources.db) as connection:
        found = await connection.fetch("SELECT function, subject, class FROM demand ORDER BY function, subject")
    return [tuple(row) for row in found]


async def called(resources: Resources) -> list[tuple[str, str]]:
    async with acquire(resources.db) as connection:
        found = await connection.fetch("SELECT function, outcome FROM calls ORDER BY id")
    return [tuple(row) for row in found]


async def age_calls(resources: Resources, by: timedelta) -> None:
    async with acquire(resources.db) as connection:
        await connection.execute("UPDATE calls SET granted_at = granted_at - $1::interval", by)


async def test_a_quote_that_was_saved_and_not_published_is_published(resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        at = await ledger.select_now(connection)
        quote = Quote(Price("AAPL", Decimal(10), at.date()), SOURCE, at)
        await quotes.upsert_quote(connection, quote)

    await work_queue(resources, stopping=at_once)

    [(_, published)] = await feed.select_published(resources.redis, SOURCE, ["AAPL"])
    assert quote == published
    async with acquire(resources.db) as connection:
        assert [] == await quotes.select_unpublished(connection, SOURCE, most=10)


async def test_the_overviews_symbols_are_wanted_and_no_others(resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        await symbols.upsert_pins(connection, ["OLD"])

    await work_queue(
        replace(resources, settings=replace(resources.settings, overview_symbols=("A", "B"))), stopping=at_once
    )

    async with acquire(resources.db) as connection:
        assert ["A", "B"] == await connection.fetchval(
            "SELECT array_agg(symbol ORDER BY symbol) FROM symbols WHERE pinned"
        )


async def test_a_worker_makes_the_calls_that_are_wanted(resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        await queue.enqueue(connection, resources.budget, Function.QUOTE, ["IBM"], CallClass.USER)
        await queue.enqueue(connection, resources.budget, Function.DAILY, ["IBM"], CallClass.USER)

    await work_queue(resources, stopping=after(2))

    async with acquire(resources.db) as connection:
        assert ["IBM"] == [quote.symbol for quote in await quotes.select_quotes(connection, SOURCE, ["IBM"])]
        assert 100 == len(await bars.select_bars(connection, SOURCE, "IBM", most=1000))
    assert [("LISTING_STATUS", "US", CallClass.REFRESH)] == await waiting(resources)


async def test_a_missing_listing_is_queued_once_in_the_backgrounds_name(resources: Resources) -> None:
    await work_queue(resources, stopping=at_once)
    await work_queue(resources, stopping=at_once)

    assert [("LISTING_STATUS", "US", CallClass.REFRESH)] == await waiting(resources)


async def test_a_listing_that_came_is_not_asked_for_until_a_week_has_passed(resources: Resources) -> None:
    await work_queue(resources, stopping=after(1))
    assert [("LISTING_STATUS", "ok")] == await called(resources)

    await age_calls(resources, timedelta(hours=2))
    await work_queue(resources, stopping=at_once)
    assert [] == await waiting(resources)

    async with acquire(resources.db) as connection:
        await connection.execute("UPDATE listing_state SET refreshed_at = refreshed_at - interval '7 days'")
    await work_queue(resources, stopping=at_once)
    assert [("LISTING_STATUS", "US", CallClass.REFRESH)] == await waiting(resources)


async def test_a_listing_that_failed_is_asked_for_again_after_an_hour(resources: Resources) -> None:
    away = replace(resources, provider=replace(resources.provider, base_url=f"{resources.provider.base_url}/nowhere"))
    await work_queue(away, stopping=after(1))
    assert [("LISTING_STATUS", Outcome.UNAVAILABLE)] == await called(resources)

    await work_queue(resources, stopping=at_once)
    assert [] == await waiting(resources)

    await age_calls(resources, timedelta(hours=1))
    await work_queue(resources, stopping=at_once)
    assert [("LISTING_STATUS", "US", CallClass.REFRESH)] == await waiting(resources)


async def test_a_worker_without_its_stores_ends_its_turn(resources: Resources) -> None:
    await resources.db.close()

    await work_queue(resources, stopping=after(1))

    assert [False, False] == [resources.health.is_up(name) for name in ("feed", "ledger")]


async def seen(resources: Resources) -> set[str]:
    async with acquire(resources.db) as connection:
        return set(await heartbeats.select_heartbeats(connection))


async def test_a_worker_shows_that_it_is_at_work_and_beats_tick_that_beat_is(resources: Resources) -> None:
    await work_queue(resources, stopping=at_once)
    woken = await seen(resources)
    await work_queue(resources, stopping=at_once, ticked=True)

    assert ({resources.budget.process}, {resources.budget.process, "beat"}) == (woken, await seen(resources))
