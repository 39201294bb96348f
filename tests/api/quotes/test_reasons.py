"""Every reason that a stale quote may give, provoked in the stores and told over HTTP; the health says the same, the page knows it."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import time_machine
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from api.quotes.memory import MEMORY, Memory
from common.core.limits import parse_limits
from common.core.models import Price, Quote
from common.core.provider.outcomes import Hold
from common.core.quotes.outlook import REASONS
from common.process.resources import Resources
from common.store.budget import gate
from common.store.connection.pool import acquire
from common.store.market.quotes import upsert_quote
from tests.api.conftest import Client, OpenApi, Provider, a_quote
from tests.harness.polling import eventually

HOUR = timedelta(hours=1)
PAGES = Path(__file__).parents[3] / "api" / "pages"
WATCHED = (
    "INSERT INTO symbols (symbol, watchers, source, clock) VALUES ('AAPL', 1, 'simulated', 0) ON CONFLICT DO NOTHING"
)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test need not wait for five seconds."""
    monkeypatch.setattr("api.quotes.outlook.PERIOD", 0.05)


@pytest.fixture
async def aged(db: asyncpg.Pool) -> asyncpg.Pool:
    """A watched symbol whose quote is two minutes old."""
    async with acquire(db) as connection:
        await upsert_quote(connection, a_quote("AAPL", "10", age=120))
        await connection.execute(WATCHED)
    return db


def held_by(api: Client) -> Resources:
    assert api.app is not None
    return api.app[RESOURCES]


def memory_of(api: Client) -> Memory:
    assert api.app is not None
    return api.app[MEMORY]


async def told(api: Client) -> tuple[str | None, str | None, str | None]:
    """Reason, the expected refresh, and the health's reason."""
    memory_of(api).answers.drop("/api/stock/AAPL")
    body = await (await api.get("/api/stock/AAPL?wait=0")).json()
    health = await (await api.get("/api/health")).json()
    return body.get("reason"), body.get("next_refresh_at"), health["reason"]


async def says(api: Client, reason: str, health: str | None) -> str | None:
    """Wait until a quote and the health say so; the expected refresh."""

    async def agree() -> bool:
        found = await told(api)
        return (found[0], found[2]) == (reason, health)

    await eventually(agree)
    return (await told(api))[1]


async def hold(api: Client, reason: str, *, probing: bool = False) -> None:
    resources = held_by(api)
    async with acquire(resources.db) as connection:
        until = datetime.now(UTC) + HOUR
        await gate.upsert_hold(connection, resources.budget.account, Hold(until, reason, probing=probing))


async def test_a_quote_that_waits_for_its_turn_says_budget_and_when(aged: asyncpg.Pool, open_api: OpenApi) -> None:
    api = await open_api(limits=parse_limits("5/1min", "limits"))
    await says(api, "budget", None)

    async def promised() -> bool:
        return (await told(api))[1] is not None

    await eventually(promised)
    at = datetime.fromisoformat((await told(api))[1] or "")
    assert timedelta() < at - datetime.now(UTC) < timedelta(seconds=20)


@pytest.mark.parametrize("held_for", ["operator", "clock_jump", "retry_after"])
async def test_while_calls_are_on_hold_it_says_held_and_promises_nothing_before(
    aged: asyncpg.Pool, open_api: OpenApi, held_for: str
) -> None:
    api = await open_api()
    await hold(api, held_for)
    await says(api, "held", "held")

    async def promised() -> bool:
        return (await told(api))[1] is not None

    await eventually(promised)
    assert datetime.fromisoformat((await told(api))[1] or "") > datetime.now(UTC) + 0.9 * HOUR


async def test_a_refused_key_is_told_and_nothing_promised(
    aged: asyncpg.Pool, open_api: OpenApi, provider: Provider
) -> None:
    api = await open_api()
    await provider.fault("notice:bad_key")
    await api.get("/api/stock/IBM?wait=10")

    assert None is await says(api, "key_refused", "key_refused")


async def test_a_provider_that_does_not_answer_is_told_and_nothing_promised(
    aged: asyncpg.Pool, open_api: OpenApi, provider: Provider
) -> None:
    api = await open_api()
    await provider.fault("http_503")
    for symbol in ("IBM", "MSFT", "TSLA"):
        await api.get(f"/api/stock/{symbol}?wait=10")

    assert None is await says(api, "provider_down", "provider_down")


async def test_a_day_that_is_spent_is_told(aged: asyncpg.Pool, open_api: OpenApi) -> None:
    api = await open_api(limits=parse_limits("5/1min,1/1d", "limits"))
    assert 200 == (await api.get("/api/stock/IBM?wait=10")).status

    await says(api, "quota_spent", "quota_spent")


async def test_a_day_that_the_provider_calls_used_up_is_told(aged: asyncpg.Pool, open_api: OpenApi) -> None:
    api = await open_api()
    await hold(api, "day_used_up", probing=True)

    await says(api, "quota_spent", "quota_spent")


