"""`READS=accounts`: market data is for accounts only, by whatever way it is asked for."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from api.http.keys import RESOURCES
from api.openapi import describe
from api.operations import operations
from common.process.settings import Settings
from tests.api.conftest import PASSWORD, Client, OpenApi, User, followed, register
from tests.api.http.test_contract import offline
from tests.harness.polling import eventually

OPEN = ("/", "/ops", "/reset", "/api/docs", "/api/openapi.json", "/api/health", "/api/health/live", "/api/health/ready")
ADDRESSES = {
    "/api/stock/{symbol}": "/api/stock/AAPL",
    "/api/stocks": "/api/stocks?symbols=AAPL",
    "/api/stock/{symbol}/chart": "/api/stock/AAPL/chart?wait=10",
    "/api/stock/{symbol}/history": "/api/stock/AAPL/history",
    "/api/search/{query}": "/api/search/apple",
    "/api/market/overview": "/api/market/overview",
    "/api/stream": "/api/stream?symbols=AAPL",
}
CORS = {"Origin": "http://localhost:3000"}


@pytest.fixture
async def closed(open_api: OpenApi) -> Client:
    """A closed instance that has every answer ready; the origin of `CORS` may read it."""
    client = await open_api(public_reads=False, cors_origins=("http://localhost:*",))
    owner = await register(client, "owner")
    await eventually(lambda: followed(client))
    statuses = [
        await status(client, address, headers=owner.headers)
        for address in ("/api/stock/AAPL?wait=10", *ADDRESSES.values())
        if "stream" not in address
    ]
    assert {200} == set(statuses)
    return client


async def status(client: Client, address: str, *, method: str = "GET", **more: Any) -> int:
    async with client.request(method, address, **more) as answer:
        return answer.status


async def event_of(answer: ClientResponse) -> str:
    """The first quote that a stream brings."""
    async with asyncio.timeout(10):
        async for line in answer.content:
            if line.startswith(b"data:"):
                return line.decode()
    raise AssertionError("the stream ended without a quote")


def test_the_setting_is_public_unless_it_says_accounts() -> None:
    env = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h"}

    assert [True, True, False] == [
        Settings.from_env(env | {"READS": text}).public_reads for text in ("", "public", "accounts")
    ]


def test_every_public_route_is_either_market_data_or_named_here() -> None:
    """A new public route must say whether it is for everybody on a closed instance, too."""
    public = {operation.path for operation in operations(offline().router) if operation.is_public}
    still = {operation.path for operation in operations(offline().router, public_reads=False) if operation.is_public}

    assert set(ADDRESSES) == public - still
    assert {*OPEN, "/api/watchlist/stream"} | {path for path in public if path.startswith("/api/auth/")} == still


async def test_nothing_is_read_without_a_token_whatever_the_request_looks_like(closed: Client) -> None:
    etag = {"If-None-Match": "*"}
    preflight = CORS | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    shapes: list[dict[str, Any]] = [
        {},
        {"headers": etag},
        {"headers": CORS},
        {"headers": CORS | etag},
        {"headers": {"Accept": "*/*", "Cache-Control": "only-if-cached"}},
        {"headers": {"Authorization": "Bearer nonsense"}},
        {"headers": {"Authorization": "Basic YTpi"}},
        {"headers": {"X-Forwarded-For": "127.0.0.1"}},
        {"method": "HEAD"},
    ]
    for address in ADDRESSES.values():
        path, _, query = address.partition("?")
        found = [
            await status(closed, address, **shape) for shape in shapes if not ("method" in shape and "stream" in path)
        ]
        assert {401} == set(found), address
        for odd in (f"{path}/?{query}", f"{path}//?{query}", f"{path}?{query}&ticket=x", f"{path.upper()}?{query}"):
            assert await status(closed, odd, allow_redirects=False) in (400, 401, 404), odd
        async with closed.options(address, headers=preflight) as answer:
            assert (204, b"") == (answer.status, await answer.read())


async def test_a_refusal_says_what_to_send_and_costs_no_call(closed: Client) -> None:
    assert closed.app is not None
    db = closed.app[RESOURCES].db
    before = await db.fetchval("SELECT count(*) FROM calls")
    async with closed.get("/api/stock/ORCL?wait=10", headers=CORS) as answer:
        body = await answer.json()

    assert (401, "invalid_token") == (answer.status, body["code"])
    assert "Authorization: Bearer <token>" in body["error"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert ("no-store", CORS["Origin"]) == (
        answer.headers["Cache-Control"],
        answer.headers["Access-Control-Allow-Origin"],
    )
    assert (before, 0) == (
        await db.fetchval("SELECT count(*) FROM calls"),
        await db.fetchval("SELECT count(*) FROM demand"),
    )


async def test_an_account_reads_everything_and_no_cache_may_share_it(closed: Client) -> None:
    ada = await register(closed, "ada")
    for address in ADDRESSES.values():
        async with closed.get(address, headers=ada.headers) as answer:
            assert (200, "private, no-cache") == (answer.status, answer.headers["Cache-Control"]), address
        if "ETag" in answer.headers:
            known = ada.headers | {"If-None-Match": answer.headers["ETag"]}
            async with closed.get(address, headers=known) as again:
                assert (304, "private, no-cache") == (again.status, again.headers["Cache-Control"]), address
            assert 401 == await status(closed, address, headers={"If-None-Match": answer.headers["ETag"]})


async def test_pages_documents_health_and_logins_stay_open(closed: Client) -> None:
    content = {"username": "owner", "password": PASSWORD}

    assert [200] * len(OPEN) == [await status(closed, address) for address in OPEN]
    assert 200 == await status(closed, "/api/auth/login", method="POST", json=content)
    async with closed.get("/api/openapi.json") as answer:
        document = await answer.json()
    assert describe(offline().router, public_reads=False)["paths"] == document["paths"]
    for path in ADDRESSES:
        assert [{"bearer": []}] == document["paths"][path]["get"]["security"]
        assert "401" in document["paths"][path]["get"]["responses"]


async def test_the_token_of_an_ended_login_reads_nothing(closed: Client) -> None:
    ada = await register(closed, "ada")
    assert 200 == await status(closed, "/api/stock/AAPL", headers=ada.headers)
    await closed.post("/api/auth/logout", json={"refresh_token": ada.refresh_token})

    async def is_out() -> bool:
        return 401 == await status(closed, "/api/stock/AAPL", headers=ada.headers)

    await eventually(is_out)
    assert 401 == await status(closed, "/api/stream?symbols=AAPL", headers=ada.headers)


@pytest.mark.parametrize("ways", ["header", "ticket"])
async def test_a_stream_takes_a_token_or_a_ticket_and_ends_with_the_login(closed: Client, ways: str) -> None:
    ada = await register(closed, "ada")
    address, headers = "/api/stream?symbols=AAPL", ada.headers
    if ways == "ticket":
        address, headers = f"{address}&ticket={await ticket_of(closed, ada)}", {}
    async with closed.get(address, headers=headers) as stream:
        assert (200, "private, no-cache") == (stream.status, stream.headers["Cache-Control"])
        assert '"symbol":"AAPL"' in await event_of(stream)
        await closed.post("/api/auth/logout", json={"refresh_token": ada.refresh_token})
        async with asyncio.timeout(10):
            await stream.content.read()  # until its end

    assert 401 == await status(closed, address, headers=headers)


async def ticket_of(client: Client, user: User) -> str:
    async with client.post("/api/auth/ticket", headers=user.headers) as answer:
        return str((await answer.json())["ticket"])


async def test_a_ticket_opens_a_stream_and_nothing_else(closed: Client) -> None:
    ada = await register(closed, "ada")
    for address in ("/api/stock/AAPL?", "/api/stocks?symbols=AAPL&", "/api/watchlist?", "/api/ops/status?"):
        assert 401 == await status(closed, f"{address}ticket={await ticket_of(closed, ada)}")


async def test_where_reads_are_public_no_token_is_looked_at(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise AssertionError("a token was verified")

    monkeypatch.setattr("api.accounts.admit.verify", fail)
    await eventually(lambda: followed(api))
    assert 200 == await status(api, "/api/stock/AAPL?wait=10")
    for address in (
        "/api/stock/AAPL",
        "/api/stocks?symbols=AAPL",
        "/api/market/overview",
        "/api/stream?symbols=AAPL&ticket=x",
    ):
        assert 200 == await status(api, address, headers={"Authorization": "Bearer nonsense"}), address
