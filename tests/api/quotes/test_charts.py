"""Charts over HTTP: their age, the reason of a stale one, today's bar beside the quote, and who is asked for newer bars."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
import pytest
import time_machine
from redis.asyncio import Redis

from api.http.answers import Answer, Answers
from api.quotes.chart_memory import Charts
from api.quotes.memory import MEMORY
from common.core.budget.holds import PROVIDER_DOWN
from common.core.forecast.situation import Gate
from common.core.models import Bar, Price, Quote
from common.core.provider.outcomes import Outcome
from common.core.quotes.chart import Chart
from common.core.quotes.outlook import Outlook
from common.errors import StoreUnavailable
from common.store.connection.pool import acquire
from common.store.market import bars, feed
from common.store.market.quotes import upsert_quote
from tests.api.conftest import Client, OpenApi, Provider, followed
from tests.harness.polling import eventually

FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)  # sessions from 14:30 to 21:00
NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEW_YORK: dict[str, Any] = {"market_hours": "nyse", "provider_data": "realtime"}


async def keep(db: asyncpg.Pool, fetched_at: datetime, *days: date, close: str = "11") -> None:
    """A chart of IBM as the provider gave it."""
    kept = [Bar(day, Decimal(10), Decimal(12), Decimal(9), Decimal(close), 7) for day in days]
    async with acquire(db) as connection:
        await bars.upsert_bars(connection, "simulated", "IBM", kept)
        await bars.upsert_bars_fetched(connection, "simulated", "IBM", fetched_at)


def quote(price: str, day: date, fetched_at: datetime) -> Quote:
    amounts = {"open": Decimal(10), "high": Decimal(12), "low": Decimal(9)}
    return Quote(Price("IBM", Decimal(price), day, volume=8, **amounts), "simulated", fetched_at)


async def chart(api: Client, path: str = "/api/stock/IBM/chart?wait=0") -> dict[str, Any]:
    async with api.get(path) as answer:
        assert 200 == answer.status
        return {**await answer.json(), "caching": answer.headers["Cache-Control"]}


async def queued(db: asyncpg.Pool) -> list[tuple[str, str, list[str]]]:
    async with acquire(db) as connection:
        rows = await connection.fetch("SELECT subject, class, groups FROM demand WHERE function = 'TIME_SERIES_DAILY'")
        return [(row["subject"], row["class"], row["groups"]) for row in rows]


async def test_a_chart_says_its_age_as_a_quote_does(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, NOON, FRIDAY, MONDAY)
    with time_machine.travel(NOON + MINUTE, tick=False):
        fresh = await chart(api)
    with time_machine.travel(NOON + 30 * MINUTE, tick=False):
        stale = await chart(api)

    times = {"fetched_at": "2026-11-23T17:00:00.000Z", "fresh_until": "2026-11-23T17:30:00.000Z"}
    assert times | {"stale": False} == {name: fresh[name] for name in ("fetched_at", "fresh_until", "stale")}
    assert not fresh.keys() & {"reason", "next_refresh_at"}
    told = {name: stale[name] for name in ("fetched_at", "fresh_until", "stale", "reason", "next_refresh_at")}
    assert times | {"stale": True, "reason": "budget", "next_refresh_at": None} == told
    assert [False, True] == [row["partial"] for row in fresh["data"]]


@pytest.mark.parametrize(
    ("fetched_at", "newest", "now", "outlook", "reason"),
    [
        (NOON - timedelta(hours=1), MONDAY, NOON, Outlook(), "budget"),
        (NOON, MONDAY, NOON + timedelta(hours=5), Outlook(), "market_closed"),
        (NOON - timedelta(hours=1), MONDAY, NOON, Outlook(quota_left=False), "quota_spent"),
        (
            NOON - timedelta(hours=1),
            MONDAY,
            NOON,
            Outlook(Gate(PROVIDER_DOWN, NOON + timedelta(hours=1), probing=True)),
            "provider_down",
        ),
        (
            NOON - timedelta(hours=1),
            MONDAY,
            NOON,
            Outlook(Gate(Outcome.DAY_USED_UP, NOON + timedelta(hours=1))),
            "quota_spent",
        ),
        (NOON - MINUTE, FRIDAY, NOON, Outlook(), "provider_behind"),  # in a session whose day it lacks
        (NOON - MINUTE, date(2020, 3, 2), NOON, Outlook(), "provider_behind"),
        (NOON + timedelta(hours=5), FRIDAY, NOON + timedelta(hours=6), Outlook(), "provider_behind"),
    ],
)
async def test_a_stale_chart_says_why(
    open_api: OpenApi,
    db: asyncpg.Pool,
    fetched_at: datetime,
    newest: date,
    now: datetime,
    outlook: Outlook,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.app.keep_outlook", _look_at_nothing)
    api = await open_api(**NEW_YORK)
    assert api.app is not None
    await keep(db, fetched_at, newest)
    with time_machine.travel(now, tick=False):
        api.app[MEMORY].outlook = outlook
        told = await chart(api)

    assert (True, reason) == (told["stale"], told["reason"])


async def _look_at_nothing(*_: object) -> None:
    await asyncio.Event().wait()


async def test_todays_bar_closes_with_the_quote_and_a_newer_one_ends_the_answer_that_is_ready(
    open_api: OpenApi, db: asyncpg.Pool, redis: Redis
) -> None:
    api = await open_api(**NEW_YORK)
    assert api.app is not None
    memory = api.app[MEMORY]
    await keep(db, NOON, FRIDAY, MONDAY)
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):
        await eventually(partial(followed, api))
        paths = ("/api/stock/IBM/chart", "/api/stock/IBM/chart?days=5", "/api/stock/IBM/chart?days=30")
        for path in paths[:2]:
            await chart(api, path)
        ready = [memory.answers.find(path, datetime.now(UTC).timestamp()) for path in paths]
        for price in ("12.5", "8.75"):
            await feed.publish(redis, quote(price, MONDAY, NOON + MINUTE * (2 if price == "8.75" else 1)))

            async def told(price: str = price) -> bool:
                async with api.get("/api/stock/IBM") as answer:
                    return answer.status == 200 and (await answer.json())["price"] == float(price)

            await eventually(told)
            newest = [(await chart(api, path))["data"][-1] for path in paths]
            assert [float(price)] * 3 == [row["close"] for row in newest]
            assert all(row["low"] <= row["close"] <= row["high"] and row["partial"] for row in newest)

    assert None not in ready


async def test_a_quote_of_the_next_day_adds_its_bar_and_a_final_one_ends_the_day(
    open_api: OpenApi, db: asyncpg.Pool
) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, datetime(2026, 11, 20, 22, tzinfo=UTC), FRIDAY)
    async with acquire(db) as connection:
        await upsert_quote(connection, quote("11.25", MONDAY, datetime(2026, 11, 23, 21, 5, tzinfo=UTC)))
    with time_machine.travel(datetime(2026, 11, 23, 23, tzinfo=UTC), tick=False):
        told = await chart(api)

    newest = {"date": "2026-11-23", "open": 10, "high": 12, "low": 9, "close": 11.25, "volume": 8, "partial": False}
    assert ["2026-11-20", newest] == [told["data"][0]["date"], told["data"][-1]]
    assert (False, "2026-11-24T14:30:00.000Z") == (told["stale"], told["fresh_until"])


@pytest.mark.parametrize(("quoted", "seconds"), [(False, 30), (True, 45)])
async def test_caches_keep_a_running_day_no_longer_than_a_quote(
    open_api: OpenApi, db: asyncpg.Pool, quoted: bool, seconds: int
) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, NOON, FRIDAY, MONDAY)
    if quoted:
        async with acquire(db) as connection:
            await upsert_quote(connection, quote("11.25", MONDAY, NOON + timedelta(seconds=15)))
    with time_machine.travel(NOON + timedelta(seconds=30), tick=False):
        told = await chart(api)

    assert told["caching"].startswith(f"public, max-age={seconds},")


async def test_a_hot_chart_costs_no_look_at_a_store(
    open_api: OpenApi, db: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a quote has ended its answer; the bars are looked for again after a minute."""
    api = await open_api()
    assert api.app is not None
    await keep(db, datetime.now(UTC), datetime.now(UTC).date())
    looks = []
    real = bars.select_bars

    async def count(*args: Any, **more: Any) -> list[Bar]:
        looks.append(args)
        return await real(*args, **more)

    monkeypatch.setattr("api.quotes.charts.store.select_bars", count)
    await chart(api)
    for seconds in range(1, 4):
        quoted = quote(str(10 + seconds), datetime.now(UTC).date(), datetime.now(UTC) + timedelta(seconds=seconds))
        api.app[MEMORY].remember(quoted)
        assert 10 + seconds == (await chart(api))["data"][-1]["close"]

    assert 1 == len(looks)


