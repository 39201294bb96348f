"""Which pages of other origins may read an answer: those of the list, whatever the answer; and every cache is told."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from api.app import create_app
from api.http.cors import EXPOSED, HEADERS, allows
from api.http.middlewares import public
from common.errors import RateLimited, StoreUnavailable
from common.process.settings import Settings
from tests.api.conftest import Client, close

OURS = "https://app.example.com"
FOREIGN = "https://evil.example.com"
LIST = (OURS, "http://localhost:*", "https://[::1]:8443")
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (OURS, True),
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("http://localhost:65535", True),
        ("https://[::1]:8443", True),
        ("", False),
        ("null", False),
        ("*", False),
        ("http://app.example.com", False),
        ("https://app.example.com:443", False),
        ("https://app.example.com/", False),
        ("https://app.example.com.evil.com", False),
        ("https://evil.app.example.com", False),
        ("https://appxexample.com", False),
        ("HTTPS://APP.EXAMPLE.COM", False),
        ("https://localhost:3000", False),
        ("http://localhost:*", False),
        ("http://localhost:", False),
        ("http://localhost:3000.evil.com", False),
        ("http://localhost.evil.com:3000", False),
        ("http://localhost:3000\n", False),
        ("https://[::1]:8444", False),
    ],
)
def test_an_origin_is_on_the_list_letter_by_letter(origin: str, allowed: bool) -> None:
    assert allowed == allows(LIST, origin)


def test_an_empty_list_allows_nobody() -> None:
    assert [False] * 3 == [allows((), origin) for origin in ("", "null", OURS)]


async def fail(_: web.Request) -> web.Response:
    raise RuntimeError


async def refuse(_: web.Request) -> web.Response:
    raise RateLimited("later")


async def lack_a_store(_: web.Request) -> web.Response:
    raise StoreUnavailable("later")


@pytest.fixture
async def shared(ready: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API that one origin may read, with every kind of answer."""
    app = create_app(replace(ready, cors_origins=LIST))
    app.router.add_get("/api/broken", public(fail))
    app.router.add_get("/api/limited", public(refuse))
    app.router.add_get("/api/storeless", public(lack_a_store))
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    yield client
    await close(client)


ANSWERS = [
    ("GET", "/api/stock/AAPL?wait=10", 200),
    ("HEAD", "/api/health", 200),
    ("GET", "/api/stock/A%20B", 400),
    ("GET", "/api/auth/me", 401),
    ("GET", "/api/nothing", 404),
    ("PATCH", "/api/health", 405),
    ("OPTIONS", "/api/health", 405),
    ("POST", "/api/auth/login", 415),
    ("GET", "/api/limited", 429),
    ("GET", "/api/broken", 500),
    ("GET", "/api/storeless", 503),
    ("GET", "/api/stream?symbols=AAPL", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_an_allowed_origin_may_read_every_answer(shared: Client, method: str, path: str, status: int) -> None:
    async with shared.request(method, path, headers={"Origin": OURS}) as answer:
        assert (status, OURS) == (answer.status, answer.headers["Access-Control-Allow-Origin"])
        assert EXPOSED == answer.headers["Access-Control-Expose-Headers"]
        assert ["Origin"] == answer.headers.getall("Vary")
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", [FOREIGN, "null", None])
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_no_other_origin_may_read_any_answer(
    shared: Client, method: str, path: str, status: int, origin: str | None
) -> None:
    async with shared.request(method, path, headers={"Origin": origin} if origin else {}) as answer:
        assert (status, ["Origin"]) == (answer.status, answer.headers.getall("Vary"))
        assert [] == [name for name in answer.headers if name.lower().startswith("access-control-")]


async def test_an_answer_that_is_ready_is_not_shared_with_the_next_origin(shared: Client) -> None:
    await shared.get("/api/stock/AAPL?wait=10")
    headers = [None, OURS, None, FOREIGN, "http://localhost:1"]
    answers = [await shared.get("/api/stock/AAPL", headers={"Origin": origin} if origin else {}) for origin in headers]

    assert [None, OURS, None, None, "http://localhost:1"] == [
        answer.headers.get("Access-Control-Allow-Origin") for answer in answers
    ]
    assert ["Origin"] * 5 == [answer.headers["Vary"] for answer in answers]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/auth/login", "POST"),
        ("/api/stock/AAPL", "GET, HEAD"),
        ("/api/watchlist", "GET, HEAD, POST, PUT"),
        ("/api/watchlist/AAPL", "DELETE"),
        ("/api/stream", "GET"),
    ],
)
async def test_a_preflight_is_told_what_the_path_takes(shared: Client, path: str, methods: str) -> None:
    async with shared.options(path, headers={"Origin": OURS, **ASKED}) as answer:
        assert (204, b"") == (answer.status, await answer.read())
        assert OURS == answer.headers["Access-Control-Allow-Origin"]
        assert methods == answer.headers["Access-Control-Allow-Methods"]
        assert HEADERS == answer.headers["Access-Control-Allow-Headers"]
        assert "600" == answer.headers["Access-Control-Max-Age"]
        assert ["Origin"] == answer.headers.getall("Vary")
        assert {"Content-Type", "Content-Length"}.isdisjoint(answer.headers)


async def test_a_preflight_of_another_origin_is_told_nothing(shared: Client) -> None:
    async with shared.options("/api/auth/login", headers={"Origin": FOREIGN, **ASKED}) as answer:
        assert 204 == answer.status
        assert [] == [name for name in answer.headers if name.lower().startswith("access-control-")]


async def test_a_preflight_for_nothing_is_404(shared: Client) -> None:
    async with shared.options("/api/nothing", headers={"Origin": OURS, **ASKED}) as answer:
        assert (404, OURS) == (answer.status, answer.headers["Access-Control-Allow-Origin"])


@pytest.mark.parametrize("headers", [{}, {"Origin": OURS}, ASKED])
async def test_options_without_a_preflight_stays_405(shared: Client, headers: dict[str, str]) -> None:
    async with shared.options("/api/auth/login", headers=headers) as answer:
        assert (405, "POST") == (answer.status, answer.headers["Allow"])
