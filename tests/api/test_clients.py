"""Who a request comes from: the peer, unless our own proxies say otherwise."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from redis.asyncio import Redis

from api.app import create_app
from api.clients import address_of, network_of
from api.middlewares import Handler, public
from common.settings import Settings
from tests.api.conftest import Client, close

PEER = "127.0.0.1"


async def tell(request: web.Request) -> web.Response:
    return web.Response(text=address_of(request))


async def tell_network(request: web.Request) -> web.Response:
    return web.Response(text=network_of(request))


@pytest.fixture
async def behind(request: pytest.FixtureRequest, ready: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API behind so many proxies, which tells its client who it is."""
    app = create_app(replace(ready, trusted_proxies=request.param))
    app.router.add_get("/who", public(tell))
    app.router.add_get("/network", public(tell_network))
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    yield client
    await close(client)


async def who(client: Client, *lines: str, path: str = "/who") -> str:
    headers = CIMultiDict([("X-Forwarded-For", line) for line in lines])
    return await (await client.get(path, headers=headers)).text()


@pytest.mark.parametrize("behind", [0], indirect=True)
async def test_nobody_is_believed_without_trusted_proxies(behind: Client) -> None:
    told = [await who(behind, *lines) for lines in ([], ["1.2.3.4"], ["1.2.3.4, 5.6.7.8"], ["1.2.3.4"] * 3)]

    assert [PEER] * 4 == told


@pytest.mark.parametrize(
    ("behind", "lines", "client"),
    [
        (1, [], PEER),
        (1, ["1.2.3.4"], "1.2.3.4"),
        (1, ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        (1, ["9.9.9.9", "1.2.3.4"], "1.2.3.4"),
        (1, [" 1.2.3.4 "], "1.2.3.4"),
        (1, ["1.2.3.4,"], PEER),
        (1, ["1.2.3.4:80"], PEER),
        (1, ["unknown"], PEER),
        (1, ["1.2.3"], PEER),
        (1, ["fe80::1%" + "a" * 4000], PEER),
        (2, ["1.2.3.4"], PEER),
        (2, ["1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        (2, ["9.9.9.9, 1.2.3.4", "10.0.0.1"], "1.2.3.4"),
        (2, ["9.9.9.9, no address, 10.0.0.1"], PEER),
        (3, ["1.2.3.4, 10.0.0.2, 10.0.0.1"], "1.2.3.4"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        (1, ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        (1, ["2001:db8:1:3::9"], "2001:db8:1:3::/64"),
        (1, ["::ffff:1.2.3.4"], "1.2.3.4"),
    ],
    indirect=["behind"],
)
async def test_the_nth_from_the_right_is_the_client(behind: Client, lines: list[str], client: str) -> None:
    assert client == await who(behind, *lines)


@pytest.mark.parametrize(
    ("behind", "lines", "network"),
    [
        (0, ["1.2.3.4"], "127.0.0.0/24"),
        (1, [], "127.0.0.0/24"),
        (1, ["no address"], "127.0.0.0/24"),
        (1, ["9.9.9.9, 1.2.3.4"], "1.2.3.0/24"),
        (1, ["1.2.3.255"], "1.2.3.0/24"),
        (1, ["::ffff:1.2.3.4"], "1.2.3.0/24"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1::/48"),
        (1, ["2001:db8:1:ffff::"], "2001:db8:1::/48"),
        (1, ["2001:db8:2::"], "2001:db8:2::/48"),
        (2, ["9.9.9.9, 1.2.3.4, 10.0.0.1"], "1.2.3.0/24"),
    ],
    indirect=["behind"],
)
async def test_a_network_is_a_24_of_ipv4_or_a_48_of_ipv6(behind: Client, lines: list[str], network: str) -> None:
    assert network == await who(behind, *lines, path="/network")


async def test_a_peer_without_an_address_is_told_as_it_is(behind_a_socket: Client) -> None:
    told = [await who(behind_a_socket, path=path) for path in ("/who", "/network")]

    assert ["a socket", "a socket"] == told


@pytest.fixture
async def behind_a_socket(ready: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API whose peers have no address, as on a Unix socket."""

    @web.middleware
    async def rename(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote="a socket"))

    app = create_app(ready)
    app.middlewares.append(rename)
    app.router.add_get("/who", public(tell))
    app.router.add_get("/network", public(tell_network))
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    yield client
    await close(client)
