"""Every kind of fault, as a client meets it on a real socket."""

import asyncio
import csv
import json
import re
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from common.core.limits import parse_limits
from simulator.answers.notices import NOTICES
from simulator.app import create_app
from simulator.config import Config
from simulator.wire_faults import CONNECTION_FAULTS, HUGE_BYTES, KINDS, RESPONSE_FAULTS, RETRY_AFTER_KINDS
from tests.harness.polling import BUSY, PATIENCE

Client = TestClient[web.Request, web.Application]
CONFIG = Config(limits=parse_limits("1000/1s", "limits"), entitled=True)
QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "IBM", "apikey": "KEY-OF-ALICE"}
IMPATIENT = aiohttp.ClientTimeout(total=0.3)


async def broken(aiohttp_client: AiohttpClient, kind: str, **more: object) -> Client:
    """A client of a simulator in which `kind` is set."""
    client = await aiohttp_client(create_app(CONFIG))
    assert 200 == (await client.put("/_fault", json={"kind": kind, **more})).status
    return client


async def call(client: Client, **params: str) -> tuple[int, str, bytes]:
    response = await client.get("/query", params={**QUOTE, **params})
    assert "1" == response.headers["X-Quotewell-Simulator"]
    return response.status, response.content_type, await response.read()


async def journal(client: Client) -> list[Mapping[str, Any]]:
    calls: list[Mapping[str, Any]] = (await (await client.get("/_calls")).json())["calls"]
    return calls


def test_every_kind_is_a_notice_or_a_fault_of_the_response_or_of_the_connection() -> None:
    assert set(KINDS) == {f"notice:{name}" for name in NOTICES} | set(RESPONSE_FAULTS) | set(CONNECTION_FAULTS)


@pytest.mark.parametrize("name", NOTICES)
async def test_every_notice_can_be_set_and_comes_with_status_200(aiohttp_client: AiohttpClient, name: str) -> None:
    client = await broken(aiohttp_client, f"notice:{name}")
    status, kind, body = await call(client)
    field, text = NOTICES[name]

    assert (200, "application/json") == (status, kind)
    assert {field: text.replace("<KEY>", "KEY-OF-ALICE").replace("<FUNCTION>", "GLOBAL_QUOTE")} == json.loads(body)
    assert (await journal(client))[0]["outcome"] == f"fault:notice:{name}"


@pytest.mark.parametrize(
    ("kind", "status", "content_type", "text"),
    [
        ("http_429", 429, "text/plain", "error code: 1015"),
        ("http_503", 503, "text/html", ".*Application Error.*"),
        ("html_200", 200, "text/html", ".*<h1>.*"),
        ("empty_object", 200, "application/json", "{}"),
    ],
)
async def test_a_fault_comes_instead_of_the_answer(
    aiohttp_client: AiohttpClient, kind: str, status: int, content_type: str, text: str
) -> None:
    got, got_type, body = await call(await broken(aiohttp_client, kind))

    assert (got, got_type) == (status, content_type)
    assert re.fullmatch(text, body.decode(), re.DOTALL)


@pytest.mark.parametrize("kind", RETRY_AFTER_KINDS)
@pytest.mark.parametrize("after", [None, "30", "0", "Fri, 27 Nov 2026 21:00:00 GMT", "soon", ""])
async def test_a_refusing_status_names_a_time_to_come_back_or_none(
    aiohttp_client: AiohttpClient, kind: str, after: str | None
) -> None:
    client = await broken(aiohttp_client, kind, retry_after=after)
    response = await client.get("/query", params=QUOTE)

    assert (int(kind[-3:]), after) == (response.status, response.headers.get("Retry-After"))
    assert f"fault:{kind}" == (await journal(client))[0]["outcome"]


async def test_truncated_json_does_not_parse(aiohttp_client: AiohttpClient) -> None:
    _, content_type, body = await call(await broken(aiohttp_client, "truncated"))

    assert "application/json" == content_type
    assert body.startswith(b'{\n    "Global Quote"')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(body)


async def test_garbage_is_not_even_text(aiohttp_client: AiohttpClient) -> None:
    _, _, body = await call(await broken(aiohttp_client, "garbage"))

    with pytest.raises(UnicodeDecodeError):
        body.decode()


@pytest.mark.parametrize("params", [{}, {"function": "LISTING_STATUS"}])
async def test_a_huge_body_is_over_ten_mebibytes(aiohttp_client: AiohttpClient, params: dict[str, str]) -> None:
    _, _, body = await call(await broken(aiohttp_client, "huge"), **params)

    assert len(body) > HUGE_BYTES
    assert json.loads(body)


@pytest.mark.parametrize(("kind", "price"), [("null_price", "None"), ("zero_price", "0.0000")])
async def test_a_price_can_be_missing_or_zero_while_the_rest_is_good(
    aiohttp_client: AiohttpClient, kind: str, price: str
) -> None:
    client = await broken(aiohttp_client, kind)
    quote = json.loads((await call(client))[2])["Global Quote"]
    series = json.loads((await call(client, function="TIME_SERIES_DAILY"))[2])["Time Series (Daily)"]
    bulk = json.loads((await call(client, function="REALTIME_BULK_QUOTES"))[2])["data"]

    assert (quote["05. price"], bulk[0]["close"]) == (price, price)
    assert {bar["4. close"] for bar in series.values()} == {price}
    assert float(quote["02. open"]) > 0


