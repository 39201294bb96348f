"""Stores that are away, frozen or back again: what is known is served, the rest is a 503 with Retry-After, and nothing is a 500."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psycopg
import pytest
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from common.process import resources
from common.process.resources import open_redis
from common.process.servers import Postgres, Server
from common.process.servers import Redis as Valkey
from common.process.settings import Settings
from common.store.connection import pool as pools
from common.store.connection.pool import acquire, open_pool
from common.store.market import feed
from common.store.market.quotes import upsert_quote
from db.migrate import migrate
from tests.api.conftest import PASSWORD, Client, OpenApi, Provider, User, a_quote, followed, price_of, register
from tests.harness.database import empty
from tests.harness.polling import BUSY, eventually

AT_ONCE = 1 + BUSY  # seconds


@dataclass(frozen=True, slots=True)
class Stores:
    """Servers of these tests alone."""

    postgres: Postgres
    valkey: Valkey

    @property
    def urls(self) -> dict[str, str]:
        return {"database_url": self.postgres.url(), "redis_url": self.valkey.url()}


@pytest.fixture(scope="module")
def servers() -> Iterator[Stores]:
    with TemporaryDirectory(prefix="quotewell-") as home:
        stores = Stores(Postgres(Path(home), throwaway=True), Valkey(Path(home), throwaway=True))
        stores.postgres.start()
        stores.valkey.start()
        migrate(stores.postgres.url())
        yield stores
        stores.postgres.stop()
        stores.valkey.stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeouts of production, which tests/conftest.py makes longer."""
    monkeypatch.setattr(pools, "ACQUIRE_TIMEOUT", 0.7)
    monkeypatch.setattr(resources, "REDIS_TIMEOUT", 0.25)


@pytest.fixture
def stores(servers: Stores) -> Stores:
    """Both of them up and empty."""
    servers.postgres.start()
    servers.valkey.stop()
    servers.valkey.start()
    empty(servers.postgres.url())
    return servers


@pytest.fixture
def ready(ready: Settings, stores: Stores) -> Settings:
    return replace(ready, **stores.urls)  # type: ignore[arg-type]


@pytest.fixture
async def redis(stores: Stores) -> AsyncIterator[Redis]:
    client = open_redis(stores.valkey.url(), timeout=5)
    yield client
    await client.aclose()


@pytest.fixture
async def db(stores: Stores) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(stores.postgres.url(), name="tests", size=2, statement_timeout=10)
    yield pool
    pool.terminate()


async def kill(server: Postgres) -> None:
    """As a power cut would. A throwaway server forgets what it acknowledged unless it is told to write it first."""
    async with await psycopg.AsyncConnection.connect(server.url(), autocommit=True) as connected:
        await connected.execute("CHECKPOINT")
    await asyncio.to_thread(server.kill)


async def start(server: Postgres | Valkey) -> None:
    await asyncio.to_thread(server.start)


async def stop(server: Server) -> None:
    await asyncio.to_thread(server.stop)


@asynccontextmanager
async def frozen(server: Server) -> AsyncIterator[None]:
    """A server that holds its connections and answers nothing."""
    process = server.process()
    family = [*process.children(recursive=True), process]
    for each in family:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in family:
            each.send_signal(signal.SIGCONT)


async def health(client: Client) -> tuple[int, dict[str, Any]]:
    response = await client.get("/api/health")
    return response.status, await response.json()


async def seen(client: Client) -> tuple[int, str, str, str]:
    status, body = await health(client)
    return status, body["status"], body["database"], body["redis"]


async def ask(client: Client, method: str, path: str, user: User | None = None, **more: Any) -> tuple[int, Any, float]:
    began = time.monotonic()
    response = await client.request(method, path, headers=user.headers if user else {}, **more)
    body = await response.json()
    if response.status == 503 and path != "/api/health":
        assert str(body["retry_after"]) == response.headers["Retry-After"]
    return response.status, body.get("code"), time.monotonic() - began


async def until_healthy(client: Client) -> None:
    async def well() -> bool:
        return (200, "healthy", "connected", "connected") == await seen(client) and await followed(client)

    await eventually(well)


async def test_with_both_stores_it_is_healthy(api: Client) -> None:
    status, body = await health(api)

    assert 200 == status
    assert {"status": "healthy", "database": "connected", "redis": "connected"}.items() <= body.items()
    assert "testing" == body["environment"]
    assert body["timestamp"].endswith("Z")


