"""Calls over a real socket."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from os import urandom
from time import monotonic

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from common.core.limits import parse_limits
from simulator.app import create_app
from simulator.config import Config

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "BRK-B", "apikey": "KEY-OF-ALICE"}


def config(limits: str = "1000/1s", *, latency: float = 0.0, at: float = 0.0) -> Config:
    return Config(
        limits=parse_limits(limits, "limits"), latency=(latency, latency), now=lambda: NOW, monotonic=lambda: at
    )


async def test_a_quote_is_json_with_four_spaces_and_the_simulators_mark(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config()))
    response = await client.get("/query", params=QUOTE)
    text = await response.text()

    assert (response.status, response.content_type) == (200, "application/json")
    assert "1" == response.headers["X-Quotewell-Simulator"]
    assert text.startswith('{\n    "Global Quote": {\n        "01. symbol": "BRK-B",')


async def test_a_symbol_with_an_ampersand_comes_through(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config()))
    response = await client.get("/query", params={**QUOTE, "symbol": "M&M.BSE"})

    assert "M&M.BSE" == (await response.json())["Global Quote"]["01. symbol"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/csv", 406), ("application/json", 200), ("text/csv, */*;q=0.1", 200), ("text/html", 406)],
)
async def test_only_callers_who_accept_json_are_served(aiohttp_client: AiohttpClient, accept: str, status: int) -> None:
    client = await aiohttp_client(create_app(config()))
    response = await client.get("/query", params=QUOTE, headers={"Accept": accept})

    assert response.status == status
    assert "1" == response.headers["X-Quotewell-Simulator"]
    if status == 406:
        assert {"detail": "Could not satisfy the request Accept header."} == await response.json()


async def test_a_call_over_the_limit_gets_the_notice_and_is_recorded(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config("2/1d")))
    bodies = [await (await client.get("/query", params=QUOTE)).json() for _ in range(3)]
    calls = await (await client.get("/_calls")).json()

    assert [["Global Quote"], ["Global Quote"], ["Information"]] == [list(body) for body in bodies]
    assert "KEY-OF-ALICE" in bodies[2]["Information"]
    assert ["ok", "ok", "over_limit:2/1d"] == [call["outcome"] for call in calls["calls"]]
    assert (3, 1, {"2/1d": 3}) == (calls["total"], calls["over_limit"], calls["max_in_window"])


async def test_the_journal_has_each_call_but_never_the_key(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config(at=12.5)))
    await client.get("/query", params=QUOTE)
    await client.get("/query", params={**QUOTE, "symbol": "nope"})
    text = await (await client.get("/_calls", params={"since": "1"})).text()

    assert "ALICE" not in text
    assert [
        {
            "at": 12.5,
            "time": "2026-11-20T19:00:00+00:00",
            "function": "GLOBAL_QUOTE",
            "symbol": "NOPE",
            "outcome": "no_data",
            "answered": True,
        }
    ] == json.loads(text)["calls"]


async def test_calls_that_arrive_together_are_all_judged(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config("5/1min", latency=0.02)))
    await asyncio.gather(*(client.get("/query", params=QUOTE) for _ in range(12)))
    calls = await (await client.get("/_calls")).json()

    assert (12, 7) == (calls["total"], calls["over_limit"])


@pytest.mark.parametrize("params", [{"function": "TIME_SERIES_WEEKLY"}, {"function": "OVERVIEW"}])
async def test_a_quote_does_not_wait_for_years_of_days(aiohttp_client: AiohttpClient, params: dict[str, str]) -> None:
    cold = replace(config(), seed=int.from_bytes(urandom(4)))  # nothing of it is cached
    client = await aiohttp_client(create_app(cold))
    answered: list[str] = []

    async def call(**query: str) -> None:
        response = await client.get("/query", params={**QUOTE, **query})
        answered.append(query["function"])
        assert 200 == response.status

    await asyncio.gather(call(**params, symbol="IBM"), call(function="GLOBAL_QUOTE", symbol="IBM"))

    assert ["GLOBAL_QUOTE", params["function"]] == answered


async def test_an_answer_takes_as_long_as_the_latency(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config(latency=0.1)))
    start = monotonic()
    await client.get("/query", params=QUOTE)

    assert monotonic() - start >= 0.1


@pytest.mark.parametrize(
    ("params", "name", "columns"),
    [
        (
            {**QUOTE, "datatype": "csv"},
            "global_quote_BRK-B",
            b"symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent\r\nBRK-B,",
        ),
        (
            {"function": "LISTING_STATUS", "apikey": "KEY"},
            "listing_status",
            b"symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\nA,",
        ),
    ],
)
async def test_csv_is_a_download_with_a_name(
    aiohttp_client: AiohttpClient, params: dict[str, str], name: str, columns: bytes
) -> None:
    client = await aiohttp_client(create_app(config()))
    response = await client.get("/query", params=params)

    assert "application/x-download" == response.headers["Content-Type"]
    assert f"attachment; filename={name}.csv" == response.headers["Content-Disposition"]
    assert (await response.read()).startswith(columns)


async def test_a_notice_is_json_for_a_call_that_wants_csv(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config("1/1d")))
    for _ in range(2):
        response = await client.get("/query", params={**QUOTE, "datatype": "csv"})

    assert "application/json" == response.content_type
    assert ["Information"] == list(await response.json())


@pytest.mark.parametrize(
    ("params", "accept"),
    [
        (QUOTE, "*/*"),
        ({**QUOTE, "datatype": "csv"}, "*/*"),
        ({**QUOTE, "apikey": ""}, "*/*"),
        (QUOTE, "text/csv"),
        ({"function": "LISTING_STATUS", "apikey": "K"}, "*/*"),
    ],
)
async def test_any_page_may_read_any_answer(aiohttp_client: AiohttpClient, params: dict[str, str], accept: str) -> None:
    client = await aiohttp_client(create_app(config("2/1d")))
    for _ in range(3):
        response = await client.get(
            "/query", params=params, headers={"Accept": accept, "Origin": "https://example.org"}
        )
        assert ["*"] == response.headers.getall("Access-Control-Allow-Origin")

    assert "Access-Control-Allow-Origin" not in (await client.get("/_calls")).headers


async def test_a_head_is_a_call_and_says_what_a_get_would(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(config("2/1d")))
    head = await client.head("/query", params=QUOTE)
    get = await client.get("/query", params=QUOTE)
    late = await client.head("/query", params=QUOTE)
    calls = await (await client.get("/_calls")).json()

    assert (200, get.headers["Content-Length"]) == (head.status, head.headers["Content-Length"])
    assert (b"", b"") == (await head.read(), await late.read())
    assert ["ok", "ok", "over_limit:2/1d"] == [call["outcome"] for call in calls["calls"]]
    assert (3, 1) == (calls["total"], calls["over_limit"])


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/query", 405)])
async def test_a_wrong_path_or_method_is_refused_in_json(
    aiohttp_client: AiohttpClient, method: str, path: str, status: int
) -> None:
    client = await aiohttp_client(create_app(config()))
    response = await client.request(method, path)

    assert response.status == status
    assert ["error"] == list(await response.json())
