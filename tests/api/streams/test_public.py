"""The push stream over real sockets: the newest state of each symbol, once, in order, to everybody, however slowly others read."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from aiohttp import web
from redis.asyncio import Redis

from api.quotes.stocks import answer_quote
from common.core.models import Function, Quote
from common.core.quotes.wire import encode, version
from common.store.budget.queue import select_queued
from common.store.connection.pool import acquire
from common.store.market import feed
from tests.api.conftest import Client, OpenApi, a_quote, close
from tests.api.listening import (
    READ,
    Listener,
    listening,
    memory_of,
    streams_of,
    tell,
    until_clients,
    until_followed,
)

PATH = "/api/stream"


Listen = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Connects to a stream, past what is always the first block."""
    async with listening() as connect:

        async def to(client: Client, symbols: str, query: str = "", **headers: str) -> Listener:
            return await connect(client, f"{PATH}?symbols={symbols}{query}", **headers)

        yield to


@pytest.fixture
async def live(open_api: OpenApi) -> Client:
    """A process that follows the events."""
    client = await open_api()
    await until_followed(client)
    return client


@asynccontextmanager
async def deaf(client: Client, symbol: str) -> AsyncIterator[socket.socket]:
    """A client that asks for a stream and reads nothing; little fits on the way to it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (client.host, client.port))
        await loop.sock_sendall(connection, f"GET {PATH}?symbols={symbol} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        await until_clients(client, len(streams_of(client).clients) + 1)
        yield connection


async def until_blocked(client: Client, redis: Redis, symbol: str, quick: Listener | None = None) -> int:
    """Tell prices 1, 2, ... until one client cannot be written to; the last price. Another one gets each of them meanwhile."""
    for price in range(1, 2000):
        await tell(redis, symbol, str(price))
        if quick is not None:
            assert (symbol, price) == await quick.quote()
        if blocked := [each for each in streams_of(client).clients if each.writing]:
            assert blocked[0].transport.get_write_buffer_size() < 1000  # no more than this event
            return price
    raise AssertionError("everything fits on the way to a client that reads nothing")


async def test_the_current_quotes_come_first(live: Client, redis: Redis, listen: Listen) -> None:
    told = [await tell(redis, "AAPL", "10"), await tell(redis, "MSFT", "20")]
    listener = await listen(live, "MSFT,aapl")

    blocks = [await listener.block(), await listener.block()]

    assert told == [block["id"] for block in blocks]
    assert ["quote", "quote"] == [block["event"] for block in blocks]
    assert ["AAPL", "MSFT"] == [json.loads(block["data"])["symbol"] for block in blocks]


async def test_an_event_holds_what_a_get_answers(live: Client, redis: Redis, listen: Listen) -> None:
    listener = await listen(live, "AAPL")
    await tell(redis, "AAPL", "10.25")

    block = await listener.block()

    assert await (await live.get("/api/stock/AAPL")).json() == json.loads(block["data"])


async def test_proxies_are_told_to_keep_their_hands_off(live: Client, listen: Listen) -> None:
    headers = (await listen(live, "AAPL", Accept="application/json")).response.headers

    assert "text/event-stream" == headers["Content-Type"]
    assert "no-cache" == headers["Cache-Control"]
    assert "no" == headers["X-Accel-Buffering"]
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert 32 == len(headers["X-Request-ID"])


async def test_events_come_as_they_are_published_in_the_order_of_their_ids(
    live: Client, redis: Redis, listen: Listen
) -> None:
    listener = await listen(live, "AAPL,MSFT")
    told = [await tell(redis, symbol, "10") for symbol in ("AAPL", "MSFT", "IBM", "AAPL", "MSFT")]

    blocks = [await listener.block() for _ in range(4)]

    assert [*told[:2], *told[3:]] == [block["id"] for block in blocks]


async def test_an_older_quote_is_not_told(live: Client, redis: Redis, listen: Listen) -> None:
    listener = await listen(live, "AAPL,MSFT")
    await tell(redis, "AAPL", "11")
    older = a_quote("AAPL", "10", age=60)
    await redis.xadd(feed.STREAM, {"body": encode(older)})
    await tell(redis, "MSFT", "1")

    assert [("AAPL", 11), ("MSFT", 1)] == [await listener.quote(), await listener.quote()]


async def test_everybody_hears_only_what_he_asked_for(live: Client, redis: Redis, listen: Listen) -> None:
    one, other = await listen(live, "AAPL"), await listen(live, "MSFT")
    await tell(redis, "AAPL", "1")
    await tell(redis, "MSFT", "2")
    await tell(redis, "AAPL", "3")

    assert ("MSFT", 2) == await other.quote()
    assert [("AAPL", 1), ("AAPL", 3)] == [await one.quote(), await one.quote()]


async def test_an_event_is_encoded_once_for_all(live: Client, redis: Redis, listen: Listen) -> None:
    listeners = [await listen(live, "AAPL") for _ in range(3)]

    with patch("api.streams.fanout.answer_quote", wraps=answer_quote) as encoded:
        await tell(redis, "AAPL", "1")
        assert [("AAPL", 1)] * 3 == [await listener.quote() for listener in listeners]

    assert 1 == encoded.call_count


async def test_a_symbol_without_a_quote_is_waited_for_and_puts_no_demand(
    live: Client, redis: Redis, db: asyncpg.Pool, listen: Listen
) -> None:
    listener = await listen(live, "AAPL")
    async with acquire(db) as connection:
        queued = await select_queued(connection, [(Function.QUOTE, "AAPL")])
    await tell(redis, "AAPL", "1")

    assert set() == queued
    assert ("AAPL", 1) == await listener.quote()


async def test_a_stream_begins_and_lives_though_the_database_is_away(
    redis: Redis, open_api: OpenApi, listen: Listen
) -> None:
    """What Redis lacks nobody knows then; a browser would give up for good on a 503."""
    live = await open_api(database_url="postgresql://postgres@127.0.0.1:9/nothing")
    await until_followed(live)
    listener = await listen(live, "AAPL")
    await redis.client_kill_filter(_type="normal", skipme=True)
    await until_followed(live, but=False)
    await until_followed(live)
    with patch("api.streams.fanout.HEARTBEAT_INTERVAL", 0.05):
        assert [{"": ""}] * 4 == [await listener.block() for _ in range(4)]
    await tell(redis, "AAPL", "1")

    assert ("AAPL", 1) == await listener.quote()


async def resume(client: Client, listen: Listen, way: str, event: str, symbols: str = "AAPL,MSFT") -> Listener:
    if way == "header":
        return await listen(client, symbols, **{"Last-Event-ID": event})
    return await listen(client, symbols, f"&lastEventId={event}")


@pytest.mark.parametrize("way", ["header", "query"])
async def test_who_resumes_gets_only_what_is_newer(way: str, live: Client, redis: Redis, listen: Listen) -> None:
    await tell(redis, "AAPL", "1")
    last = await tell(redis, "MSFT", "2")
    await tell(redis, "AAPL", "3")
    await tell(redis, "AAPL", "4")

    resumed = await resume(live, listen, way, last)

    assert ("AAPL", 4) == await resumed.quote()
    await tell(redis, "MSFT", "5")
    assert ("MSFT", 5) == await resumed.quote()


async def test_another_process_resumes_as_well(live: Client, redis: Redis, open_api: OpenApi, listen: Listen) -> None:
    await tell(redis, "AAPL", "1")
    last = (await (await listen(live, "AAPL,MSFT")).block())["id"]
    await tell(redis, "MSFT", "2")
    await close(live)

    resumed = await resume(await open_api(), listen, "header", last)

    assert ("MSFT", 2) == await resumed.quote()


@pytest.mark.parametrize(
    "event", ["1-0", "0-0", "99999999999999-0", "12", "-", "x", "1-0-0", "9" * 30 + "-1", "\xb2-1"]
)
async def test_an_unknown_id_is_a_snapshot(event: str, live: Client, redis: Redis, listen: Listen) -> None:
    await tell(redis, "AAPL", "1")
    await tell(redis, "MSFT", "2")

    resumed = await resume(live, listen, "header", event)

    assert [("AAPL", 1), ("MSFT", 2)] == [await resumed.quote(), await resumed.quote()]


async def test_an_id_that_is_no_longer_kept_is_a_snapshot(live: Client, redis: Redis, listen: Listen) -> None:
    last = await tell(redis, "AAPL", "1")
    await tell(redis, "MSFT", "2")
    await redis.xtrim(feed.STREAM, maxlen=1, approximate=False)

    resumed = await resume(live, listen, "header", last)

    assert [("AAPL", 1), ("MSFT", 2)] == [await resumed.quote(), await resumed.quote()]


async def test_ids_never_go_back_on_a_connection(live: Client, listen: Listen) -> None:
    """A request may look a quote up in Redis before the tail has read the events in front of it."""
    listener = await listen(live, "AAPL,MSFT")
    memory = memory_of(live)

    ids = []
    for symbol, event in (("AAPL", "200-0"), ("MSFT", "100-7"), ("MSFT", "200-1"), ("AAPL", "1000-0")):
        memory.remember(a_quote(symbol, "1"), event)
        ids.append((await listener.block()).get("id"))

    assert ["200-0", None, "200-1", "1000-0"] == ids


async def test_a_quote_that_comes_while_the_tail_is_broken_has_no_id(live: Client, listen: Listen) -> None:
    listener = await listen(live, "AAPL")
    memory = memory_of(live)
    memory.followed = False
    memory.remember(a_quote("AAPL", "1"), "200-0")
    memory.followed = True

    assert "id" not in await listener.block()


async def miss(redis: Redis, quote: Quote) -> None:
    """Set a quote's key so that no event tells it, then break every connection but ours."""
    mapping: Mapping[Any, Any] = {"version": version(quote), "body": encode(quote), "event": "5-0"}
    await redis.hset(feed.key(quote.source, quote.symbol), mapping=mapping)
    await redis.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("before", [True, False])