async def test_a_chart_is_served_and_judged_anew_while_the_database_is_away(
    open_api: OpenApi, db: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, NOON, FRIDAY, MONDAY)

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the database is away")

    with time_machine.travel(NOON, tick=False) as traveller:
        assert not (await chart(api))["stale"]
        monkeypatch.setattr("api.quotes.charts.store.select_bars", away)
        monkeypatch.setattr("api.quotes.chart_memory.RECHECK_INTERVAL", 0.0)
        traveller.shift(timedelta(hours=1))
        told = await chart(api)

    assert (True, 11.0) == (told["stale"], told["data"][-1]["close"])


@pytest.mark.parametrize(
    ("fetched_at", "newest", "now", "groups"),
    [
        (NOON - timedelta(days=3), FRIDAY, NOON, ["waiting", "chart", "closed_day"]),
        (NOON - timedelta(hours=1), MONDAY, NOON, ["waiting", "chart"]),
        (NOON - MINUTE, MONDAY, NOON, None),
    ],
)
async def test_newer_bars_are_asked_for_in_nobodys_name(
    open_api: OpenApi,
    db: asyncpg.Pool,
    provider: Provider,
    fetched_at: datetime,
    newest: date,
    now: datetime,
    groups: list[str] | None,
) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, fetched_at, newest)
    with time_machine.travel(now, tick=False):
        await chart(api)
        await chart(api)

    assert ([] if groups is None else [("IBM", "refresh", groups)]) == await queued(db)
    assert [] == await provider.asked()


