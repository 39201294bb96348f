"""What every answer carries, whatever it is: for browsers, what they must not do with it; for nobody, which version made it."""

import pytest

from api.http.answers import ALWAYS
from api.quotes.memory import MEMORY
from tests.api.conftest import Client, User, followed
from tests.harness.polling import eventually

JSON = {"Content-Type": "application/json"}


def test_the_headers_are_these() -> None:
    assert {
        "Vary": "Origin",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Strict-Transport-Security": "max-age=31536000",
    } == ALWAYS


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/api/stock/AAPL?wait=10", {}, 200),
        ("HEAD", "/api/stock/AAPL?wait=10", {}, 200),
        ("GET", "/api/health", {}, 200),
        ("GET", "/api/stream?symbols=AAPL", {}, 200),
        ("POST", "/api/watchlist", {"json": {"symbol": "IBM"}}, 201),
        ("OPTIONS", "/api/health", {"headers": {"Origin": "a", "Access-Control-Request-Method": "GET"}}, 204),
        ("GET", "/api/stock/A%20B", {}, 400),
        ("GET", "/api/watchlist", {"headers": {}}, 401),
        ("GET", "/api/nothing", {}, 404),
        ("PATCH", "/api/health", {}, 405),
        ("GET", "/api/health", {"headers": {"Accept": "text/csv"}}, 406),
        ("POST", "/api/auth/login", {"data": b" " * 70_000, "headers": JSON}, 413),
        ("POST", "/api/auth/login", {"data": b"a"}, 415),
        ("GET", "/api/stock/ORCL?wait=0", {}, 503),
    ],
)
async def test_every_answer_carries_them_once(
    api: Client, ada: User, method: str, path: str, sent: dict[str, object], status: int
) -> None:
    async with api.request(method, path, **{"headers": ada.headers, **sent}) as answer:  # type: ignore[arg-type]
        assert status == answer.status
        assert {name: [value] for name, value in ALWAYS.items()} == {
            name: answer.headers.getall(name, []) for name in ALWAYS
        }
        assert ["quotewell"] == answer.headers.getall("Server")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_answer_that_is_ready_carries_them_too(api: Client, method: str) -> None:
    await eventually(lambda: followed(api))
    await api.get("/api/stock/AAPL?wait=10")
    tag = (await api.get("/api/stock/AAPL")).headers["ETag"]
    answers = [await api.request(method, "/api/stock/AAPL", headers={"If-None-Match": tags}) for tags in ("", tag)]

    assert api.app is not None
    assert api.app[MEMORY].answers.last("/api/stock/AAPL") is not None
    assert [200, 304] == [answer.status for answer in answers]
    assert [ALWAYS] * 2 == [{name: answer.headers.get(name) for name in ALWAYS} for answer in answers]


async def test_a_page_keeps_a_policy_of_its_own(api: Client) -> None:
    answer = await api.get("/api/docs")

    assert "script-src 'sha256-" in answer.headers["Content-Security-Policy"]
    assert ["Vary", "Content-Security-Policy"] == [
        name for name in ALWAYS if [ALWAYS[name]] != answer.headers.getall(name)
    ]