async def test_what_was_missed_while_the_tail_was_broken_is_told(
    before: bool, live: Client, redis: Redis, listen: Listen
) -> None:
    listener = await listen(live, "AAPL")
    if before:
        await tell(redis, "AAPL", "1")
        assert ("AAPL", 1) == await listener.quote()

    await miss(redis, a_quote("AAPL", "2"))

    assert ("AAPL", 2) == await listener.quote()


async def test_a_slow_client_delays_nobody_and_gets_the_newest_state(
    live: Client, redis: Redis, listen: Listen
) -> None:
    quick = await listen(live, "AAPL")
    async with deaf(live, "AAPL") as slow:
        stuck = await until_blocked(live, redis, "AAPL", quick)
        last = stuck + 50
        for price in range(stuck + 1, last + 1):
            await tell(redis, "AAPL", str(price))
            assert ("AAPL", price) == await quick.quote()
        streams_of(live)._sweep(time.monotonic())  # he is slow, not dead
        prices = await read_prices(slow, last)

    assert prices == sorted(set(prices))
    assert [stuck, last] == prices[-2:]


async def read_prices(connection: socket.socket, last: float) -> list[float]:
    """All prices up to the last one, by now without haste."""
    text = b""
    async with asyncio.timeout(READ):
        while f'"price":{last:.1f},'.encode() not in text or not text.endswith(b"\n\n\r\n"):
            read = await asyncio.get_running_loop().sock_recv(connection, 4096)
            assert read
            text += read
    blocks = [line for line in text.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(block.removeprefix(b"data: "))["price"] for block in blocks]


