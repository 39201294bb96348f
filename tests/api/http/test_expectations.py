"""Who waits for 100 Continue is told to go on only where the body is read; everybody else gets the answer at once."""

import json

import pytest

from api.http import connections
from tests.api.conftest import Client
from tests.api.wire import GET, POST, answer_of, connected, rest_of

EXPECT = b"Expect: 100-continue\r\n"
LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\n"
BODY = b'{"username": "nobody", "password": "no password"}'
REFUSED = {
    "too large": (POST + b"Content-Length: 104857600\r\n", 413),
    "a byte too large": (POST + b"Content-Length: 65537\r\n", 413),
    "not JSON": (LOGIN + b"Content-Type: text/plain\r\nContent-Length: 2\r\n", 415),
    "an unknown coding": (POST + b"Content-Encoding: compress\r\nContent-Length: 2\r\n", 415),
    "without a token": (b"POST /api/watchlist HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n", 401),
    "no such route": (b"POST /api/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n", 404),
    "no such method": (b"POST /api/health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", 405),
}


async def test_a_body_that_is_refused_unseen_is_not_asked_for(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_TIMEOUT", 0.1)
    found = {}
    for name, (head, _) in REFUSED.items():
        async with connected(api) as (reader, writer):
            writer.write(head + EXPECT + b"\r\n")
            status, headers, _ = await answer_of(reader)
            found[name] = (status, headers["connection"], await rest_of(reader))

    assert {name: (status, "close", b"") for name, (_, status) in REFUSED.items()} == found


async def test_a_body_that_is_read_is_asked_for_and_the_connection_goes_on(api: Client) -> None:
    async with connected(api) as (reader, writer):
        for _ in range(2):
            writer.write(POST + EXPECT + b"Content-Length: %d\r\n\r\n" % len(BODY))

            assert 100 == (await answer_of(reader))[0]
            writer.write(BODY)
            assert 401 == (await answer_of(reader))[0]


async def test_a_body_that_has_come_already_is_not_asked_for(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(POST + EXPECT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + GET)

        assert [401, 200] == [(await answer_of(reader))[0] for _ in range(2)]


async def test_a_request_without_a_body_is_answered_at_once(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(GET[:-2] + EXPECT + b"\r\n" + GET)

        assert [200, 200] == [(await answer_of(reader))[0] for _ in range(2)]


async def test_a_length_over_64_kib_is_refused_before_the_body_comes(api: Client) -> None:
    async with connected(api) as (reader, writer):
        writer.write(POST + b"Content-Length: 104857600\r\n\r\n")
        status, _, told = await answer_of(reader)

        assert (413, "payload_too_large") == (status, json.loads(told)["code"])
