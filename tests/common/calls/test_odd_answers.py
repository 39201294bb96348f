"""Odd answers in real stores: what the database refuses, days ahead, rows that were taken back, a status that throttles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from pytest_aiohttp.plugin import AiohttpServer

from common.calls import permits, work
from common.calls.settle import settle
from common.core.calendar.trading_day import NEW_YORK
from common.core.models import Bar, CallClass, Function, Price
from common.core.provider.alpha_vantage import Answer, Refusal, decipher
from common.core.provider.outcomes import BLAMES_SYMBOL, Outcome
from common.process.resources import Resources, open_resources
from common.provider import SIMULATOR, Permit, fetch
from common.store.budget import gate
from common.store.budget import queue as rows
from common.store.budget.ledger import Wait
from common.store.connection.pool import acquire
from common.store.market import bars, quotes
from simulator.app import create_app
from simulator.config import Config
from tests.core.provider.bodies import ANSWERS, SYMBOLS

SOURCE = "simulated"
SUBJECTS = {Function.SEARCH: "TESCO", Function.LISTING: "US"}
DAY = timedelta(days=1)
REFUSING = {
    "constraint": "ALTER TABLE {table} ADD CONSTRAINT refused CHECK (symbol <> 'IBM') NOT VALID",
    "function": """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.symbol = 'IBM' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN new;
        END $$;
        CREATE TRIGGER refused BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()
    """,
}


async def permit_for(resources: Resources, function: Function, subject: str) -> Permit:
    """An operator's call, for it is made whatever is known already."""
    async with acquire(resources.db) as connection:
        assert "joined" == await rows.enqueue(connection, resources.budget, function, [subject], CallClass.OPERATOR)
    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    assert (function, (subject,)) == (permit.grant.function, permit.grant.subjects)
    return permit


async def answer(resources: Resources, function: Function, subject: str, *values: Price | Bar) -> None:
    """A call that brought these."""
    permit = await permit_for(resources, function, subject)
    await settle(resources, permit.grant, Outcome.OK, tuple(values))  # type: ignore[arg-type]


def bar(day: date, close: int = 10) -> Bar:
    return Bar(day, Decimal(10), Decimal(11), Decimal(9), Decimal(close), None)


async def days(resources: Resources, symbol: str = "IBM") -> list[date]:
    async with acquire(resources.db) as connection:
        return [each.day for each in await bars.select_bars(connection, SOURCE, symbol, most=1000)]


async def outcomes(resources: Resources) -> list[tuple[str, str | None]]:
    async with acquire(resources.db) as connection:
        found = await connection.fetch("SELECT subjects[1] AS subject, outcome FROM calls ORDER BY subject")
    return [(row["subject"], row["outcome"]) for row in found]


@pytest.mark.parametrize("how", list(REFUSING))
@pytest.mark.parametrize(("function", "table"), [(Function.DAILY, "daily_bars"), (Function.QUOTE, "quotes")])
async def test_an_answer_that_the_database_refuses_takes_no_call_beside_it_down(
    resources: Resources, function: Function, table: str, how: str
) -> None:
    async with acquire(resources.db) as connection:
        await connection.execute(REFUSING[how].format(table=table))
        for symbol in ("AAPL", "IBM", "MSFT"):
            await rows.enqueue(connection, resources.budget, function, [symbol], CallClass.USER)
    left = iter([True, True, True, False])

    assert 3 == await work.work_queue(resources, keep_on=lambda: next(left))

    assert [("AAPL", "ok"), ("IBM", "no_data"), ("MSFT", "ok")] == await outcomes(resources)


@pytest.mark.parametrize("how", list(REFUSING))
async def test_bars_that_the_database_refuses_are_remembered_as_none(resources: Resources, how: str) -> None:
    await answer(resources, Function.DAILY, "IBM", bar(date(2026, 11, 25)))
    async with acquire(resources.db) as connection:
        await connection.execute(REFUSING[how].format(table="daily_bars"))
    await answer(resources, Function.DAILY, "IBM", bar(date(2026, 11, 27)))

    async with acquire(resources.db) as connection:
        assert await bars.select_bars_refused(connection, SOURCE, "IBM")
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
    assert [date(2026, 11, 25)] == await days(resources)


@pytest.mark.parametrize(
    "odd",
    [
        Price("IBM", Decimal("NaN"), date(2026, 11, 27)),
        Price("IBM", Decimal(10), date(2026, 11, 27), volume=2**63),
        Price("IBM", Decimal("1e200000"), date(2026, 11, 27)),
        Price("IBM\0", Decimal(10), date(2026, 11, 27)),
        Price("IBM" * 4000, Decimal(10), date(2026, 11, 27)),
    ],
    ids=["nan", "volume", "overflow", "nul", "no index holds it"],
)
async def test_whatever_is_wrong_with_a_value_its_call_is_settled(resources: Resources, odd: Price) -> None:
    await answer(resources, Function.QUOTE, "IBM", odd)

    [(_, outcome)] = await outcomes(resources)
    assert outcome in ("no_data", "ok")


