"""What every request goes through: the way in, ids, errors in one shape, headers."""

import asyncio
import re
from collections.abc import AsyncIterator

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from api.accounts.tokens import TOKENS
from api.app import create_app
from api.http import middlewares
from api.http.middlewares import accepts, public, scoped
from common.process.settings import Settings
from tests.api.conftest import Client, User, close, register
from tests.harness.polling import PATIENCE

PUBLIC = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/auth/forgot"),
    ("POST", "/api/auth/reset"),
    ("GET", "/api/stock/{symbol}"),
    ("GET", "/api/stock/{symbol}/chart"),
    ("GET", "/api/stock/{symbol}/history"),
    ("GET", "/api/stocks"),
    ("GET", "/api/stream"),
    ("GET", "/api/search/{query}"),
    ("GET", "/api/market/overview"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/docs"),
    ("GET", "/"),
    ("GET", "/ops"),
    ("GET", "/reset"),
    ("GET", "/api/health/live"),
    ("GET", "/api/health/ready"),
    ("GET", "/api/health"),
}
SECRET_TEXT = "postgresql://user:hunter2@10.0.0.1/quotes"


def _routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"  # each GET has one
    }


async def test_every_route_that_is_not_public_needs_a_token(api: Client) -> None:
    assert api.app is not None
    private = sorted(_routes(api.app) - PUBLIC)
    answers = {}
    for method, path in private:
        response = await api.request(method, re.sub(r"\{\w+\}", "AAPL", path))
        answers[method, path] = (response.status, (await response.json())["code"])

    assert len(private) >= 4
    assert dict.fromkeys(private, (401, "invalid_token")) == answers


async def test_every_public_route_goes_without_a_token(api: Client) -> None:
    statuses = {}
    for method, path in sorted(PUBLIC):
        response = await api.request(method, path.replace("{symbol}", "AAPL"))
        statuses[method, path] = response.status

    assert 401 not in statuses.values()
    assert len(PUBLIC) == len(statuses)


async def answer_well(_: web.Request) -> web.Response:
    return web.json_response({})


async def fail(_: web.Request) -> web.Response:
    raise RuntimeError(SECRET_TEXT)


