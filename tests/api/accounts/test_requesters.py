"""Who asks: an account where the token is good, else a network; found out only when it matters, and once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from api.accounts.requesters import reader_of, requester_of
from api.accounts.tokens import Tokens
from api.app import create_app
from api.http.middlewares import public
from api.quotes.memory import MEMORY
from api.quotes.reads import READS
from common.process.settings import Settings
from tests.api.conftest import Client, User, close, register
from tests.harness.polling import eventually

Open = Callable[..., Awaitable[Client]]
STRANGER = "network:e7e13cb2ace4ff33"  # sha256 of 127.0.0.0/24


async def tell(request: web.Request) -> web.Response:
    """The requester, whether it was found once, and the reader."""
    first, second = await requester_of(request), await requester_of(request)
    return web.json_response([first.name, first.account, first is second, reader_of(request)])


async def tell_caller(request: web.Request) -> web.Response:
    return await tell(request)


@pytest.fixture
async def open_telling(ready: Settings, redis: Redis) -> AsyncIterator[Open]:
    """Starts an API behind one proxy that tells who asks: `/who` is public, `/me` is not."""
    clients: list[Client] = []

    async def start(**changes: object) -> Client:
        app = create_app(replace(ready, trusted_proxies=1, **changes))  # type: ignore[arg-type]
        app.router.add_get("/who", public(tell))
        app.router.add_get("/me", tell_caller)
        client: Client = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return client

    yield start
    for client in clients:
        await close(client)


async def who(client: Client, path: str = "/who", **headers: str) -> list[object]:
    async with client.get(path, headers=headers) as answer:
        assert 200 == answer.status
        told: list[object] = await answer.json()
        return told


async def test_a_good_token_names_the_account_on_a_public_route_too(open_telling: Open) -> None:
    api = await open_telling()
    ada = await register(api, "ada")

    assert [f"user:{ada.id}", ada.id, True, "127.0.0.0/24"] == await who(api, **ada.headers)
    assert [f"user:{ada.id}", ada.id, True, f"user:{ada.id}"] == await who(api, "/me", **ada.headers)


async def test_a_stranger_is_the_hash_of_a_network(open_telling: Open) -> None:
    api = await open_telling()
    told = [
        (await who(api, **{"X-Forwarded-For": address}))[:2]
        for address in ("198.51.100.1", "198.51.100.2", "203.0.113.1", "2001:db8:1::1", "2001:db8:1:2::3")
    ]

    assert told[0] == told[1]
    assert told[3] == told[4]
    assert 3 == len({str(each) for each in told})
    assert [STRANGER, None] == (await who(api))[:2]


def of_another_key(ready: Settings) -> str:
    return Tokens("another key, which is long enough to sign with", ttl=timedelta(hours=1)).issue(1, "", 1)


def expired(ready: Settings) -> str:
    return Tokens(ready.jwt_secret, ttl=timedelta(hours=-1)).issue(1, "", 1)


def rubbish(ready: Settings) -> str:
    return "rubbish"


@pytest.mark.parametrize("token", [of_another_key, expired, rubbish])
async def test_a_token_that_is_not_good_makes_a_stranger(
    open_telling: Open, ready: Settings, token: Callable[[Settings], str]
) -> None:
    api = await open_telling()

    assert [STRANGER, None] == (await who(api, Authorization=f"Bearer {token(ready)}"))[:2]


async def test_a_login_that_ended_makes_a_stranger(open_telling: Open) -> None:
    api = await open_telling()
    ada = await register(api, "ada")
    await api.post("/api/auth/logout", json={"refresh_token": ada.refresh_token})

    async def forgotten() -> bool:
        return (await who(api, **ada.headers))[0] == STRANGER

    await eventually(forgotten)


async def test_a_token_that_nobody_can_verify_makes_a_stranger(open_telling: Open, ready: Settings) -> None:
    api = await open_telling(database_url="postgresql://127.0.0.1:9/nowhere")
    token = Tokens(ready.jwt_secret, ttl=timedelta(hours=1)).issue(1, "", 1)

    assert [STRANGER, None] == (await who(api, Authorization=f"Bearer {token}"))[:2]


@pytest.mark.parametrize("path", ["/api/stock/COLD?wait=0", "/api/stock/COLD/chart?wait=0", "/api/search/zzzz"])
async def test_whoever_asks_stands_beside_the_demand(open_telling: Open, db: asyncpg.Pool, path: str) -> None:
    api = await open_telling(provider_base_url="http://127.0.0.1:9", miss_wait=timedelta(0))
    ada = await register(api, "ada")
    requesters = []
    for headers in (ada.headers, {}):
        await (await api.get(path, headers=headers)).read()
        requesters.append(await db.fetchval("SELECT max(asker) FROM demand"))
        await db.execute("DELETE FROM demand")

    assert [f"user:{ada.id}", STRANGER] == requesters


async def test_whoever_adds_to_a_list_stands_beside_the_demand(api: Client, ada: User, db: asyncpg.Pool) -> None:
    await api.post("/api/watchlist", json={"symbol": "COLD"}, headers=ada.headers)

    assert f"user:{ada.id}" == await db.fetchval("SELECT asker FROM demand")


@pytest.mark.parametrize("path", ["/api/stock/AAPL", "/api/stock/AAPL/chart", "/api/search/apple"])
async def test_an_answer_from_cache_verifies_no_token(
    api: Client, ada: User, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 200 == (await api.get(f"{path}?wait=10")).status

    async def refuse(*_: object) -> NoReturn:
        raise AssertionError("a token was verified")

    monkeypatch.setattr(Tokens, "verify", refuse)
    assert api.app is not None
    hot = await api.get(path, headers=ada.headers)
    api.app[MEMORY].answers.drop(path)
    ordinary = await api.get(path, headers=ada.headers)

    assert [200, 200] == [hot.status, ordinary.status]


async def test_reads_are_counted_by_account_where_it_is_known_and_by_network_elsewhere(api: Client, ada: User) -> None:
    await api.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)
    await api.get("/api/stock/AAPL?wait=10", headers=ada.headers)
    await api.get("/api/stock/AAPL", headers=ada.headers)
    await api.get("/api/watchlist?include=quotes", headers=ada.headers)

    assert api.app is not None
    assert {(f"user:{ada.id}", "AAPL"), ("127.0.0.0/24", "AAPL")} == api.app[READS]._seen
