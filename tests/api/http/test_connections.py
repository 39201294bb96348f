"""Connections that send slowly, or no HTTP: each is closed in time, each is answered in our shape, and an ordinary one is left alone."""

import asyncio
import json
import time
from contextlib import suppress

import pytest

from api.http import connections
from api.http.answers import ALWAYS
from api.http.connections import Connection
from tests.api.conftest import Client
from tests.api.wire import GET, POST, SOON, answer_of, connected, rest_of
from tests.harness.polling import eventually

QUICK = 0.3  # seconds in the place of eight


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """One byte at a time, for as long as it takes."""
    with suppress(ConnectionError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(QUICK / 10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_TIMEOUT", "BODY_TIMEOUT", "LINGER_TIMEOUT"):
        monkeypatch.setattr(connections, name, QUICK)


def test_heads_and_bodies_have_less_than_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    assert [True] * 3 == [
        5 <= limit < 10 for limit in (connections.HEAD_TIMEOUT, connections.BODY_TIMEOUT, connections.LINGER_TIMEOUT)
    ]


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], b"\r\n", b"POST"], ids=repr)
async def test_a_head_that_does_not_come_closes_the_connection(api: Client, sent: bytes) -> None:
    begun = time.monotonic()
    async with connected(api) as (reader, writer):
        writer.write(sent)

        assert b"" == await rest_of(reader)
    assert QUICK * 0.9 < time.monotonic() - begun


async def test_a_head_that_drips_closes_the_connection(api: Client) -> None:
    async with connected(api) as (reader, writer):
        dripping = asyncio.create_task(drip(writer, b"GET /api/health/live HTTP/1.1\r\n" + b"X: y\r\n" * 1000))

        assert b"" == await rest_of(reader)
        dripping.cancel()


async def test_a_second_head_has_its_own_time(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET)
        await answer_of(reader)
        dripping = asyncio.create_task(drip(writer, b"GET /api/health/live HTTP/1.1\r\n" + b"X: y\r\n" * 1000))

        assert b"" == await rest_of(reader)
        dripping.cancel()


async def test_an_idle_connection_is_kept(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", limit := 2.0)  # seconds: a busy machine sends a head within them
    async with connected(api) as (reader, writer):
        for idle in (limit * 1.1, 0):
            writer.write(GET[:10])
            await asyncio.sleep(QUICK / 3)
            writer.write(GET[10:])

            assert 200 == (await answer_of(reader))[0]
            await asyncio.sleep(idle)


async def test_a_request_that_takes_long_is_not_cut_short(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(b"GET /api/stock/NOSUCH?wait=1 HTTP/1.1\r\nHost: a\r\n\r\n")

        assert 404 == (await answer_of(reader))[0]
        writer.write(GET)
        assert 200 == (await answer_of(reader))[0]


@pytest.mark.parametrize("body", [b"", b"{", b'{"username": "' + b"a" * 1000], ids=len)
async def test_a_body_that_does_not_come_is_refused_and_the_connection_closed(api: Client, body: bytes) -> None:
    async with connected(api) as (reader, writer):
        writer.write(POST + b"Content-Length: 2000\r\n\r\n")
        dripping = asyncio.create_task(drip(writer, body))
        status, headers, told = await answer_of(reader)

        assert (400, "close", "invalid_request") == (status, headers["connection"], json.loads(told)["code"])
        assert b"" == await rest_of(reader)
        dripping.cancel()


@pytest.mark.parametrize(("path", "status"), [("/api/watchlist", 401), ("/api/nothing", 404), ("/api/health", 405)])
async def test_a_body_that_nobody_reads_is_not_waited_for(api: Client, path: str, status: int) -> None:
    async with connected(api) as (reader, writer):
        writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{" % path.encode())
        dripping = asyncio.create_task(drip(writer, b"a" * 1000))

        assert status == (await answer_of(reader))[0]
        assert b"" == await rest_of(reader)
        dripping.cancel()


@pytest.mark.parametrize("whole", [True, False])
async def test_a_chunked_body_over_64_kib_is_refused(api: Client, whole: bool) -> None:
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    async with connected(api) as (reader, writer):
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 65 + b"0\r\n\r\n" * whole)
        status, headers, told = await answer_of(reader)

        assert (413, "payload_too_large") == (status, json.loads(told)["code"])
        assert set(map(str.lower, ALWAYS)) <= set(headers)


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/health/live HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nhunter2\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nX: \x00hunter2\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nX: " + b"hunter2" * 3000 + b"\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nX: " + b"hunter2" * 150_000 + b"\r\n\r\n",
        b"GET /api/health/live HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"GET /" + b"hunter2" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        POST + b"Content-Length: x\r\n\r\n",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nZZ\r\n",
        GET[:-2] + b"Transfer-Encoding: hunter2\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:70]),
)
async def test_what_is_no_http_is_answered_in_our_shape_and_the_connection_closed(api: Client, raw: bytes) -> None:
    async with connected(api) as (reader, writer):
        writer.write(raw)
        status, headers, text = await answer_of(reader)
        told = json.loads(text)

        assert (400, "invalid_request") == (status, told["code"])
        assert {"error", "code", "request_id"} == set(told)
        assert ALWAYS == {name: headers[name.lower()] for name in ALWAYS}
        assert (told["request_id"], "no-store") == (headers["x-request-id"], headers["cache-control"])
        assert ("close", "quotewell") == (headers["connection"], headers["server"])
        assert "application/json; charset=utf-8" == headers["content-type"]
        assert told["error"].startswith("expected a ")
        assert b"hunter2" not in text
        assert b"" == await rest_of(reader)


async def test_chunks_that_go_wrong_on_their_way_are_answered_once_and_at_once(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_TIMEOUT", SOON)
    async with connected(api) as (reader, writer):
        writer.write(POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")

        assert 100 == (await answer_of(reader))[0]  # by now the body is waited for
        writer.write(b'5\r\n{"a":\r\nZZ\r\n')
        status, _, told = await answer_of(reader)
        assert (400, "invalid_request") == (status, json.loads(told)["code"])
        assert b"" == await rest_of(reader)


async def test_an_expectation_that_nobody_meets_is_answered_in_our_shape(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET[:-2] + b"Expect: hunter2\r\nX-Request-ID: mine\r\n\r\n")
        status, headers, text = await answer_of(reader)
        told = json.loads(text)

        assert (417, "invalid_request", "mine") == (status, told["code"], told["request_id"])
        assert ALWAYS == {name: headers[name.lower()] for name in ALWAYS}
        assert b"hunter2" not in text


async def test_requests_one_behind_the_other_are_all_answered(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET * 50)

        assert [200] * 50 == [(await answer_of(reader))[0] for _ in range(50)]


async def test_a_connection_that_is_gone_leaves_no_timer_behind(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET)
        await answer_of(reader)
        assert api.server.runner is not None
        assert api.server.runner.server is not None
        (held,) = api.server.runner.server.connections

    async def is_gone() -> bool:
        return held.transport is None

    await eventually(is_gone)
    assert isinstance(held, Connection)
    assert held._timer is not None
    assert held._timer.cancelled()
