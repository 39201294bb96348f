"""A path with one trailing slash is the route of the path without it, whatever the method, and nothing gets past a limit or a token."""

import asyncio
import re

from api.quotes.memory import MEMORY
from tests.api.conftest import PASSWORD, Client, OpenApi, User, register_operator

JSON = {"Content-Type": "application/json"}


async def test_a_trailing_slash_serves_the_same_route(api: Client) -> None:
    operator = await register_operator(api, "operator")
    await api.get("/api/stock/BRK-B?wait=10")
    paths = ["/ops", "/api/docs", "/api/openapi.json", "/api/health/live", "/api/auth/me", "/api/watchlist"]
    paths += ["/api/stock/BRK-B", "/api/stock/BRK%2FB", "/api/search/apple%20inc", "/api/market/overview"]
    paths += ["/api/stocks?symbols=BRK-B", "/api/stock/BRK-B/history?limit=1", "/api/watchlist/export", "/api/ops/line"]
    paths += ["/api/nothing", "/api/stock", "/api/stock/A%20B", "/api/stock/BRK-B?wait=x", "/api/stocks?symbols=A&x=1"]
    for path in paths:
        place, mark, query = path.partition("?")
        plain = await api.get(path, headers=operator.headers)
        slashed = await api.get(f"{place}/{mark}{query}", headers=operator.headers)

        same = [(answer.status, answer.content_type, len(await answer.read())) for answer in (plain, slashed)]
        assert same[0] == same[1], path
        assert plain.status in (200, 400, 404)


async def test_other_methods_take_a_slash_too(api: Client, ada: User) -> None:
    login = {"username": "ada", "password": PASSWORD}
    answers = [
        await api.post("/api/auth/login/", json=login),
        await api.post("/api/watchlist/", json={"symbol": "IBM"}, headers=ada.headers),
        await api.delete("/api/watchlist/IBM/", headers=ada.headers),
        await api.head("/api/health/"),
        await api.get("/api/auth/login/"),
        await api.options("/api/auth/login/", headers={"Origin": "a", "Access-Control-Request-Method": "POST"}),
        await api.post("/api/auth/login/", data=b" " * 70_000, headers=JSON),
    ]

    assert [200, 201, 200, 200, 405, 204, 413] == [answer.status for answer in answers]
    assert "POST" == answers[4].headers["Allow"]


async def test_a_slash_gets_nobody_in(api: Client, ada: User) -> None:
    statuses = [(await api.get(f"/api/{path}/")).status for path in ("auth/me", "watchlist", "ops/status")]
    scoped = await api.get("/api/ops/status/", headers=ada.headers)

    assert [401, 401, 401, 403] == [*statuses, scoped.status]


async def test_a_slash_gets_past_no_limit(open_api: OpenApi) -> None:
    api = await open_api(client_limit=100, search_limit=1, login_limit=1)
    login = {"username": "nobody", "password": "x"}
    searches = [(await api.get(f"/api/search/%01{slash}")).status for slash in ("/", "", "/")]
    logins = [(await api.post(f"/api/auth/login{slash}", json=login)).status for slash in ("/", "", "/")]

    assert [400, 429, 429] == searches
    assert [401, 429, 429] == logins
    assert 200 == (await api.get("/api/health/")).status


async def test_an_overview_with_a_slash_is_as_new_as_one_without(open_api: OpenApi) -> None:
    api = await open_api(overview_symbols=("AAPL",))
    await api.get("/api/stock/AAPL?wait=10")
    answers = [await (await api.get(path)).json() for path in ("/api/market/overview/", "/api/market/overview")]
    assert api.app is not None
    memory = api.app[MEMORY]

    assert answers[0] == answers[1]
    assert memory.answers.last("/api/market/overview/") is None


async def status_of(api: Client, path: str) -> int:
    """The status of a path that is sent as it is; a client would tidy it."""
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


async def test_more_than_one_slash_is_another_path(api: Client) -> None:
    paths = [
        "//",
        "/ops//",
        "/api/health//",
        "/api/health" + "/" * 5000,
        "/api//health/",
        "/api/search//",
        "/api/stock//",
    ]

    assert [404] * len(paths) == [await status_of(api, path) for path in paths]
    assert [200, 200] == [await status_of(api, path) for path in ("/", "/api/health/")]


async def test_a_page_finds_its_files_with_a_slash_too(api: Client) -> None:
    pages = [await (await api.get(path)).text() for path in ("/", "/ops/", "/api/docs/")]

    assert [[]] * 3 == [re.findall(r'(?:href=|src=|fetch\(|EventSource\()"(?!/|#|data:)[^"]*', page) for page in pages]


async def test_a_stream_with_a_slash_streams(api: Client) -> None:
    async with api.get("/api/stream/?symbols=AAPL") as stream:
        assert (200, "text/event-stream") == (stream.status, stream.content_type)
        assert b"retry" in await stream.content.readuntil(b"\n\n")