async def test_a_client_that_does_not_read_is_dropped(live: Client, redis: Redis) -> None:
    async with deaf(live, "AAPL"):
        await until_blocked(live, redis, "AAPL")
        with patch("api.streams.fanout.UNREAD_TIMEOUT", 0.2):
            await until_clients(live, 0)


async def test_a_client_that_has_nothing_to_read_is_not_dropped(live: Client, redis: Redis, listen: Listen) -> None:
    with patch("api.streams.fanout.UNREAD_TIMEOUT", 0.05), patch("api.streams.fanout.HEARTBEAT_INTERVAL", 0.2):
        listener = await listen(live, "AAPL")
        for _ in range(3):
            await listener.block()

    await tell(redis, "AAPL", "1")
    assert ("AAPL", 1) == await listener.quote()


async def test_silence_is_broken_by_a_comment(live: Client, listen: Listen) -> None:
    listener = await listen(live, "AAPL")

    with patch("api.streams.fanout.HEARTBEAT_INTERVAL", 0.05):
        assert [{"": ""}, {"": ""}] == [await listener.block(), await listener.block()]


async def test_a_process_does_not_need_to_be_told_who_is_gone(live: Client) -> None:
    """Servers of tests cancel the handler of a client that went away; real ones do not."""
    assert isinstance(live.server.runner, web.AppRunner)
    assert live.server.runner.server is not None
    live.server.runner.server.handler_cancellation = False
    async with deaf(live, "AAPL"):
        await until_clients(live, 1)

    await until_clients(live, 0)