async def test_the_quote_spares_the_running_days_chart_its_call(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, NOON - timedelta(hours=1), MONDAY)
    async with acquire(db) as connection:
        await upsert_quote(connection, quote("11.25", MONDAY, NOON))
    with time_machine.travel(NOON, tick=False):
        await chart(api)

    assert [] == await queued(db)


async def test_bars_that_were_refused_lately_are_not_asked_for(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(**NEW_YORK)
    await keep(db, NOON - timedelta(days=3), FRIDAY)
    async with acquire(db) as connection:
        await connection.execute("UPDATE bars_state SET refused_at = ledger_now() - interval '5 minutes'")
    with time_machine.travel(NOON, tick=False):
        await chart(api)

    assert [] == await queued(db)


async def test_a_chart_that_left_memory_takes_its_ready_answers_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would end them when a newer quote comes."""
    monkeypatch.setattr("api.quotes.chart_memory.MAX_CHARTS", 1)
    answers = Answers()
    charts = Charts(answers)
    answer = Answer(b"", NOON, 0.0, 5, good_until=2.0)
    kept = Bar(MONDAY, Decimal(10), Decimal(12), Decimal(9), Decimal(11), 7)
    for symbol in ("OLD", "NEW"):
        charts.remember(Chart(symbol, "simulated", (kept,), NOON))
        charts.keep_answer(symbol, symbol, answer)
    charts.keep_answer("OLD", "late", answer)

    assert [None, answer, None] == [answers.find(path, 1.0) for path in ("OLD", "NEW", "late")]
    assert charts.last("OLD") is None
