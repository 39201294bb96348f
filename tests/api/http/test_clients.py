"""Who a request comes from: the peer, unless our own proxies say otherwise."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from redis.asyncio import Redis
from structlog.testing import capture_logs

from api.app import create_app
from api.http import clients
from api.http.clients import address_of, network_of
from api.http.middlewares import Handler, public
from common.process.settings import Settings
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


WRITTEN = {  # what a proxy may write: the client
    "203.0.113.7": "203.0.113.7",
    "203.0.113.7:51234": "203.0.113.7",
    '"203.0.113.7"': "203.0.113.7",
    '"203.0.113.7:51234"': "203.0.113.7",
    "203.0.113.7:_hidden": "203.0.113.7",
    "2001:db8::1": "2001:db8::/64",
    "2001:DB8::A": "2001:db8::/64",
    "[2001:db8::1]": "2001:db8::/64",
    "[2001:db8::1]:443": "2001:db8::/64",
    '"[2001:db8::1]:443"': "2001:db8::/64",
    '"[2001:DB8::1]"': "2001:db8::/64",
    ' " [2001:db8::1]:443 " ': "2001:db8::/64",
    "fe80::1%eth0": "fe80::/64",
    "[fe80::1%25eth0]:443": "fe80::/64",
    "[::ffff:203.0.113.7]:443": "203.0.113.7",
    "::FFFF:203.0.113.7": "203.0.113.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff%interface12]:65535": "2001:db8:aaaa:bbbb::/64",
}
UNREAD = [
    "unknown", "_hidden", '"_hidden:80"', "", '""', '"', "[", "]", "[]", "[]:80", ":80", ":", "203.0.113.7:",
    "203.0.113.7:port",
    "203.0.113.7:123456", "203.0.113", "203.0.113.256", "203.0.113.07", "[2001:db8::1", "2001:db8::1]",
    "[2001:db8::1]443", "[2001:db8::1]:",
    "2001:db8::1::2", '"203.0.113.7', "203.0.113.7 203.0.113.8", "203.0.113.7;x", "for=203.0.113.7",
    "proxy.example", "%eth0", "é", "1" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("behind", [1], indirect=True)
async def test_an_address_is_read_as_one_proxy_or_another_writes_it(behind: Client) -> None:
    told = {text: await who(behind, f"198.51.100.9, {text}") for text in WRITTEN}

    assert WRITTEN == told


@pytest.mark.parametrize("behind", [2], indirect=True)
async def test_it_is_the_nth_from_the_right_in_any_spelling(behind: Client) -> None:
    told = {text: await who(behind, f"198.51.100.9:1, {text}", "[2001:db8:5::1]:9") for text in WRITTEN}

    assert WRITTEN == told


@pytest.mark.parametrize("behind", [1], indirect=True)
async def test_what_is_no_address_leaves_the_peer_and_is_logged_once(behind: Client) -> None:
    clients._logged.clear()
    with capture_logs() as logs:
        told = {text: await who(behind, f"198.51.100.9,{text}") for text in UNREAD}

    assert dict.fromkeys(UNREAD, PEER) == told
    assert ["unknown"] == [entry["value"] for entry in logs if entry["event"] == "forwarded_address_unread"]


@pytest.mark.parametrize("behind", [2], indirect=True)
async def test_a_request_past_the_proxies_is_not_logged(behind: Client) -> None:
    clients._logged.clear()
    with capture_logs() as logs:
        told = [await who(behind, *lines) for lines in ([], [""], ["1.2.3.4"])]

    assert [PEER] * 3 == told
    assert [] == [entry for entry in logs if entry["event"] == "forwarded_address_unread"]


@pytest.mark.parametrize("behind", [1], indirect=True)
async def test_the_header_forwarded_is_nobodys_word(behind: Client) -> None:
    answer = await behind.get("/who", headers={"Forwarded": 'for="203.0.113.7:51234"'})

    assert PEER == await answer.text()


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
