"""What the hourly job forgets: real stores, no Celery."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from common.calls import publish
from common.core.models import Bar, Price, Quote
from common.process.resources import Resources, open_redis
from common.store.budget import heartbeats, ledger, refresh_jobs
from common.store.connection.pool import acquire, transaction
from common.store.market import bars, feed, history, listings, quotes, searches
from tests.harness.polling import PATIENCE
from worker import pruning
from worker.jobs import work_queue
from worker.pruning import prune

SOURCE = "simulated"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def never() -> bool:
    return False


def after(calls: int) -> Callable[[], bool]:
    """Stop a job after it has asked this many times."""
    left = iter([False] * calls)
    return lambda: next(left, True)


async def remember(resources: Resources, symbol: str, age: timedelta) -> None:
    """A call, a collected quote, a symbol, a chart and a search that are so old."""
    async with acquire(resources.db) as connection:
        at = await ledger.select_now(connection) - age
        bar = Bar(at.date(), Decimal(10), Decimal(11), Decimal(9), Decimal(10), None)
        await connection.execute(
            """
            INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
            VALUES ('a', 'GLOBAL_QUOTE', ARRAY[$1], 'refresh', $2, $2, 'ok', 'test')
            """,
            symbol,
            at,
        )
        await history.insert_history(connection, [Quote(Price(symbol, Decimal(10), at.date()), SOURCE, at)])
        await connection.execute("INSERT INTO symbols (symbol) VALUES ($1)", symbol)
        await connection.execute("INSERT INTO attempts (account, symbol, at) VALUES ('a', $1, $2)", symbol, at)
        await connection.execute("INSERT INTO credits (asker, symbol, used_at) VALUES ('user:1', $1, $2)", symbol, at)
        await bars.upsert_bars(connection, SOURCE, symbol, [bar])
        await bars.upsert_bars_fetched(connection, SOURCE, symbol, at)
        await searches.upsert_search(connection, SOURCE, symbol, [], at)


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT array_agg(subjects[1]) FROM calls", ["YOUNG"]),
        ("SELECT array_agg(symbol) FROM symbols", ["YOUNG"]),
        ("SELECT array_agg(symbol) FROM attempts", ["YOUNG"]),
        ("SELECT coalesce(array_agg(symbol), '{}') FROM credits", []),
        ("SELECT array_agg(symbol) FROM daily_bars", ["YOUNG"]),
        ("SELECT array_agg(symbol) FROM bars_state", ["YOUNG"]),
        ("SELECT array_agg(query) FROM searches", ["YOUNG"]),
        ("SELECT array_agg(symbol) FROM quote_history", ["OLD", "YOUNG"]),
    ],
)
async def test_what_is_older_than_the_settings_keep_is_forgotten(
    resources: Resources, statement: str, kept: list[str]
) -> None:
    assert (30 * DAY, 365 * DAY) == (resources.settings.journal_kept, resources.settings.history_kept)
    for symbol, age in (("ANCIENT", 366 * DAY), ("OLD", 31 * DAY), ("YOUNG", 29 * DAY)):
        await remember(resources, symbol, age)

    await prune(resources, stopping=never)

    async with acquire(resources.db) as connection:
        assert kept == sorted(await connection.fetchval(statement))


async def test_a_watched_symbol_and_a_listing_are_never_forgotten(resources: Resources) -> None:
    await remember(resources, "WATCHED", 400 * DAY)
    async with acquire(resources.db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 1")
    await work_queue(resources, stopping=after(1))
    async with acquire(resources.db) as connection:
        await connection.execute("UPDATE listing_state SET refreshed_at = refreshed_at - interval '400 days'")

    await prune(resources, stopping=never)

    async with acquire(resources.db) as connection:
        assert await connection.fetchval("SELECT count(*) = 1 FROM symbols WHERE symbol = 'WATCHED'")
        assert await listings.select_listing(connection, SOURCE)


async def test_processes_that_ended_and_jobs_are_forgotten(resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        await heartbeats.upsert_heartbeats(connection, ["young", "old"])
        jobs = [await refresh_jobs.insert_job(connection, ["IBM"], "cli:a@b", None) for _ in range(2)]
        await connection.execute("UPDATE pulses SET at = at - interval '25 hours' WHERE name = 'old'")
        await connection.execute(
            "UPDATE refresh_jobs SET queued_at = queued_at - interval '31 days' WHERE id = $1", jobs[0]
        )

    await prune(resources, stopping=never)

    async with acquire(resources.db) as connection:
        assert [jobs[1]] == await connection.fetchval("SELECT array_agg(job_id) FROM refresh_items")
        assert {"young"} == set(await heartbeats.select_heartbeats(connection))


async def save_quote(resources: Resources, symbol: str, age: timedelta) -> Quote:
    """A quote that is so old, saved, published and collected."""
    async with acquire(resources.db) as connection:
        at = await ledger.select_now(connection) - age
        quote = Quote(Price(symbol, Decimal(10), at.date()), SOURCE, at)
        await quotes.upsert_quote(connection, quote)
        await history.insert_history(connection, [quote])
    assert await publish.publish(resources, quote)
    return quote


async def kept(resources: Resources, *names: str) -> tuple[set[str], set[str]]:
    """Of these symbols, those that have a quote in PostgreSQL, and in Redis."""
    async with acquire(resources.db) as connection:
        saved = await quotes.select_quotes(connection, SOURCE, names)
    published = await feed.select_published(resources.redis, SOURCE, names)
    return {quote.symbol for quote in saved}, {quote.symbol for _, quote in published}


async def test_a_quote_that_nobody_wanted_for_the_historys_days_is_forgotten_with_its_key_and_history(
    resources: Resources,
) -> None:
    await save_quote(resources, "OLD", 366 * DAY)
    await save_quote(resources, "YOUNG", 364 * DAY)

    await prune(resources, stopping=never)

    assert ({"YOUNG"}, {"YOUNG"}) == await kept(resources, "OLD", "YOUNG")
    async with acquire(resources.db) as connection:
        assert ["YOUNG"] == await connection.fetchval("SELECT array_agg(symbol) FROM quote_history")


@pytest.mark.parametrize(
    ("condition", "is_kept"),
    [
        ("watchers = 1", True),
        ("pinned = true", True),
        ("reads = 0.1, reads_at = now() - interval '364 days'", True),
        ("reads = 1e9, reads_at = now() - interval '366 days'", False),
        ("reads = 0", False),
    ],
)
async def test_an_old_quote_is_kept_while_its_symbol_is_wanted(
    resources: Resources, condition: str, is_kept: bool
) -> None:
    await save_quote(resources, "OLD", 366 * DAY)
    async with acquire(resources.db) as connection:
        await connection.execute("INSERT INTO symbols (symbol) VALUES ('OLD')")
        await connection.execute("UPDATE symbols SET " + condition)

    await prune(resources, stopping=never)

    assert ({"OLD"} if is_kept else set(),) * 2 == await kept(resources, "OLD")


async def test_reads_that_still_weigh_after_the_historys_days_keep_a_quote(resources: Resources) -> None:
    await save_quote(resources, "OLD", 366 * DAY)
    async with acquire(resources.db) as connection:
        await connection.execute(
            "INSERT INTO symbols (symbol, reads, reads_at) VALUES ('OLD', 2, now() - interval '366 days')"
        )

    await prune(replace(resources, settings=replace(resources.settings, reads_half_life=365 * DAY)), stopping=never)

    assert ({"OLD"}, {"OLD"}) == await kept(resources, "OLD")


async def test_a_forgotten_quote_does_not_come_back_when_redis_is_told_everything_again(resources: Resources) -> None:
    await save_quote(resources, "OLD", 366 * DAY)
    await prune(resources, stopping=never)

    await resources.redis.flushall()
    await work_queue(resources, stopping=after(0))

    assert (set(), set()) == await kept(resources, "OLD")


async def test_a_quote_that_is_published_while_it_is_forgotten_leaves_no_key(resources: Resources) -> None:
    """The publisher had read it before the row went."""
    quote = await save_quote(resources, "OLD", 366 * DAY)
    await prune(resources, stopping=never)

    await publish.publish(resources, quote)

    assert (set(), set()) == await kept(resources, "OLD")


async def test_who_publishes_a_quote_before_its_deletion_is_committed_takes_the_key_back(resources: Resources) -> None:
    quote = await save_quote(resources, "OLD", 366 * DAY)
    async with asyncio.timeout(PATIENCE):
        async with transaction(resources.db) as connection:
            gone = await quotes.delete_unwanted(connection, keep=365 * DAY, half_life=DAY, most=10)
            await feed.forget(resources.redis, gone)
            publishing = asyncio.create_task(publish.publish(resources, quote))
            while not await feed.select_published(resources.redis, SOURCE, ["OLD"]):
                pass
        await publishing

    assert [quote] == gone
    assert (set(), set()) == await kept(resources, "OLD")


async def test_a_quote_that_is_fetched_anew_while_it_is_forgotten_stays(resources: Resources) -> None:
    old = await save_quote(resources, "OLD", 366 * DAY)
    async with asyncio.timeout(PATIENCE):
        async with transaction(resources.db) as connection:
            now = await ledger.select_now(connection)
            await quotes.upsert_quote(
                connection, replace(old, price=replace(old.price, trading_day=now.date()), fetched_at=now)
            )
            job = asyncio.create_task(prune(resources, stopping=never))
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        await job

    assert ({"OLD"}, {"OLD"}) == await kept(resources, "OLD")


async def test_a_newer_quote_keeps_its_key_when_an_older_one_is_published_or_forgotten(resources: Resources) -> None:
    old = await save_quote(resources, "IBM", 366 * DAY)
    await save_quote(resources, "IBM", DAY)

    await publish.publish(resources, old)
    await feed.forget(resources.redis, [old])

    assert ({"IBM"}, {"IBM"}) == await kept(resources, "IBM")


async def test_without_redis_unwanted_quotes_stay_until_the_next_hour_and_the_rest_is_pruned(
    resources: Resources,
) -> None:
    await save_quote(resources, "OLD", 366 * DAY)
    await remember(resources, "ANCIENT", 366 * DAY)
    away = replace(resources, redis=open_redis("redis://127.0.0.1:9/0", timeout=0.1))

    await prune(away, stopping=never)

    assert ({"OLD"}, {"OLD"}) == await kept(resources, "OLD")
    async with acquire(resources.db) as connection:
        assert not await connection.fetchval("SELECT count(*) FROM daily_bars")
    await away.redis.aclose()


async def test_old_rows_go_in_batches_until_none_is_left(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    for number in range(8):
        await remember(resources, f"S{number}", DAY)
    async with acquire(resources.db) as connection:
        await connection.execute(
            "UPDATE calls SET granted_at = granted_at - $1::interval, ends_at = ends_at - $1::interval", 31 * DAY
        )

    await prune(resources, stopping=never)

    async with acquire(resources.db) as connection:
        assert 0 == await connection.fetchval("SELECT count(*) FROM calls")


async def test_a_worker_that_is_told_to_stop_finishes_its_batch_alone(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    async with acquire(resources.db) as connection:
        now = await ledger.select_now(connection)
        old = [Quote(Price("IBM", Decimal(10), now.date()), SOURCE, now - 400 * DAY + n * HOUR) for n in range(8)]
        await history.insert_history(connection, old)

    await prune(resources, stopping=after(2))

    async with acquire(resources.db) as connection:
        assert 5 == await connection.fetchval("SELECT count(*) FROM quote_history")