@pytest.fixture
async def more(ready: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API with routes that it does not have."""
    app = create_app(ready)
    app.router.add_get("/api/unmarked", answer_well)
    app.router.add_get("/api/open", public(answer_public))
    app.router.add_get("/api/ops", scoped("operator")(answer_scoped))
    app.router.add_get("/api/broken", public(fail))
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    yield client
    await close(client)


async def answer_public(_: web.Request) -> web.Response:
    return web.json_response({})


async def answer_scoped(_: web.Request) -> web.Response:
    return web.json_response({})


async def test_a_new_route_is_closed_until_it_is_marked(more: Client) -> None:
    unmarked = await more.get("/api/unmarked")
    marked = await more.get("/api/open")

    assert (401, 200) == (unmarked.status, marked.status)


@pytest.mark.parametrize(
    ("scope", "status"), [("", 403), ("operators", 403), ("operator", 200), ("reader operator", 200)]
)
async def test_a_scoped_route_is_open_to_that_scope_alone(
    more: Client, ready: Settings, scope: str, status: int
) -> None:
    assert more.app is not None
    ada = await register(more, "ada")
    login = jwt.decode(ada.headers["Authorization"].split()[1], options={"verify_signature": False})["sid"]
    token = more.app[TOKENS].issue(ada.id, scope, login)
    response = await more.get("/api/ops", headers={"Authorization": f"Bearer {token}"})

    assert response.status == status
    assert (await response.json()).get("code") == ("insufficient_scope" if status == 403 else None)


async def test_an_unexpected_error_is_told_without_its_text(more: Client, capfd: pytest.CaptureFixture[str]) -> None:
    response = await more.get("/api/broken")
    text = await response.text()

    assert 500 == response.status
    assert "internal" == (await response.json())["code"]
    assert (await response.json())["request_id"] == response.headers["X-Request-ID"]
    assert "hunter2" not in text
    assert "RuntimeError" not in text
    assert "Traceback" not in text
    assert "request_failed" in capfd.readouterr().out


async def test_what_is_not_there_is_404_with_or_without_a_token(api: Client, ada: User) -> None:
    for path in (
        "/api",
        "/api/",
        "/nothing",
        "/api/nothing",
        "/api/stock/",
        "/api/stock/A/B",
        "/api/stock/%7B%7D",
    ):
        for headers in ({}, ada.headers):
            response = await api.get(path, headers=headers)

            assert (404, "not_found") == (response.status, (await response.json())["code"]), path
            assert {"error", "code", "request_id"} == set(await response.json())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/watchlist", "GET, HEAD, POST, PUT"),
        ("GET", "/api/watchlist/AAPL", "DELETE"),
        ("GET", "/api/auth/login", "POST"),
        ("OPTIONS", "/api/auth/me", "DELETE, GET, HEAD"),
        ("TRACE", "/api/stock/AAPL", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_and_told_the_right_ones(api: Client, method: str, path: str, allowed: str) -> None:
    response = await api.request(method, path)

    assert (response.status, response.headers["Allow"]) == (405, allowed)
    assert "method_not_allowed" == (await response.json())["code"]
    assert {"error", "code", "request_id"} == set(await response.json())


async def test_a_good_request_id_comes_back(api: Client) -> None:
    for offered in ("a", "a" * 64, "01H-x_y.z", "-"):
        well = await api.get("/api/health", headers={"X-Request-ID": offered})
        badly = await api.get("/api/nothing", headers={"X-Request-ID": offered})

        assert (offered, offered) == (well.headers["X-Request-ID"], badly.headers["X-Request-ID"])
        assert offered == (await badly.json())["request_id"]


async def test_a_bad_request_id_is_replaced(api: Client) -> None:
    for offered in (None, "", "a" * 65, "a b", "a/b", "é", "a\tb", '"a"', "{a}"):
        headers = {} if offered is None else {"X-Request-ID": offered}
        response = await api.get("/api/nothing", headers=headers)

        assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"]), offered
        assert response.headers["X-Request-ID"] == (await response.json())["request_id"]


async def test_two_requests_have_two_ids(api: Client) -> None:
    first, second = await api.get("/api/health"), await api.get("/api/health")

    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/health"),
        ("GET", "/api/stock/AAPL"),
        ("GET", "/api/nothing"),
        ("PUT", "/api/health"),
        ("GET", "/api/auth/me"),
        ("POST", "/api/auth/login"),
    ],
)
async def test_every_answer_names_a_server_without_a_version(api: Client, method: str, path: str) -> None:
    response = await api.request(method, path)

    assert "quotewell" == response.headers["Server"]
    assert "nosniff" == response.headers["X-Content-Type-Options"]
    assert "application/json" == response.content_type


async def test_an_error_is_not_to_be_stored(api: Client) -> None:
    responses = [await api.get("/api/nothing"), await api.get("/api/auth/me"), await api.get("/api/stock/A%20B")]

    assert ["no-store"] * 3 == [response.headers["Cache-Control"] for response in responses]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nConnection: close\r\n\r\n", 417),
    ],
    ids=["no HTTP at all", "a header of 20 kB", "an expectation that nobody meets"],
)
async def test_what_fails_before_the_application_names_no_version_either(api: Client, raw: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(raw)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head = answer.partition(b"\r\n\r\n")[0].decode()

    assert head.startswith((f"HTTP/1.1 {status} ", f"HTTP/1.0 {status} "))
    assert "aiohttp" not in head.lower()
    assert "python" not in head.lower()


@pytest.mark.parametrize(
    ("accept", "media", "accepted"),
    [
        (None, "application/json", True),
        ("", "application/json", True),
        ("*/*", "application/json", True),
        ("application/*;q=0.1", "application/json", True),
        ("text/html, APPLICATION/JSON;q=0.9", "application/json", True),
        ("text/html", "application/json", False),
        ("text/html", "text/html", True),
        ("application/json;q=0, text/plain", "application/json", False),
        ("application/json; q=0.0", "application/json", False),
        ("garbage", "application/json", False),
    ],
)
def test_an_accept_header_is_met_or_not(accept: str | None, media: str, accepted: bool) -> None:
    assert accepted == accepts(accept, media)


@pytest.mark.parametrize("path", ["/api/health", "/api/stock/AAPL?wait=0", "/api/stock/AAPL"])
async def test_an_accept_that_cannot_be_met_is_406_hot_or_not(api: Client, path: str) -> None:
    await api.get("/api/stock/AAPL?wait=10")

    async with api.get(path, headers={"Accept": "text/csv"}) as answer:
        assert (406, "not_acceptable") == (answer.status, (await answer.json())["code"])


async def test_what_is_not_there_is_404_whatever_is_accepted(api: Client) -> None:
    assert 404 == (await api.get("/api/nothing", headers={"Accept": "text/csv"})).status


async def test_writes_and_refusals_are_logged_and_ordinary_reads_are_not(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, str | None, int]] = []
    monkeypatch.setattr(
        middlewares.log, "info", lambda _, **line: logged.append((line["method"], line["route"], line["status"]))
    )

    await api.get("/api/health/live")
    await api.post("/api/auth/login", json={"username": "nobody", "password": "a password of theirs"})
    await api.get("/api/stock/A,B")
    await api.get("/api/nothing?token=secret")

    assert [
        ("POST", "/api/auth/login", 401),
        ("GET", "/api/stock/{symbol}", 400),
        ("GET", None, 404),
    ] == logged