async def test_a_symbol_that_rests_says_no_data_and_is_not_expected_before_its_rest_is_over(
    aged: asyncpg.Pool, open_api: OpenApi
) -> None:
    api = await open_api()
    account = held_by(api).budget.account
    ends = datetime.now(UTC) + HOUR
    await aged.execute("INSERT INTO attempts VALUES ($1, 'AAPL', now(), 2, $2)", account, ends)

    at = await says(api, "no_data", None)
    assert datetime.fromisoformat(at or "") >= ends - timedelta(milliseconds=1)


async def test_on_a_weekend_the_market_is_closed(aged: asyncpg.Pool, open_api: OpenApi) -> None:
    api = await open_api(market_hours="nyse", provider_data="realtime")
    await aged.execute("UPDATE quotes SET fetched_at = '2026-11-13 17:00Z', trading_day = '2026-11-13'")
    with time_machine.travel(datetime(2026, 11, 14, 17, tzinfo=UTC)):
        body = await (await api.get("/api/stock/AAPL?wait=0")).json()
        health = await (await api.get("/api/health")).json()

    assert ("market_closed", "market_closed") == (body["reason"], health["reason"])


async def test_a_price_of_an_earlier_session_is_stale_though_it_was_fetched_just_now(
    aged: asyncpg.Pool, open_api: OpenApi
) -> None:
    api = await open_api(market_hours="nyse", provider_data="realtime")
    await aged.execute("UPDATE quotes SET fetched_at = '2026-11-16 17:00Z', trading_day = '2026-11-13'")
    with time_machine.travel(datetime(2026, 11, 16, 17, 0, 10, tzinfo=UTC)):
        body = await (await api.get("/api/stock/AAPL?wait=0")).json()

    assert (True, "provider_behind") == (body["stale"], body["reason"])
    assert "2026-11-16T14:30:00.000Z" == body["fresh_until"]


async def test_without_its_database_a_process_says_so_and_promises_nothing(
    aged: asyncpg.Pool, open_api: OpenApi
) -> None:
    api = await open_api()
    await says(api, "budget", None)
    resources = held_by(api)
    await resources.db.close()

    assert None is await says(api, "store_down", "store_down")


async def test_a_symbol_that_nobody_wants_is_promised_nothing(open_api: OpenApi, db: asyncpg.Pool) -> None:
    async with acquire(db) as connection:
        await upsert_quote(connection, a_quote("AAPL", "10", age=120))
    api = await open_api()

    assert None is await says(api, "budget", None)


def test_the_page_has_a_sentence_for_every_reason() -> None:
    page = (PAGES / "home.html").read_text()
    table = re.search(r"const WHY = \{(.*?)\};", page, re.S)

    assert table is not None
    assert set(REASONS) == set(re.findall(r"^  (\w+): ", table[1], re.M))


def test_the_operators_page_has_a_word_for_every_reason_that_stops_all() -> None:
    page = (PAGES / "operators.html").read_text()
    table = re.search(r"const WHY = \{.*?\n(.*?)\};", page, re.S)

    assert table is not None
    assert set(REASONS) - {"budget", "no_data", "provider_behind"} == set(re.findall(r"^  (\w+): ", table[1], re.M))


async def validator(api: Client, etag: str) -> tuple[int, str, dict[str, Any]]:
    async with api.get("/api/stock/AAPL?wait=0", headers={"If-None-Match": etag} if etag else {}) as answer:
        return answer.status, answer.headers["ETag"], await answer.json() if answer.status == 200 else {}


async def test_an_estimate_that_moves_does_not_change_the_validator(aged: asyncpg.Pool, open_api: OpenApi) -> None:
    api = await open_api(limits=parse_limits("5/1min", "limits"))

    async def promised() -> bool:
        return (await told(api))[1] is not None

    await eventually(promised)
    _, tag, first = await validator(api, "")

    async def moved() -> bool:
        return bool((await validator(api, ""))[2]["next_refresh_at"] != first["next_refresh_at"])

    await eventually(moved)

    assert tag.startswith('W/"')
    assert 304 == (await validator(api, tag))[0]
    assert 304 == (await validator(api, tag.removeprefix("W/")))[0]  # as a cache that knows no weak ones sends it


async def test_a_304_hides_no_other_reason_and_no_other_price(
    aged: asyncpg.Pool, open_api: OpenApi, redis: Redis
) -> None:
    api = await open_api(limits=parse_limits("5/1min", "limits"))

    async def promised() -> bool:
        return (await told(api))[1] is not None

    await eventually(promised)
    _, waiting, _ = await validator(api, "")
    await hold(api, "operator")
    await says(api, "held", "held")
    status, etag, body = await validator(api, waiting)
    newer = Quote(
        Price("AAPL", Decimal(11), date(2026, 11, 27)), "simulated", datetime.now(UTC) - timedelta(seconds=90)
    )
    memory_of(api).remember(newer)
    later = await validator(api, etag)

    assert (200, "held") == (status, body["reason"])
    assert (200, 11.0) == (later[0], later[2]["price"])
