"""Bodies that are not what they should be: each is refused with its status, its code and never a 500."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.api.conftest import PASSWORD, Client, User
from tests.harness.polling import PATIENCE

JSON = "application/json"
ROUTES = ["/api/auth/register", "/api/auth/login", "/api/watchlist"]
KIB = 1024
SHAPE = {"error", "code", "request_id"}
BAD: dict[str, tuple[bytes, str, int, str]] = {
    "a form": (b"username=ada", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "plain text": (b"{}", "text/plain", 415, "unsupported_media_type"),
    "nearly JSON's type": (b"{}", "application/jsonx", 415, "unsupported_media_type"),
    "nothing": (b"", JSON, 400, "invalid_request"),
    "blanks": (b"  ", JSON, 400, "invalid_request"),
    "half an object": (b'{"username": "a', JSON, 400, "invalid_request"),
    "two objects": (b"{}{}", JSON, 400, "invalid_request"),
    "duplicate keys": (b'{"symbol": "AAPL", "symbol": "IBM"}', JSON, 400, "invalid_request"),
    "duplicate keys deeper": (b'{"symbol": "AAPL", "a": {"b": 1, "b": 2}}', JSON, 400, "invalid_request"),
    "NaN": (b'{"symbol": "AAPL", "a": NaN}', JSON, 400, "invalid_request"),
    "Infinity": (b'{"symbol": "AAPL", "a": -Infinity}', JSON, 400, "invalid_request"),
    "wrong UTF-8": (b'{"symbol": "\xff\xfe"}', JSON, 400, "invalid_request"),
    "UTF-16": ('{"symbol": "AAPL"}'.encode("utf-16"), JSON, 400, "invalid_request"),
    "lists in lists": (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", JSON, 400, "invalid_request"),
    "lists without an end": (b"[" * 60_000, JSON, 400, "invalid_request"),
    "objects in objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON, 400, "invalid_request"),
    "a number of 50,000 digits": (b'{"a": ' + b"9" * 50_000 + b"}", JSON, 400, "invalid_request"),
    "an array": (b'["AAPL"]', JSON, 400, "invalid_request"),
    "a string": (b'"AAPL"', JSON, 400, "invalid_request"),
    "null": (b"null", JSON, 400, "invalid_request"),
    "over 64 KiB": (b'{"symbol": "' + b"A" * 64 * KIB + b'"}', JSON, 413, "payload_too_large"),
    "1 MiB": (b" " * KIB * KIB, JSON, 413, "payload_too_large"),
}


@pytest.mark.parametrize("path", ROUTES)
async def test_a_bad_body_is_refused_with_its_status_and_code(api: Client, ada: User, path: str) -> None:
    answers = {}
    for name, (body, kind, _, _) in BAD.items():
        response = await api.post(path, data=body, headers={"Content-Type": kind, **ada.headers})
        answer = await response.json()
        answers[name] = (response.status, answer["code"], set(answer))

    assert {name: (status, code, SHAPE) for name, (_, _, status, code) in BAD.items()} == answers


async def test_a_body_without_a_type_is_refused(api: Client) -> None:
    response = await api.post("/api/auth/login", data=b"{}", skip_auto_headers=["Content-Type"])

    assert 415 == response.status


async def _in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, KIB):
        yield b" " * KIB


async def test_a_chunked_body_over_64_kib_is_refused(api: Client) -> None:
    response = await api.post("/api/auth/login", data=_in_chunks(65 * KIB), headers={"Content-Type": JSON})

    assert (413, "payload_too_large") == (response.status, (await response.json())["code"])


async def test_a_body_of_exactly_64_kib_is_read(api: Client) -> None:
    content = json.dumps({"username": "nobody", "password": PASSWORD}).encode()
    response = await api.post("/api/auth/login", data=content.ljust(64 * KIB), headers={"Content-Type": JSON})

    assert 401 == response.status


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_compressed_as_it_says_is_no_server_error(api: Client, encoding: str) -> None:
    headers = {"Content-Type": JSON, "Content-Encoding": encoding}
    response = await api.post("/api/auth/login", data=b'{"username": "ada"}', headers=headers)

    assert 400 <= response.status < 500


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "x-gzip", "gzip, br", "gzip, gzip", "hunter2"])
async def test_a_coding_that_is_not_read_is_refused_with_those_that_are(api: Client, coding: str) -> None:
    headers = {"Content-Type": JSON, "Content-Encoding": coding}
    response = await api.post("/api/auth/login", data=b"{}", headers=headers)
    told = await response.json()

    assert (415, "unsupported_media_type", SHAPE) == (response.status, told["code"], set(told))
    assert "gzip, deflate" == response.headers["Accept-Encoding"]
    assert "hunter2" not in told["error"]


async def test_a_compressed_body_is_read(api: Client) -> None:
    content = gzip.compress(json.dumps({"username": "nobody", "password": PASSWORD}).encode())
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}

    assert 401 == (await api.post("/api/auth/login", data=content, headers=headers)).status


async def test_a_body_with_broken_chunks_is_no_server_error(api: Client) -> None:
    reader, writer = await asyncio.open_connection(api.host, api.port)
    head = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    writer.write(b'5\r\n{"a":\r\nZZ\r\n')
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read(15)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/auth/register", "username"),
        ("/api/auth/register", "email"),
        ("/api/auth/register", "password"),
        ("/api/auth/login", "username"),
        ("/api/auth/login", "password"),
        ("/api/watchlist", "symbol"),
    ],
)
async def test_text_that_the_database_cannot_hold_is_refused_by_its_field(
    api: Client, ada: User, path: str, field: str
) -> None:
    for text in ("a\x00b", "\x00", "\ud800", "a\udfffb"):
        content = {"username": "bob", "password": PASSWORD, "symbol": "AAPL", field: text}
        if path.endswith("register"):
            content = {"email": "bob@example.com", **content}
        response = await api.post(path, json=content, headers=ada.headers)
        answer = await response.json()

        assert (400, "invalid_request") == (response.status, answer["code"])
        assert answer["error"].startswith(f"{field}: ")


@pytest.mark.parametrize("path", ROUTES)
async def test_unknown_fields_are_ignored(api: Client, ada: User, path: str) -> None:
    content = {"username": "bob", "password": PASSWORD, "symbol": "AAPL", "more": [1, {}]}
    address = {"email": "b@example.com"} if path.endswith("register") else {}
    response = await api.post(path, json=content | address, headers=ada.headers)

    assert response.status in {200, 201, 401}


async def test_a_refused_body_leaves_nothing_behind(api: Client, ada: User, db: asyncpg.Pool) -> None:
    for body, kind, _, _ in BAD.values():
        await api.post("/api/watchlist", data=body, headers={"Content-Type": kind, **ada.headers})
    left = [await db.fetchval(f"SELECT count(*) FROM {table}") for table in ("watchlist_items", "demand", "symbols")]

    assert [0, 0, 0] == left