async def test_trouble_of_the_stores_own_is_no_fault_of_the_answer(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.calls.settle.SETTLE_TIMEOUT", 0.2)
    permit = await permit_for(resources, Function.DAILY, "IBM")
    async with acquire(resources.db) as connection:
        await connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100'; END $$;
            CREATE TRIGGER refused BEFORE INSERT ON daily_bars FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )

    assert Outcome.OK == await work.carry_out(resources, permit)

    assert [("IBM", None)] == await outcomes(resources)  # counted from the lease's end


async def test_a_defect_in_one_call_takes_no_call_beside_it_down(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(function: Function, subjects: tuple[str, ...], *args: object, **named: object) -> Answer:
        return decipher(function, subjects, *args, **named) if subjects != ("IBM",) else 1 / 0  # type: ignore[arg-type,return-value]

    monkeypatch.setattr("common.provider.decipher", broken)
    async with acquire(resources.db) as connection:
        for symbol in ("AAPL", "IBM", "MSFT"):
            await rows.enqueue(connection, resources.budget, Function.QUOTE, [symbol], CallClass.USER)
    left = iter([True, True, True, False])

    await work.work_queue(resources, keep_on=lambda: next(left))

    assert [("AAPL", "ok"), ("IBM", "unavailable"), ("MSFT", "ok")] == await outcomes(resources)


def today() -> date:
    return datetime.now(NEW_YORK).date()


def on_earth() -> date:
    return (datetime.now(UTC) + timedelta(hours=14)).date()


@pytest.mark.parametrize("ahead", [1, 2, 365])
async def test_a_quote_of_a_day_to_come_freezes_no_symbol(resources: Resources, ahead: int) -> None:
    await answer(resources, Function.QUOTE, "IBM", Price("IBM", Decimal(9), today() + ahead * DAY))
    await answer(resources, Function.QUOTE, "IBM", Price("IBM", Decimal(10), today()))

    async with acquire(resources.db) as connection:
        [kept] = await quotes.select_quotes(connection, SOURCE, ["IBM"])
        assert 1 == await connection.fetchval("SELECT count(*) FROM quote_history")
    assert (Decimal(10), today()) == (kept.price.price, kept.price.trading_day)


async def test_an_exchange_in_the_east_may_be_a_day_ahead_and_no_more(resources: Resources) -> None:
    symbol = "600104.SHH"
    await answer(resources, Function.QUOTE, symbol, Price(symbol, Decimal(9), on_earth() + DAY))
    await answer(resources, Function.QUOTE, symbol, Price(symbol, Decimal(10), on_earth()))

    async with acquire(resources.db) as connection:
        [kept] = await quotes.select_quotes(connection, SOURCE, [symbol])
    assert (Decimal(10), on_earth()) == (kept.price.price, kept.price.trading_day)


async def test_bars_of_days_to_come_are_left_out(resources: Resources) -> None:
    await answer(resources, Function.DAILY, "IBM", bar(today() - DAY), bar(today()), bar(today() + DAY))

    assert [today() - DAY, today()] == await days(resources)


THANKSGIVING, SATURDAY = date(2026, 11, 26), date(2026, 11, 21)
WEDNESDAY, FRIDAY, EARLIER = date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 20)


@pytest.mark.parametrize("gone", [THANKSGIVING, SATURDAY, date(2026, 11, 22)])
async def test_a_bar_of_no_session_goes_when_the_provider_takes_it_back(resources: Resources, gone: date) -> None:
    await answer(resources, Function.DAILY, "IBM", bar(EARLIER), bar(gone), bar(FRIDAY))
    await answer(resources, Function.DAILY, "MSFT", bar(gone))
    await answer(resources, Function.DAILY, "IBM", bar(EARLIER), bar(WEDNESDAY), bar(FRIDAY))

    assert [EARLIER, WEDNESDAY, FRIDAY] == await days(resources)
    assert [gone] == await days(resources, "MSFT")


async def test_a_bar_of_a_session_stays_though_an_answer_lacks_it(resources: Resources) -> None:
    await answer(resources, Function.DAILY, "IBM", bar(EARLIER), bar(WEDNESDAY), bar(FRIDAY))
    await answer(resources, Function.DAILY, "IBM", bar(EARLIER), bar(FRIDAY))

    assert [EARLIER, WEDNESDAY, FRIDAY] == await days(resources)


@pytest.mark.parametrize("newer", [(EARLIER, WEDNESDAY), (FRIDAY,)])
async def test_a_bar_beyond_an_answers_days_stays(resources: Resources, newer: tuple[date, ...]) -> None:
    await answer(resources, Function.DAILY, "IBM", bar(THANKSGIVING))
    await answer(resources, Function.DAILY, "IBM", *map(bar, newer))

    assert THANKSGIVING in await days(resources)


