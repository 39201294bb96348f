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
LIST = (
    OURS,
    "http://localhost:*",
    "https://[::1]:8443",
    "capacitor://localhost",
    "tauri://localhost",
    "https://*.example.org",
    "http://*.dev.example.net:*",
)
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
        ("capacitor://localhost", True),
        ("tauri://localhost", True),
        ("capacitor://localhost:80", False),
        ("capacitor://localhost.evil.com", False),
        ("capacitor://", False),
        ("ionic://localhost", False),
        ("xcapacitor://localhost", False),
        ("https://a.example.org", True),
        ("https://pr-17.example.org", True),
        ("https://my_app.example.org", True),
        ("https://xn--bcher-kva.example.org", True),
        (f"https://{'a' * 63}.example.org", True),
        (f"https://{'a' * 64}.example.org", False),
        ("https://example.org", False),
        ("https://.example.org", False),
        ("https://*.example.org", False),
        ("https://a.b.example.org", False),
        ("https://evilexample.org", False),
        ("https://evil-example.org", False),
        ("https://a.example.org.evil.com", False),
        ("https://a.exampleXorg", False),
        ("https://evil.com/.example.org", False),
        ("https://evil.com#.example.org", False),
        ("https://evil.com?.example.org", False),
        ("https://evil.com\\.example.org", False),
        ("https://evil.com@a.example.org", False),
        ("https://a@b.example.org", False),
        ("https://a%2eb.example.org", False),
        ("https://-.example.org", False),
        ("https://a-.example.org", False),
        ("https://A.example.org", False),
        ("https://ä.example.org", False),
        ("https://a.example.org:443", False),
        ("https://a.example.org.", False),
        ("https://a.example.org\n", False),
        ("http://a.example.org", False),
        ("https://a.example.org https://evil.com", False),
        ("http://a.dev.example.net", True),
        ("http://a.dev.example.net:3000", True),
        ("http://dev.example.net:3000", False),
        ("http://a.dev.example.net:3000x", False),
        ("http://a.dev.example.net:123456", False),
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
        assert ["true"] == answer.headers.getall("Access-Control-Allow-Credentials")


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
        assert "true" == answer.headers["Access-Control-Allow-Credentials"]
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


# What real clients add: axios, jQuery, TanStack Query, EventSource polyfills, OpenTelemetry, Sentry, Datadog, Zipkin and others.
SENT = """authorization, content-type, x-requested-with, cache-control, pragma, if-none-match, if-modified-since, last-event-id,
prefer, x-request-id, x-correlation-id, traceparent, tracestate, baggage, sentry-trace, b3, x-b3-traceid, x-b3-spanid, x-b3-sampled,
uber-trace-id, x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority, x-amzn-trace-id, newrelic,
accept, accept-language, x-csrf-token, x-xsrf-token, request-id"""


async def test_a_preflight_allows_the_headers_that_real_clients_send(shared: Client) -> None:
    wanted = [name.strip() for name in SENT.split(",")]
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": ",".join(wanted)}
    answer = await shared.options("/api/stock/AAPL", headers={"Origin": OURS, **asked})
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}

    assert set() == set(wanted) - allowed
    assert {"*", "x-forwarded-for", "x-evil", "cookie"}.isdisjoint(allowed)


@pytest.mark.parametrize("origin", ["capacitor://localhost", "tauri://localhost", "https://pr-17.example.org"])
async def test_an_app_and_a_subdomain_may_read_answers(shared: Client, origin: str) -> None:
    for send in (
        shared.get("/api/health", headers={"Origin": origin}),
        shared.options("/api/health", headers={"Origin": origin, **ASKED}),
    ):
        async with send as answer:
            assert origin == answer.headers["Access-Control-Allow-Origin"]
