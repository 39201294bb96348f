"""Quotes over HTTP: what is known is served at once, a miss goes live within a bound, and no call is made twice."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import time_machine
from redis.asyncio import Redis
from yarl import URL

from api.accounts.requesters import Requester
from api.quotes.lookup import QUOTES
from common.calls import permits, work
from common.core.limits import parse_limits
from common.core.models import CallClass, Function, Quote
from common.process.resources import open_resources
from common.process.settings import Settings
from common.provider import Permit
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from common.store.market import feed
from common.store.market.quotes import upsert_quote
from tests.api.conftest import Client, OpenApi, Provider, a_quote, fill_line, price_of
from tests.harness.polling import BUSY, eventually


async def save(db: asyncpg.Pool, quote: Quote) -> None:
    async with acquire(db) as connection:
        assert await upsert_quote(connection, quote)


async def demands(db: asyncpg.Pool) -> list[str]:
    return [row["subject"] for row in await db.fetch("SELECT subject FROM demand ORDER BY subject")]


async def ask(client: Client, path: str) -> tuple[int, dict[str, Any], float]:
    """Status, body and seconds; a 503 says in two places when to come again."""
    start = time.monotonic()
    response = await client.get(URL(path, encoded=True))
    body = await response.json()
    took = time.monotonic() - start
    if response.status == 503:
        assert str(body["retry_after"]) == response.headers["Retry-After"]
        assert body["retry_after"] >= 1
    return response.status, body, took


async def test_a_miss_goes_live_and_answers_the_fixed_shape(api: Client) -> None:
    status, body, _ = await ask(api, "/api/stock/AAPL")
    fetched_at, fresh_until = datetime.fromisoformat(body["fetched_at"]), datetime.fromisoformat(body["fresh_until"])

    assert 200 == status
    assert ("AAPL", "simulated", False) == (body["symbol"], body["source"], body["stale"])
    assert isinstance(body["price"], float)
    assert isinstance(body["change"], float)
    assert float(body["change_percent"]) == pytest.approx(body["change"] / body["previous_close"] * 100, abs=0.01)
    assert isinstance(body["volume"], int)
    assert datetime.strptime(body["timestamp"], "%Y-%m-%d")  # noqa: DTZ007
    assert body["low"] <= body["price"] <= body["high"]
    assert body["low"] <= body["open"] <= body["high"]
    assert timedelta(seconds=60) == fresh_until - fetched_at
    assert abs(datetime.now(UTC) - fetched_at) < timedelta(minutes=1)
    assert "reason" not in body


async def test_a_second_read_makes_no_call(api: Client, provider: Provider, db: asyncpg.Pool) -> None:
    first = await ask(api, "/api/stock/AAPL")
    second = await ask(api, "/api/stock/aapl")

    assert first[:2] == second[:2]
    assert ["AAPL"] == await provider.asked()
    assert [] == await demands(db)


async def test_a_new_process_serves_what_another_has_fetched(
    api: Client, open_api: OpenApi, provider: Provider
) -> None:
    _, known, _ = await ask(api, "/api/stock/AAPL")
    other = await open_api()

    assert (200, known) == (await ask(other, "/api/stock/AAPL"))[:2]
    assert ["AAPL"] == await provider.asked()


async def test_an_unknown_symbol_is_404_and_asked_for_once(
    api: Client, open_api: OpenApi, provider: Provider, db: asyncpg.Pool
) -> None:
    first = await ask(api, "/api/stock/NOPE")
    second = await ask(api, "/api/stock/NOPE")
    elsewhere = await ask(await open_api(), "/api/stock/nope")

    assert [404] * 3 == [first[0], second[0], elsewhere[0]]
    assert ["unknown_symbol"] * 3 == [first[1]["code"], second[1]["code"], elsewhere[1]["code"]]
    assert ["NOPE"] == await provider.asked()
    assert [] == await demands(db)


async def test_an_unknown_symbol_is_asked_for_again_after_an_hour(
    api: Client, provider: Provider, db: asyncpg.Pool
) -> None:
    await ask(api, "/api/stock/NOPE")
    await db.execute("UPDATE attempts SET at = at - interval '61 minutes'")
    await ask(api, "/api/stock/NOPE")

    assert ["NOPE", "NOPE"] == await provider.asked()


async def test_twenty_readers_of_one_cold_symbol_in_two_processes_make_one_call(
    open_api: OpenApi, provider: Provider
) -> None:
    processes = [await open_api(), await open_api()]
    await provider.fault("slow", delay=0.3)
    answers = await asyncio.gather(*(ask(processes[n % 2], "/api/stock/AAPL?wait=10") for n in range(20)))

    assert {200} == {status for status, _, _ in answers}
    assert 1 == len({body["price"] for _, body, _ in answers})
    assert ["AAPL"] == await provider.asked()


async def test_readers_of_one_unknown_symbol_make_one_call(open_api: OpenApi, provider: Provider) -> None:
    processes = [await open_api(), await open_api()]
    answers = await asyncio.gather(*(ask(processes[n % 2], "/api/stock/NOPE?wait=10") for n in range(10)))

    assert {404} == {status for status, _, _ in answers}
    assert ["NOPE"] == await provider.asked()


async def test_readers_of_different_symbols_make_one_call_each(api: Client, provider: Provider) -> None:
    symbols = ["AAPL", "IBM", "MSFT", "TSLA", "BRK-B"]
    answers = await asyncio.gather(*(ask(api, f"/api/stock/{symbol}?wait=10") for symbol in symbols * 2))

    assert {200} == {status for status, _, _ in answers}
    assert symbols * 2 == [body["symbol"] for _, body, _ in answers]
    assert sorted(symbols) == sorted(await provider.asked())


async def test_a_provider_that_hangs_is_waited_for_no_longer_than_the_bound(
    open_api: OpenApi, provider: Provider, db: asyncpg.Pool
) -> None:
    api = await open_api(miss_wait=timedelta(seconds=0.5), provider_timeout=timedelta(seconds=1))
    await provider.fault("hang")
    status, body, took = await ask(api, "/api/stock/AAPL")

    assert (503, "quote_pending") == (status, body["code"])
    assert 0.5 <= took < 0.5 + BUSY
    assert ["AAPL"] == await demands(db)


async def test_a_call_that_outlasts_its_reader_is_not_lost(api: Client, provider: Provider) -> None:
    await provider.fault("slow", delay=0.5)
    status, body, _ = await ask(api, "/api/stock/AAPL?wait=0.1")

    assert (503, "quote_pending") == (status, body["code"])

    async def served() -> bool:
        return await price_of(api, "AAPL") is not None

    await eventually(served)
    assert ["AAPL"] == await provider.asked()


async def test_a_quote_that_comes_between_the_look_and_the_line_leaves_no_demand(
    api: Client, db: asyncpg.Pool, provider: Provider
) -> None:
    """A demand that is left behind costs a call for what is known."""
    assert api.app is not None
    await save(db, a_quote("AAPL", "10"))
    quote = await api.app[QUOTES].obtain("AAPL", wait=1, by=Requester("network:1", None))

    assert "AAPL" == quote.symbol
    assert [] == await demands(db)
    assert [] == await provider.asked()


async def test_nobody_waits_for_the_hanging_call_of_another_symbol(api: Client, provider: Provider) -> None:
    await provider.fault("hang", symbol="IBM")
    await ask(api, "/api/stock/IBM?wait=0")
    status, _, took = await ask(api, "/api/stock/AAPL?wait=10")

    assert 200 == status
    assert took < BUSY  # the provider is given up after five seconds


async def test_without_waiting_a_miss_is_pending_at_once_and_stands_in_the_line(
    api: Client, provider: Provider, db: asyncpg.Pool
) -> None:
    status, body, took = await ask(api, "/api/stock/brk.b?wait=0")
    row = await db.fetchrow("SELECT subject, class FROM demand")

    assert (503, "quote_pending") == (status, body["code"])
    assert took < BUSY
    assert ("BRK-B", CallClass.STRANGER) == (row["subject"], row["class"])
    assert [] == await provider.asked()


async def test_a_wrong_wait_is_refused_by_its_name(api: Client, provider: Provider, db: asyncpg.Pool) -> None:
    for wait in ("abc", "-1", "21", "20.01", "nan", "inf", "-inf", "1e3", "", "1,5", "0x1", "%00"):
        status, body, _ = await ask(api, f"/api/stock/AAPL?wait={wait}")

        assert (400, "invalid_request") == (status, body["code"]), wait
        assert body["error"].startswith("wait: expected seconds from 0 to 20")
    assert ([], []) == (await provider.asked(), await demands(db))


@pytest.mark.parametrize("wait", ["20", "0.5", "2."])
async def test_a_number_of_seconds_up_to_20_is_a_wait(api: Client, wait: str) -> None:
    assert 200 == (await ask(api, f"/api/stock/AAPL?wait={wait}"))[0]


SPELLINGS = {
    "BC%2FPB": "BC/PB",
    "%5EGSPC": "^GSPC",
    "^DJI": "^DJI",
    "m%26m.bse": "M&M.BSE",
    "brk.b": "BRK-B",
    "GBP%3DX": "GBP=X",
    "A+B": "A+B",
    "BTC%3AUSD": "BTC:USD",
    "%20ibm%20": "IBM",
    "TSCO.LON": "TSCO.LON",
}


async def test_a_symbol_reaches_the_provider_as_it_is_meant(api: Client, provider: Provider) -> None:
    answers = [await ask(api, f"/api/stock/{path}") for path in SPELLINGS]

    assert list(SPELLINGS.values()) == await provider.asked()
    assert {200, 404} == {status for status, _, _ in answers}
    for (status, body, _), symbol in zip(answers, SPELLINGS.values(), strict=True):
        assert symbol == body["symbol"] if status == 200 else body["code"] == "unknown_symbol"


MALFORMED = ["%00", "A%00", "A%20B", "A" * 21, "%3Cscript%3E", "%C3%A9", "%ED%A0%80", "%FF", "-A", ".A", "A%0A", "%20"]
MALFORMED += ["A;B", "A%25", "'", "%2e%2e%2fetc", "A*", "%D9%A1"]


async def test_a_malformed_symbol_is_refused(api: Client, provider: Provider, db: asyncpg.Pool) -> None:
    answers = {path: await ask(api, f"/api/stock/{path}") for path in MALFORMED}
    codes = {path: (status, body["code"]) for path, (status, body, _) in answers.items()}

    assert dict.fromkeys(MALFORMED, (400, "invalid_symbol")) == codes
    assert ([], []) == (await provider.asked(), await demands(db))


async def test_a_letter_that_only_turns_into_a_symbol_in_upper_case_is_refused(api: Client, provider: Provider) -> None:
    """A sharp s, a dotless i and a ligature are `SS`, `I` and `FI` in upper case."""
    statuses = [(await ask(api, f"/api/stock/{path}"))[0] for path in ("%C3%9F", "%C4%B1bm", "%EF%AC%81")]

    assert [400, 400, 400] == statuses
    assert [] == await provider.asked()


@pytest.mark.parametrize("kind", ["zero_price", "null_price", "garbage", "http_503", "empty_object", "truncated"])
async def test_a_failed_fetch_never_replaces_a_good_quote(
    api: Client, ready: Settings, provider: Provider, db: asyncpg.Pool, kind: str
) -> None:
    _, before, _ = await ask(api, "/api/stock/AAPL")
    await provider.fault(kind)
    async with open_resources(ready, name="worker", statement_timeout=5) as worker:
        async with acquire(worker.db) as connection:
            await enqueue(connection, worker.budget, Function.QUOTE, ["AAPL"], CallClass.OPERATOR)
        permit = await permits.obtain_permit(worker)
        assert isinstance(permit, Permit)
        outcome = await work.carry_out(worker, permit)
    _, after, _ = await ask(api, "/api/stock/AAPL")

    assert outcome != "ok"
    assert ["AAPL", "AAPL"] == await provider.asked()
    assert before == after
    assert 1 == await db.fetchval("SELECT count(*) FROM quotes WHERE symbol = 'AAPL'")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("notice:bad_key", "provider_unavailable"),
        ("notice:not_entitled", "provider_unavailable"),
        ("notice:throttled_minute", "quote_pending"),
        ("notice:throttled_second", "quote_pending"),
        ("notice:day_used_up", "quote_pending"),
        ("notice:unknown_notice", "quote_pending"),
        ("http_503", "quote_pending"),
        ("html_200", "quote_pending"),
        ("reset", "quote_pending"),
        ("cut_off", "quote_pending"),
        ("huge", "quote_pending"),
    ],
)
async def test_a_provider_that_refuses_is_503_in_our_own_words(
    api: Client, provider: Provider, kind: str, code: str
) -> None:
    wait = 0.3 if code == "quote_pending" else 5.0  # a refusal ends the wait, however slow this machine is
    await provider.fault(kind)
    status, body, took = await ask(api, f"/api/stock/AAPL?wait={wait}")

    assert (503, code) == (status, body["code"])
    assert took < wait + BUSY
    assert {"error", "code", "request_id", "retry_after"} == set(body)
    assert not any(word in body["error"].lower() for word in ("alpha vantage", "thank", "premium", "api key", "html"))


async def test_a_passing_fault_is_tried_again_within_the_wait(api: Client, provider: Provider) -> None:
    await provider.fault("http_503", count=1)
    status, _, _ = await ask(api, "/api/stock/AAPL?wait=10")

    assert 200 == status
    assert ["AAPL", "AAPL"] == await provider.asked()


async def test_a_throttled_provider_is_not_asked_again(api: Client, provider: Provider) -> None:
    await provider.fault("notice:throttled_minute")
    await ask(api, "/api/stock/AAPL?wait=0.2")
    await ask(api, "/api/stock/AAPL?wait=0.2")
    await ask(api, "/api/stock/IBM?wait=0.2")

    assert ["AAPL"] == await provider.asked()


async def test_a_spent_limit_keeps_a_miss_in_the_line_and_tells_its_rank(
    open_api: OpenApi, provider: Provider, db: asyncpg.Pool
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    first = await ask(api, "/api/stock/AAPL")
    second = await ask(api, "/api/stock/IBM?wait=0.2")
    third = await ask(api, "/api/stock/MSFT?wait=0")

    assert [200, 503, 503] == [first[0], second[0], third[0]]
    assert 60 <= second[1]["retry_after"] <= 62
    assert 120 <= third[1]["retry_after"] <= 123
    assert ["IBM", "MSFT"] == await demands(db)
    assert ["AAPL"] == await provider.asked()


async def test_a_stale_quote_is_served_at_once_and_says_why(api: Client, provider: Provider, db: asyncpg.Pool) -> None:
    await save(db, a_quote("AAPL", "123.45", age=3600))
    status, body, _ = await ask(api, "/api/stock/AAPL?wait=0")

    assert (200, 123.45, True, "budget") == (status, body["price"], body["stale"], body["reason"])
    assert [None] * 4 == [body[name] for name in ("change", "change_percent", "volume", "previous_close")]
    assert [] == await provider.asked()


async def test_a_quote_goes_stale_when_its_time_is_over(open_api: OpenApi, db: asyncpg.Pool) -> None:
    await save(db, a_quote("AAPL", "10", age=50))
    api = await open_api()
    short = await open_api(quote_ttl=timedelta(seconds=40))

    assert not (await ask(api, "/api/stock/AAPL"))[1]["stale"]
    assert (await ask(short, "/api/stock/AAPL"))[1]["stale"]


async def test_on_a_saturday_fridays_quote_says_that_the_market_is_closed(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(market_hours="nyse", provider_data="realtime")
    noon = datetime(2026, 11, 13, 17, tzinfo=UTC)
    quote = a_quote("AAPL", "10")
    await save(db, Quote(quote.price, quote.source, noon))
    await ask(api, "/api/stock/AAPL")
    with time_machine.travel(noon + timedelta(days=1)):
        status, body, _ = await ask(api, "/api/stock/AAPL?wait=0")

    assert (200, True, "market_closed") == (status, body["stale"], body["reason"])


async def test_a_quote_of_another_source_is_not_served(api: Client, db: asyncpg.Pool, redis: Redis) -> None:
    real = a_quote("AAPL", "10", source="alphavantage")
    await save(db, real)
    await feed.publish(redis, real)
    status, body, _ = await ask(api, "/api/stock/AAPL?wait=0")

    assert (503, "quote_pending") == (status, body["code"])


async def test_a_quote_of_another_source_is_replaced_by_a_live_one(api: Client, db: asyncpg.Pool) -> None:
    await save(db, a_quote("AAPL", "10", source="alphavantage"))
    status, body, _ = await ask(api, "/api/stock/AAPL")

    assert (200, "simulated") == (status, body["source"])


async def test_a_full_line_takes_no_more_and_says_so(api: Client, db: asyncpg.Pool, provider: Provider) -> None:
    await fill_line(api)
    status, body, _ = await ask(api, "/api/stock/AAPL")

    assert (503, "overloaded") == (status, body["code"])
    assert "AAPL" not in await demands(db)
    assert [] == await provider.asked()


async def test_who_stands_in_a_full_line_may_go_on_waiting(api: Client) -> None:
    await fill_line(api)
    status, body, _ = await ask(api, "/api/stock/SIM7?wait=0")

    assert (503, "quote_pending") == (status, body["code"])


async def test_a_full_line_does_not_stand_against_what_is_known(api: Client) -> None:
    await ask(api, "/api/stock/AAPL")
    await fill_line(api)

    assert 200 == (await ask(api, "/api/stock/AAPL"))[0]


async def test_one_address_may_want_three_cold_symbols_a_minute_at_a_small_limit(
    open_api: OpenApi, db: asyncpg.Pool
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    wanted = [await ask(api, f"/api/stock/{symbol}?wait=0") for symbol in ("AAPL", "IBM", "MSFT")]
    again = await ask(api, "/api/stock/IBM?wait=0")
    response = await api.get("/api/stock/TSLA?wait=0")

    assert ["quote_pending"] * 4 == [body["code"] for _, body, _ in (*wanted, again)]
    assert (429, "rate_limited") == (response.status, (await response.json())["code"])
    assert int(response.headers["Retry-After"]) >= 1
    assert ["AAPL", "IBM", "MSFT"] == await demands(db)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Prefer": "wait=0"}, "/api/stock/COLD", 503),
        ({"Prefer": "respond-async, wait=0"}, "/api/stock/COLD", 503),
        ({"Prefer": "wait=0"}, "/api/stock/AAPL?wait=10", 200),  # the query goes before
        ({"Prefer": "wait=100"}, "/api/stock/AAPL", 200),
        ({"Prefer": "wait=soon"}, "/api/stock/AAPL", 200),  # no preference of ours
    ],
)
async def test_a_bound_may_be_preferred_in_a_header(
    api: Client, headers: dict[str, str], path: str, status: int
) -> None:
    async with api.get(path, headers=headers) as answer:
        assert status == answer.status
