"""The endpoints that Alpha Vantage does not have."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from common.core.limits import parse_limits
from simulator.app import create_app
from simulator.config import Config

QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "IBM", "apikey": "KEY"}
CONFIG = Config(limits=parse_limits("2/1d", "limits"))


async def body(client: TestClient[web.Request, web.Application], path: str) -> Any:
    return await (await client.get(path)).json()


async def test_calls_can_be_forgotten_together_with_their_windows(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    for _ in range(3):
        await client.get("/query", params=QUOTE)
    response = await client.delete("/_calls")
    after = await body(client, "/_calls")
    quote = await (await client.get("/query", params=QUOTE)).json()

    assert 204 == response.status
    assert {
        "total": 0,
        "over_limit": 0,
        "by_rule": {"2/1d": 0},
        "max_in_window": {"2/1d": 0},
        "calls": [],
    } == after
    assert ["Global Quote"] == list(quote)


@pytest.mark.parametrize("since", ["-1", "x", "9" * 30])
async def test_a_wrong_since_is_refused(aiohttp_client: AiohttpClient, since: str) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    response = await client.get("/_calls", params={"since": since})

    assert 400 == response.status
    assert "since: expected a whole number" in (await response.json())["error"]


async def test_reading_the_journal_is_not_a_call(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    await body(client, "/_calls")

    assert 0 == (await body(client, "/_calls"))["total"]


async def test_a_fault_is_set_shown_and_cleared(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    await client.put("/_fault", json={"kind": "hang", "count": 3, "symbol": "IBM"})
    shown = await body(client, "/_fault")
    await client.delete("/_fault")

    assert 3 == shown["left"]
    assert ("hang", "IBM") == (shown["fault"]["kind"], shown["fault"]["symbol"])
    assert {"fault": None, "left": None} == await body(client, "/_fault")


async def test_limits_change_at_run_time(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    response = await client.put("/_limits", json={"limits": "1/d,9/1s"})
    fields = [list(await (await client.get("/query", params=QUOTE)).json()) for _ in range(2)]

    assert {"limits": "9/1s,1/1d"} == await response.json()
    assert {"limits": "9/1s,1/1d"} == await body(client, "/_limits")
    assert [["Global Quote"], ["Information"]] == fields


@pytest.mark.parametrize(
    ("path", "text"),
    [
        *(("/_fault", text) for text in ('{"kind": "melt"}', "{}", "[]", "not json")),
        *(("/_limits", text) for text in ('{"limits": "many"}', '{"limits": 5}', "{}", "not json")),
    ],
)
async def test_a_wrong_body_is_refused_and_changes_nothing(aiohttp_client: AiohttpClient, path: str, text: str) -> None:
    client = await aiohttp_client(create_app(CONFIG))
    await client.put("/_fault", json={"kind": "html_200"})
    before = await body(client, path)
    response = await client.put(path, data=text)

    assert 400 == response.status
    assert "expected" in (await response.json())["error"]
    assert before == await body(client, path)