@pytest.mark.parametrize(("kind", "price"), [("null_price", "None"), ("zero_price", "0.0000")])
@pytest.mark.parametrize(("function", "column"), [("GLOBAL_QUOTE", "price"), ("TIME_SERIES_DAILY", "close")])
async def test_a_price_can_be_missing_or_zero_in_csv(
    aiohttp_client: AiohttpClient, kind: str, price: str, function: str, column: str
) -> None:
    client = await broken(aiohttp_client, kind)
    status, content_type, body = await call(client, function=function, datatype="csv")
    rows = list(csv.DictReader(body.decode().splitlines()))

    assert (200, "application/x-download") == (status, content_type)
    assert {price} == {row[column] for row in rows}
    assert all(float(row["open"]) > 0 for row in rows)


async def test_a_truncated_table_is_half_of_it(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "truncated", count=1)
    daily = {"function": "TIME_SERIES_DAILY", "datatype": "csv", "outputsize": "compact"}
    half, whole = await call(client, **daily), await call(client, **daily)

    assert half[:2] == whole[:2] == (200, "application/x-download")
    assert len(half[2]) == len(whole[2]) // 2
    assert whole[2].startswith(half[2][:40])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("hang", "reset", "cut_off")])
async def test_a_head_has_no_body_whatever_is_broken(aiohttp_client: AiohttpClient, kind: str) -> None:
    client = await broken(aiohttp_client, kind)
    port = client.server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"HEAD /query?function=GLOBAL_QUOTE&symbol=IBM&apikey=K HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    assert b"" == body
    assert head.startswith(b"HTTP/1.1 ")
    assert [f"fault:{kind}"] == [each["outcome"] for each in await journal(client)]


async def test_a_slow_answer_is_good_but_late(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "slow", delay=0.1)
    start = monotonic()
    _, _, body = await call(client)

    assert monotonic() - start >= 0.1
    assert float(json.loads(body)["Global Quote"]["05. price"]) > 0


async def test_a_hung_call_is_never_answered(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "hang")

    with pytest.raises(TimeoutError):
        await client.get("/query", params=QUOTE, timeout=IMPATIENT)
    assert [("fault:hang", False)] == [(each["outcome"], each["answered"]) for each in await journal(client)]


async def test_a_hung_call_does_not_hold_up_the_shutdown(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "hang")
    hung = asyncio.ensure_future(client.get("/query", params=QUOTE))
    async with asyncio.timeout(PATIENCE):
        while not await journal(client):
            pass
    start = monotonic()
    await client.server.close()

    assert monotonic() - start < 1 + BUSY
    with pytest.raises(aiohttp.ClientError):
        await hung


@pytest.mark.parametrize("kind", ["reset", "cut_off"])
async def test_a_dropped_connection_is_an_error_and_not_an_answer(aiohttp_client: AiohttpClient, kind: str) -> None:
    client = await broken(aiohttp_client, kind)

    with pytest.raises(aiohttp.ClientError):
        await call(client)
    # aiohttp asks again after a drop on a used connection: each time is an arrival
    assert {(each["outcome"], each["answered"]) for each in await journal(client)} == {(f"fault:{kind}", False)}


async def test_a_cut_off_answer_promises_more_than_it_sends(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "cut_off")
    response = await client.get("/query", params=QUOTE)
    promised = int(response.headers["Content-Length"])

    assert len(await response.content.readexactly(promised // 2)) == promised // 2
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.content.readexactly(1)


async def test_a_dripping_answer_arrives_byte_by_byte(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "drip", delay=0.0001)
    response = await client.get("/query", params=QUOTE)
    chunks = [chunk async for chunk in response.content.iter_any()]

    assert len(chunks) > 20
    assert ["Global Quote"] == list(json.loads(b"".join(chunks)))
    assert (await journal(client))[0]["answered"] is True


async def test_an_impatient_client_leaves_a_dripping_answer(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "drip", delay=0.05)

    with pytest.raises(TimeoutError):
        await (await client.get("/query", params=QUOTE, timeout=IMPATIENT)).read()
    assert (await journal(client))[0]["answered"] is False


async def test_a_fault_with_a_count_ends_by_itself(aiohttp_client: AiohttpClient) -> None:
    client = await broken(aiohttp_client, "html_200", count=2, symbol="IBM")
    await call(client, symbol="AAPL")
    types = [(await call(client))[1] for _ in range(3)]

    assert ["text/html", "text/html", "application/json"] == types


async def test_a_faulted_call_counts_against_the_limits(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(Config(limits=parse_limits("1/1d", "limits"))))
    await client.put("/_fault", json={"kind": "http_503"})
    statuses = [(await call(client))[0] for _ in range(2)]

    assert [503, 200] == statuses
    assert ["fault:http_503", "over_limit:1/1d"] == [each["outcome"] for each in await journal(client)]
