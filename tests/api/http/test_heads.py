"""Heads that the parser lets through and HTTP forbids: each is refused, and none hides a second request."""

import json

import pytest

from tests.api.conftest import Client
from tests.api.wire import GET, POST, answer_of, connected, rest_of

LIVE = b"GET /api/health/live HTTP/1.1\r\n"
CHUNKED = b"\r\n2\r\n{}\r\n0\r\n\r\n"
REFUSED = {
    "HTTP/0.9": b"GET /api/health/live HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/0.9 without a Host": b"GET /api/health/live HTTP/0.9\r\n\r\n",
    "no version": b"GET /api/health/live\r\n\r\n",
    "HTTP/2.0": b"GET /api/health/live HTTP/2.0\r\nHost: a\r\n\r\n",
    "a host with a path and a user": LIVE + b"Host: a/b@c\r\n\r\n",
    "a host with a user": LIVE + b"Host: b@c\r\n\r\n",
    "a host with a query": LIVE + b"Host: a?b\r\n\r\n",
    "a host with a fragment": LIVE + b"Host: a#b\r\n\r\n",
    "a host with a blank": LIVE + b"Host: a b\r\n\r\n",
    "a host with a backslash": LIVE + b"Host: a\\b\r\n\r\n",
    "a host with half an escape": LIVE + b"Host: a%2\r\n\r\n",
    "a host outside of ASCII": LIVE + b"Host: \xff\r\n\r\n",
    "a host with a word for a port": LIVE + b"Host: a:b\r\n\r\n",
    "a host with two ports": LIVE + b"Host: a:1:2\r\n\r\n",
    "half an IPv6 address": LIVE + b"Host: [::1\r\n\r\n",
    "an address with a user": b"GET http://u:p@a/api/health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address of another scheme": b"GET ftp://a/api/health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    "a wrong host beside an address": b"GET http://a/api/health/live HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a fragment": b"GET /api/health/live#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a coding before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKED,
    "chunked in HTTP/1.0": POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n" + CHUNKED,
}
SERVED = {
    "an IPv6 address": LIVE + b"Host: [::1]:80\r\n\r\n",
    "a name with an underscore and a port": LIVE + b"Host: api_1.example.com.:5001\r\n\r\n",
    "an empty host": LIVE + b"Host:\r\n\r\n",
    "HTTP/1.0 without a Host": b"GET /api/health/live HTTP/1.0\r\n\r\n",
    "an address, as proxies are sent it": b"GET http://a:80/api/health/live HTTP/1.1\r\nHost: b\r\n\r\n",
}
UPGRADES = [b"Upgrade: foo\r\n", b"Upgrade: h2c\r\n", b"Upgrade: foo/1, bar\r\n"]
SMUGGLED = b"GET /api/watchlist HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_head_that_http_forbids_is_refused_and_the_connection_closed(api: Client) -> None:
    found = {}
    for name, raw in REFUSED.items():
        async with connected(api) as (reader, writer):
            writer.write(raw)
            status, headers, text = await answer_of(reader)
            found[name] = (status, headers["connection"], json.loads(text)["code"], await rest_of(reader))

    assert dict.fromkeys(REFUSED, (400, "close", "invalid_request", b"")) == found


async def test_an_unusual_head_that_http_allows_is_served(api: Client) -> None:
    found = {}
    for name, raw in SERVED.items():
        async with connected(api) as (reader, writer):
            writer.write(raw)
            found[name] = (await answer_of(reader))[0]

    assert dict.fromkeys(SERVED, 200) == found


async def test_a_wrong_head_behind_a_right_one_is_refused_too(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET + REFUSED["a host with a user"] + GET)

        assert [200, 400] == [(await answer_of(reader))[0] for _ in range(2)]
        assert b"" == await rest_of(reader)


@pytest.mark.parametrize("upgrade", UPGRADES, ids=repr)
async def test_an_upgrade_is_ignored_and_the_connection_goes_on(api: Client, upgrade: bytes) -> None:
    asked = LIVE + b"Host: a\r\nConnection: Upgrade\r\n" + upgrade + b"\r\n"
    async with connected(api) as (reader, writer):
        for raw in (asked, GET, asked, GET):
            writer.write(raw)

            assert 200 == (await answer_of(reader))[0]


@pytest.mark.parametrize(
    "behind",
    [
        LIVE + b"Host: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        LIVE + b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Connection: Upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n" + CHUNKED,
    ],
    ids=lambda raw: repr(raw[-60:]),
)
async def test_what_is_sent_behind_an_upgrade_is_answered_by_closing(api: Client, behind: bytes) -> None:
    """The parser drops the rest of the packet, so the next packet would begin in the middle of a request."""
    async with connected(api) as (reader, writer):
        writer.write(GET + behind + GET[:-2] + b"X: ")

        assert 200 == (await answer_of(reader))[0]
        _, headers, _ = await answer_of(reader)
        assert "close" == headers["connection"]
        writer.write(SMUGGLED)
        assert b"" == await rest_of(reader)


async def test_an_upgrade_whose_head_ends_with_the_next_packet_hides_no_request(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(LIVE + b"Host: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r")
        await writer.drain()
        writer.write(b"\n" + SMUGGLED)
        status, headers, _ = await answer_of(reader)

        assert (200, "close") == (status, headers["connection"])
        assert b"" == await rest_of(reader)


async def test_the_body_of_an_upgrade_is_read_whenever_it_comes(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")

        assert 100 == (await answer_of(reader))[0]  # by now the body is waited for
        writer.write(b"nope")
        status, headers, told = await answer_of(reader)
        assert (400, "close") == (status, headers["connection"])
        assert "JSON" in json.loads(told)["error"]
        assert b"" == await rest_of(reader)