async def test_a_client_that_is_gone_is_forgotten(live: Client, listen: Listen) -> None:
    gone, _ = await listen(live, "AAPL,MSFT"), await listen(live, "MSFT")
    await until_clients(live, 2)

    gone.response.close()
    await until_clients(live, 1)

    assert {"MSFT": 1} == {symbol: len(clients) for symbol, clients in streams_of(live)._by_symbol.items()}


async def test_a_client_that_is_gone_while_it_is_told_is_forgotten(
    live: Client, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with deaf(live, "AAPL"):
        await until_blocked(live, redis, "AAPL")
    await until_clients(live, 0)

    assert [] == caplog.records


async def test_a_shutdown_ends_streams_cleanly_and_at_once(live: Client, redis: Redis, listen: Listen) -> None:
    """Cleanly: the end of the body is there, else the reading fails. A client that does not read holds nothing up."""
    listener = await listen(live, "MSFT")
    async with deaf(live, "AAPL"):
        await until_blocked(live, redis, "AAPL")
        async with asyncio.timeout(READ):
            closing = asyncio.create_task(close(live))
            assert b"" == await listener.response.content.read()
            await closing

    assert "close" == listener.response.headers["Connection"]


async def test_a_stream_that_begins_while_the_process_ends_is_ended(live: Client, listen: Listen) -> None:
    streams_of(live).end()
    listener = await listen(live, "AAPL")

    async with asyncio.timeout(READ):
        assert b"" == await listener.response.content.read()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_request"),
        ("?symbols=", "invalid_request"),
        ("?symbols=AAPL&lastEventId=1&lastEventId=2", "invalid_request"),
        ("?symbols=AAPL&symbols[x]=MSFT", "invalid_request"),
        ("?symbols=AAPL,", "invalid_symbol"),
        ("?symbols=AA%20PL", "invalid_symbol"),
        (f"?symbols={','.join(f'S{number}' for number in range(101))}", "invalid_request"),
    ],
)
async def test_a_wrong_list_of_symbols_is_refused(query: str, code: str, api: Client) -> None:
    answer = await api.get(f"{PATH}{query}")

    assert (400, code) == (answer.status, (await answer.json())["code"])


async def test_symbols_may_come_one_by_one(live: Client, redis: Redis, listen: Listen) -> None:
    listener = await listen(live, "AAPL", "&symbols=MSFT&symbols[]=IBM")
    await tell(redis, "IBM", "1")
    await tell(redis, "MSFT", "2")

    assert [("IBM", 1), ("MSFT", 2)] == [await listener.quote() for _ in range(2)]


async def test_a_hundred_symbols_are_taken(live: Client, redis: Redis, listen: Listen) -> None:
    listener = await listen(live, ",".join(f"S{number}" for number in range(100)))
    await tell(redis, "S99", "1")

    assert ("S99", 1) == await listener.quote()


async def test_no_more_clients_are_taken_than_a_process_bears(live: Client, listen: Listen) -> None:
    with patch("api.streams.fanout.MAX_CLIENTS", 2):
        await listen(live, "AAPL")
        await listen(live, "AAPL")
        answer = await live.get(f"{PATH}?symbols=AAPL")

    assert 503 == answer.status
    assert "overloaded" == (await answer.json())["code"]
    assert "5" == answer.headers["Retry-After"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
async def test_only_get_is_allowed(method: str, api: Client) -> None:
    answer = await api.request(method, f"{PATH}?symbols=AAPL")

    assert (405, "GET") == (answer.status, answer.headers["Allow"])