async def test_abroad_only_weekends_are_known_to_be_no_sessions(resources: Resources) -> None:
    odd = (EARLIER, SATURDAY, THANKSGIVING, FRIDAY)
    await answer(resources, Function.DAILY, "TSCO.LON", *map(bar, odd))
    await answer(resources, Function.DAILY, "TSCO.LON", bar(EARLIER), bar(FRIDAY))

    assert [EARLIER, THANKSGIVING, FRIDAY] == await days(resources, "TSCO.LON")


@pytest.fixture
async def throttling(
    resources: Resources, aiohttp_server: AiohttpServer
) -> AsyncIterator[Callable[..., Awaitable[Resources]]]:
    """Resources whose provider answers 429, with these headers, and a body whose end never comes."""
    over = asyncio.Event()

    async def start(**headers: str) -> Resources:
        async def refuse(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=429, headers={SIMULATOR: "1", **headers})
            await response.prepare(request)
            await response.write(b'{"Information": "the parameter apikey is invalid or missing')
            await over.wait()
            return response

        app = web.Application()
        app.router.add_get("/query", refuse)
        server = await aiohttp_server(app)
        url = str(server.make_url("")).rstrip("/")
        return replace(resources, provider=replace(resources.provider, base_url=url))

    yield start
    over.set()


@pytest.mark.parametrize(
    ("headers", "seconds", "reason"),
    [
        ({}, 60, "throttled_minute"),
        ({"Retry-After": "30"}, 60, "throttled_minute"),
        ({"Retry-After": "soon"}, 60, "throttled_minute"),
        ({"Retry-After": "600"}, 600, "retry_after"),
        ({"Retry-After": "999999999"}, 86400, "retry_after"),
        ({"Date": "Fri, 27 Nov 2020 19:00:00 GMT", "Retry-After": "Fri, 27 Nov 2020 19:10:00 GMT"}, 600, "retry_after"),
        (
            {"Date": "Fri, 27 Nov 2020 19:00:00 GMT", "Retry-After": "Fri, 27 Nov 2020 18:00:00 GMT"},
            60,
            "throttled_minute",
        ),
    ],
)
async def test_a_status_that_throttles_holds_all_calls_for_as_long_as_it_says(
    throttling: Callable[..., Awaitable[Resources]], headers: dict[str, str], seconds: int, reason: str
) -> None:
    throttled = await throttling(**headers)

    assert Outcome.THROTTLED_MINUTE == await work.carry_out(
        throttled, await permit_for(throttled, Function.QUOTE, "IBM")
    )
    for _ in range(2):  # the first that hears of a hold may shorten it
        told = await permits.obtain_permit(throttled)

    assert isinstance(told, Wait)
    assert told.wait is not None
    assert (reason, True) == (told.reason, timedelta(seconds=seconds - 10) < told.wait <= timedelta(seconds=seconds))
    async with acquire(throttled.db) as connection:
        assert 1 == await connection.fetchval("SELECT count(*) FROM demand WHERE call IS NULL")  # it is asked for again


async def test_a_premium_plan_gets_the_running_day_and_not_the_last_finished_one(
    resources: Resources, aiohttp_server: AiohttpServer
) -> None:
    server = await aiohttp_server(create_app(Config(limits=resources.settings.limits, entitled=True)))
    url = str(server.make_url("")).rstrip("/")
    premium = replace(resources.settings, provider_base_url=url, provider_data="realtime", bulk=True)
    async with open_resources(premium, name="tests", statement_timeout=10) as opened:
        [price] = await fetch(opened.provider, await permit_for(opened, Function.QUOTE, "IBM"))
        unentitled = replace(opened.provider, entitlement="")
        [closed] = await fetch(unentitled, await permit_for(opened, Function.QUOTE, "AAPL"))

    assert isinstance(price, Price)
    assert isinstance(closed, Price)
    assert closed.trading_day < price.trading_day


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(asked=ANSWERS)
async def test_no_odd_answer_leaves_a_call_unsettled(resources: Resources, asked: tuple[Function, bytes]) -> None:
    function, body = asked
    async with acquire(resources.db) as connection:
        await connection.execute("DELETE FROM demand")
        await gate.update_released(connection, resources.budget.account)
    bulk = function is Function.BULK
    permit = await permit_for(resources, Function.QUOTE if bulk else function, SUBJECTS.get(function, SYMBOLS[0]))
    grant = replace(permit.grant, function=function, subjects=SYMBOLS) if bulk else permit.grant
    outcome, values = read(function, grant.subjects, body)

    await settle(resources, grant, outcome, values)

    async with acquire(resources.db) as connection:
        recorded = await connection.fetchval("SELECT outcome FROM calls WHERE id = $1", grant.id)
        assert recorded == outcome or (recorded == Outcome.UNKNOWN_NOTICE and outcome in BLAMES_SYMBOL)
        assert 0 == await connection.fetchval("SELECT count(*) FROM calls WHERE outcome IS NULL")


def read(function: Function, subjects: tuple[str, ...], body: bytes) -> tuple[Outcome, Answer]:
    try:
        return Outcome.OK, decipher(function, subjects, 200, body)
    except Refusal as refusal:
        return refusal.outcome, ()
