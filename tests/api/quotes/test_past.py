"""Charts, history, search, the overview and many quotes at once, over the real stores and the simulator."""

from functools import partial

import pytest
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from api.quotes.listing import LISTING
from common.calls import permits, work
from common.core.models import CallClass, Function
from common.provider import Permit
from common.store.budget import queue as rows
from common.store.connection.pool import acquire
from common.store.market import feed
from tests.api.conftest import Client, OpenApi, Provider, a_quote, followed, price_of
from tests.harness.polling import eventually


async def body(api: Client, path: str) -> tuple[int, object]:
    async with api.get(path) as answer:
        return answer.status, await answer.json()


async def test_a_chart_is_thirty_trading_days_oldest_first_and_costs_one_call(api: Client, provider: Provider) -> None:
    status, chart = await body(api, "/api/stock/ibm/chart?wait=10")
    again = await body(api, "/api/stock/IBM/chart")

    assert 200 == status
    assert isinstance(chart, dict)
    assert ("IBM", 30) == (chart["symbol"], len(chart["data"]))
    days = [row["date"] for row in chart["data"]]
    assert sorted(days) == days
    assert {"date", "open", "high", "low", "close", "volume", "partial"} == set(chart["data"][0])
    assert (200, chart) == again
    assert ["IBM"] == await provider.asked()


async def test_a_chart_of_so_many_days(api: Client) -> None:
    _, chart = await body(api, "/api/stock/IBM/chart?days=100&wait=10")

    assert isinstance(chart, dict)
    assert 100 == len(chart["data"])


async def test_an_unknown_symbols_chart_is_remembered_as_unknown(api: Client, provider: Provider) -> None:
    for _ in range(2):
        status, error = await body(api, "/api/stock/NOSUCH/chart?wait=10")
        assert isinstance(error, dict)
        assert (404, "unknown_symbol") == (status, error["code"])

    assert 1 == len(await provider.asked())


@pytest.mark.parametrize("query", ["days=0", "days=-1", "days=abc", "days=101", "days=1.5", "wait=-1"])
async def test_a_chart_of_no_possible_length_is_refused(api: Client, query: str) -> None:
    status, error = await body(api, f"/api/stock/IBM/chart?{query}")

    assert isinstance(error, dict)
    assert (400, "invalid_request") == (status, error["code"])


async def test_history_is_paged_by_the_time_of_the_last_quote(api: Client) -> None:
    assert api.app is not None
    await body(api, "/api/stock/IBM?wait=10")
    async with acquire(api.app[RESOURCES].db) as connection:
        await connection.execute(
            """
            INSERT INTO quote_history (symbol, fetched_at, source, price, volume, trading_day)
            SELECT 'OLD', timestamptz '2026-11-20 15:00Z' + n * interval '1 minute', 'simulated', n + 1, n, '2026-11-20'
            FROM generate_series(0, 4) AS n
            """
        )

    _, first = await body(api, "/api/stock/OLD/history?from=2026-11-20&to=2026-11-20&limit=3")
    assert isinstance(first, dict)
    _, rest = await body(api, f"/api/stock/OLD/history?limit=3&after={first['next']}")

    assert isinstance(rest, dict)
    assert [1.0, 2.0, 3.0, 4.0, 5.0] == [row["price"] for row in first["quotes"] + rest["quotes"]]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "query",
    ["from=2026-11-21&to=2026-11-19", "from=yesterday", "to=2026-11-20T10:00", "limit=0", "limit=501", "after=x"],
)
async def test_history_between_impossible_times_is_refused(api: Client, query: str) -> None:
    status, error = await body(api, f"/api/stock/IBM/history?{query}")

    assert isinstance(error, dict)
    assert (400, "invalid_request") == (status, error["code"])


async def load_listing(api: Client) -> None:
    """Ask the simulator for its listing as a worker would, and wait until this process has it."""
    assert api.app is not None
    resources, listing = api.app[RESOURCES], api.app[LISTING]
    async with acquire(resources.db) as connection:
        await rows.enqueue(connection, resources.budget, Function.LISTING, ["US"], CallClass.OPERATOR)
    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    await work.carry_out(resources, permit)

    async def listed() -> bool:
        return listing.refreshed_at is not None

    await eventually(listed)


async def test_typing_is_answered_from_the_listing_and_costs_no_call(api: Client, provider: Provider) -> None:
    await load_listing(api)
    asked = len(await provider.asked())

    status, found = await body(api, "/api/search/apple")

    assert 200 == status
    assert isinstance(found, list)
    assert {"symbol": "AAPL", "type": "Equity", "region": "United States", "currency": "USD"}.items() <= found[
        0
    ].items()
    assert asked == len(await provider.asked())


