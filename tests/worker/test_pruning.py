"""What the hourly job forgets: real stores, no Celery."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from common.core.models import Bar, Price, Quote
from common.resources import Resources
from common.store import bars, history, ledger, listings, pulses, refreshes, searches
from common.store.pool import connection
from worker import pruning
from worker.jobs import work_line
from worker.pruning import prune

SOURCE = "simulated"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def never() -> bool:
    return False


def after(calls: int) -> Callable[[], bool]:
    """Tells a job to stop when it has asked so many times."""
    left = iter([False] * calls)
    return lambda: next(left, True)


async def remember(resources: Resources, symbol: str, age: timedelta) -> None:
    """A call, a collected quote, a symbol, a chart and a search that are so old."""
    async with connection(resources.db) as held:
        at = await ledger.select_now(held) - age
        bar = Bar(at.date(), Decimal(10), Decimal(11), Decimal(9), Decimal(10), None)
        await held.execute(
            """
            INSERT INTO calls (account, function, subjects, purpose, granted_at, ends_at, outcome, caller)
            VALUES ('a', 'GLOBAL_QUOTE', ARRAY[$1], 2, $2, $2, 'ok', 'test')
            """,
            symbol,
            at,
        )
        await history.insert_history(held, [Quote(Price(symbol, Decimal(10), at.date()), SOURCE, at)])
        await held.execute("INSERT INTO symbols (symbol, attempted_at) VALUES ($1, $2)", symbol, at)
        await bars.upsert_bars(held, SOURCE, symbol, [bar])
        await bars.upsert_bars_fetched(held, SOURCE, symbol, at)
        await searches.upsert_search(held, SOURCE, symbol, [], at)


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT array_agg(subjects[1]) FROM calls", ["YOUNG"]),
        ("SELECT array_agg(symbol) FROM symbols", ["YOUNG"]),
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

    async with connection(resources.db) as held:
        assert kept == sorted(await held.fetchval(statement))


async def test_a_watched_symbol_and_a_listing_are_never_forgotten(resources: Resources) -> None:
    await remember(resources, "WATCHED", 400 * DAY)
    async with connection(resources.db) as held:
        await held.execute("UPDATE symbols SET watchers = 1")
    await work_line(resources, stopping=after(1))
    async with connection(resources.db) as held:
        await held.execute("UPDATE listing_state SET refreshed_at = refreshed_at - interval '400 days'")

    await prune(resources, stopping=never)

    async with connection(resources.db) as held:
        assert await held.fetchval("SELECT count(*) = 1 FROM symbols WHERE symbol = 'WATCHED'")
        assert await listings.select_listing(held, SOURCE)


async def test_processes_that_ended_and_jobs_are_forgotten(resources: Resources) -> None:
    async with connection(resources.db) as held:
        await pulses.upsert_pulses(held, ["young", "old"])
        jobs = [await refreshes.insert_job(held, ["IBM"], "cli:a@b", None) for _ in range(2)]
        await held.execute("UPDATE pulses SET at = at - interval '25 hours' WHERE name = 'old'")
        await held.execute("UPDATE refresh_jobs SET queued_at = queued_at - interval '31 days' WHERE id = $1", jobs[0])

    await prune(resources, stopping=never)

    async with connection(resources.db) as held:
        assert [jobs[1]] == await held.fetchval("SELECT array_agg(job_id) FROM refresh_items")
        assert {"young"} == set(await pulses.select_pulses(held))


async def test_old_rows_go_in_batches_until_none_is_left(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    for number in range(8):
        await remember(resources, f"S{number}", DAY)
    async with connection(resources.db) as held:
        await held.execute(
            "UPDATE calls SET granted_at = granted_at - $1::interval, ends_at = ends_at - $1::interval", 31 * DAY
        )

    await prune(resources, stopping=never)

    async with connection(resources.db) as held:
        assert 0 == await held.fetchval("SELECT count(*) FROM calls")


async def test_a_worker_that_is_told_to_stop_finishes_its_batch_alone(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    async with connection(resources.db) as held:
        now = await ledger.select_now(held)
        old = [Quote(Price("IBM", Decimal(10), now.date()), SOURCE, now - 400 * DAY + n * HOUR) for n in range(8)]
        await history.insert_history(held, old)

    await prune(resources, stopping=after(2))

    async with connection(resources.db) as held:
        assert 5 == await held.fetchval("SELECT count(*) FROM quote_history")