async def test_without_redis_it_is_degraded_and_serves_what_it_remembers(
    api: Client, stores: Stores, provider: Provider
) -> None:
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    price = await price_of(api, "AAPL")
    await stop(stores.valkey)

    assert (200, "degraded", "connected", "disconnected") == await seen(api)
    assert price == await price_of(api, "AAPL")
    assert ["AAPL"] == await provider.asked()


async def test_without_redis_a_miss_still_goes_live(api: Client, stores: Stores) -> None:
    await stop(stores.valkey)
    status, _, took = await ask(api, "GET", "/api/stock/AAPL")

    assert 200 == status
    assert took < 2 + AT_ONCE


async def test_without_redis_accounts_and_watchlists_work(api: Client, stores: Stores) -> None:
    user = await register(api, "ada")
    await stop(stores.valkey)
    bob = await register(api, "bob")
    answers = [
        await ask(api, "POST", "/api/watchlist", user, json={"symbol": "AAPL"}),
        await ask(api, "GET", "/api/watchlist", user),
        await ask(api, "GET", "/api/auth/me", bob),
        await ask(api, "DELETE", "/api/watchlist/AAPL", user),
    ]

    assert [201, 200, 200, 200] == [status for status, _, _ in answers]
    assert max(took for _, _, took in answers) < AT_ONCE


async def test_without_redis_memory_follows_the_database(api: Client, stores: Stores, db: asyncpg.Pool) -> None:
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    await stop(stores.valkey)
    async with acquire(db) as connection:
        assert await upsert_quote(connection, a_quote("AAPL", "7.5", age=-1))

    async def served() -> bool:
        return await price_of(api, "AAPL") == 7.5

    await eventually(served)


async def test_when_redis_is_back_and_empty_the_stream_is_followed_again(
    api: Client, stores: Stores, redis: Redis
) -> None:
    await until_healthy(api)
    await stop(stores.valkey)
    await start(stores.valkey)
    await until_healthy(api)
    await feed.publish(redis, a_quote("AAPL", "7.5"))

    async def served() -> bool:
        return await price_of(api, "AAPL") == 7.5

    await eventually(served)


async def test_without_the_database_it_is_degraded_and_serves_what_is_cached(
    api: Client, open_api: OpenApi, stores: Stores
) -> None:
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    price = await price_of(api, "AAPL")
    other = await open_api()
    await stop(stores.postgres)

    assert (200, "degraded", "disconnected", "connected") == await seen(api)
    assert price == await price_of(api, "AAPL")
    assert price == await price_of(other, "AAPL")  # which has it from Redis


async def test_without_the_database_one_symbol_that_lacks_takes_no_other_along(api: Client, stores: Stores) -> None:
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    await stop(stores.postgres)
    response = await api.get("/api/stocks?symbols=AAPL,ORCL")
    many = await response.json()

    assert 200 == response.status
    assert ["AAPL"] == [quote["symbol"] for quote in many["quotes"]]
    assert [{"symbol": "ORCL", "reason": "no_quote"}] == many["missing"]


async def test_without_the_database_a_miss_is_503_and_makes_no_call(
    api: Client, stores: Stores, provider: Provider
) -> None:
    await stop(stores.postgres)
    status, code, took = await ask(api, "GET", "/api/stock/AAPL")

    assert (503, "store_unavailable") == (status, code)
    assert took < AT_ONCE
    assert [] == await provider.asked()


async def test_without_the_database_whatever_needs_it_is_503(api: Client, stores: Stores) -> None:
    user = await register(api, "ada")
    await stop(stores.postgres)
    login = {"username": "ada", "password": PASSWORD}
    answers = [
        await ask(api, "POST", "/api/auth/register", json={**login, "email": "bob@example.com"}),
        await ask(api, "POST", "/api/auth/login", json=login),
        await ask(api, "GET", "/api/auth/me", user),
        await ask(api, "GET", "/api/watchlist", user),
        await ask(api, "POST", "/api/watchlist", user, json={"symbol": "AAPL"}),
        await ask(api, "DELETE", "/api/watchlist/AAPL", user),
    ]

    assert [(503, "store_unavailable")] * 6 == [(status, code) for status, code, _ in answers]
    assert max(took for _, _, took in answers) < AT_ONCE


async def test_without_the_database_what_needs_it_not_is_answered_as_ever(api: Client, stores: Stores) -> None:
    await stop(stores.postgres)
    answers = [
        await ask(api, "GET", "/api/nothing"),
        await ask(api, "PUT", "/api/health"),
        await ask(api, "GET", "/api/auth/me"),
        await ask(api, "GET", "/api/stock/A%20B"),
        await ask(api, "POST", "/api/auth/login", data="{}"),
    ]

    assert [404, 405, 401, 400, 415] == [status for status, _, _ in answers]


