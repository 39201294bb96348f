"""A peer has so many connections and no more, a process too; the oldest idle one makes way, and proxies are not limited."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aiohttp.web_server import Server
from structlog.testing import capture_logs

from api.http import descriptors, peers
from api.http.peers import PEERS, Peers
from common.process.settings import Settings
from tests.api.conftest import Client, OpenApi
from tests.api.wire import GET, Streams, answer_of, connected, rest_of
from tests.harness.polling import eventually

STREAM = b"GET /api/stream?symbols=AAPL HTTP/1.1\r\nHost: a\r\n\r\n"
LIMIT = 3


@pytest.fixture(autouse=True)
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_logged_at", {})


def server_of(api: Client) -> Server:
    assert api.server.runner is not None
    assert api.server.runner.server is not None
    return api.server.runner.server


def peers_in(api: Client) -> Peers:
    assert api.app is not None
    return api.app[PEERS]


async def opened(api: Client, stack: AsyncExitStack, number: int, request: bytes = GET) -> list[Streams]:
    """Connections that each had an answer, opened one after the other."""
    found = []
    for _ in range(number):
        found.append(await stack.enter_async_context(connected(api)))
        found[-1][1].write(request)
        assert b"200" in await found[-1][0].readuntil(b"\r\n")
    return found


async def test_the_oldest_idle_connection_of_a_peer_makes_way_for_a_new_one(open_api: OpenApi) -> None:
    api = await open_api(connection_limit=LIMIT)
    async with AsyncExitStack() as stack:
        first, second, *others = await opened(api, stack, LIMIT + 2)

        for reader, _ in (first, second):
            assert (await rest_of(reader)).endswith(b'{"status": "live"}')
        for reader, writer in others:
            await reader.readuntil(b'{"status": "live"}')
            writer.write(GET)
            assert 200 == (await answer_of(reader))[0]
        assert LIMIT == len(server_of(api).connections)


async def test_a_peer_whose_connections_are_all_in_use_gets_no_more(open_api: OpenApi) -> None:
    api = await open_api(connection_limit=LIMIT)
    with capture_logs() as logged:
        async with AsyncExitStack() as stack:
            await opened(api, stack, LIMIT, STREAM)
            for _ in range(3):
                async with connected(api) as (reader, _):
                    status, headers, told = await answer_of(reader)

                    assert (429, "rate_limited", "close") == (status, json.loads(told)["code"], headers["connection"])
                    assert headers["retry-after"] == "5"
                    assert b"" == await rest_of(reader)
    refused = [line for line in logged if line["event"] == "connection_refused"]

    assert [("rate_limited", "127.0.0.1", LIMIT + 1)] == [(one["code"], one["peer"], one["of_peer"]) for one in refused]


async def test_a_peer_that_hung_up_has_its_places_back(open_api: OpenApi) -> None:
    api = await open_api(connection_limit=LIMIT)
    for _ in range(3):
        async with AsyncExitStack() as stack:
            await opened(api, stack, LIMIT, STREAM)

        async def is_empty() -> bool:
            return not server_of(api).connections

        await eventually(is_empty)
    found = peers_in(api)

    assert ({}, {}) == (found._open, dict(found._by_peer))


async def test_behind_proxies_a_peer_is_not_limited(open_api: OpenApi) -> None:
    api = await open_api(connection_limit=LIMIT, trusted_proxies=1)
    async with AsyncExitStack() as stack:
        held = await opened(api, stack, 3 * LIMIT)
        for reader, writer in held:
            await reader.readuntil(b'{"status": "live"}')
            writer.write(GET)

            assert 200 == (await answer_of(reader))[0]


@pytest.mark.parametrize("proxies", [0, 1])
async def test_a_process_has_a_limit_of_its_own_and_the_oldest_idle_connection_makes_way(
    open_api: OpenApi, monkeypatch: pytest.MonkeyPatch, proxies: int
) -> None:
    monkeypatch.setattr(peers, "count_places", lambda: LIMIT)
    api = await open_api(trusted_proxies=proxies)
    async with AsyncExitStack() as stack:
        [(streamed, _)] = await opened(api, stack, 1, STREAM)
        first, *_ = await opened(api, stack, LIMIT)

        assert (await rest_of(first[0])).endswith(b'{"status": "live"}')
        assert b"retry" in await streamed.readuntil(b"retry")


async def test_a_process_whose_connections_are_all_in_use_is_overloaded(
    open_api: OpenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "count_places", lambda: LIMIT)
    api = await open_api()
    async with AsyncExitStack() as stack:
        await opened(api, stack, LIMIT, STREAM)
        reader, _ = await stack.enter_async_context(connected(api))
        status, headers, told = await answer_of(reader)

    assert (503, "overloaded", "5") == (status, json.loads(told)["code"], headers["retry-after"])


class Held:
    """A connection without a socket."""

    def is_idle(self) -> bool:
        return False

    def force_close(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("peernames", "refused"),
    [
        ([("192.0.2.1", 1), ("192.0.2.1", 2)], True),
        ([("192.0.2.1", 1), ("192.0.2.2", 1)], False),
        ([("192.0.2.1", 1), ("::ffff:192.0.2.1", 1, 0, 0)], True),
        ([("2001:db8::1", 1, 0, 0), ("2001:db8::2", 1, 0, 0)], True),
        ([("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0)], False),
        (["", ""], False),  # a Unix socket
        ([None, None], False),
    ],
)
def test_a_peer_is_an_address_or_the_network_of_one_ipv6_client(
    settings: Settings, peernames: list[object], refused: bool
) -> None:
    found = Peers(replace(settings, connection_limit=1))

    assert [False, refused] == [found.enter(Held(), peername) is not None for peername in peernames]