async def test_without_a_local_hit_the_provider_is_asked_once(api: Client, provider: Provider) -> None:
    first = await body(api, "/api/search/tesco")
    again = await body(api, "/api/search/TESCO")

    assert 200 == first[0]
    assert isinstance(first[1], list)
    assert "TSCO.LON" in [row["symbol"] for row in first[1]]
    assert first == again
    assert 1 == len(await provider.asked())


@pytest.mark.parametrize("query", ["%01", "%20", "a" * 101, "%F0%9F%98%80"])
async def test_what_cannot_be_a_search_is_refused(api: Client, query: str) -> None:
    status, error = await body(api, f"/api/search/{query}")

    assert isinstance(error, dict)
    assert (400, "invalid_request") == (status, error["code"])


async def test_the_overview_lists_the_quotes_there_are_in_the_settings_order(open_api: OpenApi) -> None:
    api = await open_api(overview_symbols=("MSFT", "AAPL", "NFLX"))
    for symbol in ("AAPL", "MSFT"):
        await body(api, f"/api/stock/{symbol}?wait=10")

    status, listed = await body(api, "/api/market/overview")

    assert 200 == status
    assert isinstance(listed, list)
    assert ["MSFT", "AAPL"] == [quote["symbol"] for quote in listed]


async def test_the_overview_is_never_older_than_what_a_quote_alone_told(open_api: OpenApi, redis: Redis) -> None:
    api = await open_api(overview_symbols=("AAPL",))
    await eventually(partial(followed, api))
    for price in ("1", "2", "3"):
        await feed.publish(redis, a_quote("AAPL", price))

        async def told(price: str = price) -> bool:
            return float(price) == await price_of(api, "AAPL")

        await eventually(told)
        _, listed = await body(api, "/api/market/overview")
        assert [float(price)] == [quote["price"] for quote in listed]  # type: ignore[attr-defined]


async def test_many_quotes_come_in_one_answer_and_what_lacks_is_named(api: Client, provider: Provider) -> None:
    await body(api, "/api/stock/AAPL?wait=10")
    await body(api, "/api/stock/NOSUCH?wait=10")
    asked = await provider.asked()

    status, many = await body(api, "/api/stocks?symbols=aapl,NOSUCH,ORCL,AAPL")

    assert 200 == status
    assert isinstance(many, dict)
    assert ["AAPL"] == [quote["symbol"] for quote in many["quotes"]]
    assert [{"symbol": "NOSUCH", "reason": "unknown_symbol"}, {"symbol": "ORCL", "reason": "no_quote"}] == many[
        "missing"
    ]
    assert asked == await provider.asked()


@pytest.mark.parametrize(
    "query",
    [
        "symbols=B,A,C",
        "symbols=B&symbols=A&symbols=C",
        "symbols[]=B&symbols[]=A&symbols[]=C",
        "symbols%5B%5D=B&symbols%5B%5D=A,C",
        "symbols[0]=B&symbols[1]=A&symbols[2]=C",
        "symbols=B&symbols[]=A,C",
        "symbols=B&symbols[]=A&symbols[7]=C&symbols=",
        "symbols=b&symbols=A&symbols[]=B,a&symbols=c&symbols=C",
    ],
)
async def test_a_list_of_symbols_is_taken_as_clients_write_it(api: Client, query: str) -> None:
    status, many = await body(api, f"/api/stocks?{query}")

    assert isinstance(many, dict)
    assert (200, ["B", "A", "C"]) == (status, [lacking["symbol"] for lacking in many["missing"]])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_request"),
        ("symbols=", "invalid_request"),
        ("symbols=&symbols[]=", "invalid_request"),
        ("symbol=A&symbol=B", "invalid_request"),
        ("symbols[a]=A", "invalid_request"),
        ("symbols[][]=A", "invalid_request"),
        ("symbols[=A", "invalid_request"),
        ("symbols=A&more[]=B", "invalid_request"),
        ("&".join(f"symbols[]=S{n}" for n in range(101)), "invalid_request"),
        ("symbols=A&symbols=B,,C", "invalid_symbol"),
        ("symbols=" + ",".join(f"S{n}" for n in range(101)), "invalid_request"),
        ("symbols=A,,B", "invalid_symbol"),
        ("symbols=A%01", "invalid_symbol"),
    ],
)
async def test_a_list_of_symbols_that_is_none_is_refused(api: Client, query: str, code: str) -> None:
    status, error = await body(api, f"/api/stocks?{query}")

    assert isinstance(error, dict)
    assert (400, code) == (status, error["code"])