@pytest.mark.parametrize("how", [stop, kill])
async def test_when_the_database_is_back_all_works_again(
    api: Client, stores: Stores, how: Callable[[Postgres], Awaitable[None]]
) -> None:
    user = await register(api, "ada")
    await how(stores.postgres)
    await ask(api, "GET", "/api/watchlist", user)
    await start(stores.postgres)
    await until_healthy(api)
    added = await ask(api, "POST", "/api/watchlist", user, json={"symbol": "AAPL"})
    live = await ask(api, "GET", "/api/stock/IBM?wait=10")

    assert [201, 200] == [added[0], live[0]]


async def test_a_database_that_dies_amid_many_requests_is_never_a_500(api: Client, stores: Stores) -> None:
    user = await register(api, "ada")
    answers: set[tuple[int, str | None]] = set()
    over = asyncio.Event()

    async def go_on(number: int) -> None:
        while not over.is_set():
            for answer in (
                ask(api, "POST", "/api/watchlist", user, json={"symbol": f"S{number}"}),
                ask(api, "DELETE", f"/api/watchlist/S{number}", user),
                ask(api, "GET", f"/api/stock/X{number}?wait=0"),
            ):
                answers.add((await answer)[:2])

    async def until_answered(answer: tuple[int, str | None]) -> None:
        async def answered() -> bool:
            return answer in answers

        await eventually(answered)

    asking = [asyncio.create_task(go_on(number)) for number in range(8)]
    await until_answered((201, None))
    await kill(stores.postgres)
    await until_answered((503, "store_unavailable"))
    during = {status for status, _ in answers}
    answers.clear()
    await start(stores.postgres)
    await until_answered((201, None))
    over.set()
    await asyncio.gather(*asking)

    assert during | {status for status, _ in answers} <= {200, 201, 404, 409, 503}


async def test_without_any_store_memory_is_served_and_health_says_so(api: Client, stores: Stores) -> None:
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    price = await price_of(api, "AAPL")
    await stop(stores.postgres)
    await stop(stores.valkey)
    miss = await ask(api, "GET", "/api/stock/IBM")

    assert (200, "unhealthy", "disconnected", "disconnected") == await seen(api)
    assert price == await price_of(api, "AAPL")
    assert (503, "store_unavailable") == miss[:2]


async def test_without_any_store_and_memory_health_is_503(stores: Stores, open_api: OpenApi) -> None:
    await stop(stores.postgres)
    await stop(stores.valkey)
    api = await open_api()  # it starts though no store answers
    away = await seen(api)
    await start(stores.postgres)
    await start(stores.valkey)

    assert (503, "unhealthy", "disconnected", "disconnected") == away
    await until_healthy(api)


async def test_a_frozen_redis_holds_nobody_up(api: Client, stores: Stores) -> None:
    user = await register(api, "ada")
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    async with frozen(stores.valkey):
        known = await ask(api, "GET", "/api/stock/AAPL")
        miss = await ask(api, "GET", "/api/stock/IBM")
        add = await ask(api, "POST", "/api/watchlist", user, json={"symbol": "TSLA"})
        state = await seen(api)

    assert [200, 200, 201] == [known[0], miss[0], add[0]]
    assert (200, "degraded", "connected", "disconnected") == state
    assert known[2] < AT_ONCE
    assert max(miss[2], add[2]) < 2 + AT_ONCE
    await until_healthy(api)


async def test_a_short_freeze_of_redis_is_forgotten_when_it_is_over(api: Client, stores: Stores) -> None:
    await until_healthy(api)
    assert api.app is not None
    process = api.app[RESOURCES].health
    async with frozen(stores.valkey):
        await ask(api, "GET", "/api/stock/AAPL")
    assert not process.is_up("redis")

    async def up() -> bool:
        return process.is_up("redis")

    await eventually(up)


async def test_a_frozen_database_holds_nobody_up(api: Client, stores: Stores) -> None:
    user = await register(api, "ada")
    await until_healthy(api)
    await api.get("/api/stock/AAPL")
    async with frozen(stores.postgres):
        known = await ask(api, "GET", "/api/stock/AAPL")
        miss = await ask(api, "GET", "/api/stock/IBM")
        add = await ask(api, "POST", "/api/watchlist", user, json={"symbol": "TSLA"})
        state = await seen(api)

    assert [200, 503, 503] == [known[0], miss[0], add[0]]
    assert (200, "degraded", "disconnected", "connected") == state
    assert known[2] < AT_ONCE
    assert max(miss[2], add[2]) < AT_ONCE
    await until_healthy(api)
