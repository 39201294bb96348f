"""API processes over real stores, the simulator under control, and accounts that are logged in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp.plugin import AiohttpClient
from redis.asyncio import Redis

from api.app import create_app
from api.http.keys import RESOURCES
from api.quotes.memory import MEMORY
from common.core.limits import parse_limits
from common.core.models import CallClass, Function, Price, Quote
from common.process.settings import Settings
from common.store.budget.queue import MAX_WAITING, enqueue
from common.store.connection.pool import acquire
from simulator.app import create_app as create_simulator
from simulator.config import Config

Client = TestClient[web.Request, web.Application]
PASSWORD = "correct horse battery"


class OpenApi(Protocol):
    """Starts one more API process; keywords replace settings."""

    async def __call__(self, **changes: Any) -> Client: ...


@dataclass(frozen=True, slots=True)
class Provider:
    """The simulator, its journal and its faults."""

    http: Client

    @property
    def url(self) -> str:
        return str(self.http.make_url("")).rstrip("/")

    async def asked(self) -> list[str]:
        """The symbols of all calls that arrived, in order."""
        journal = await (await self.http.get("/_calls")).json()
        return [call["symbol"] for call in journal["calls"]]

    async def fault(self, kind: str, **more: object) -> None:
        response = await self.http.put("/_fault", json={"kind": kind, **more})
        assert 200 == response.status

    async def mend(self) -> None:
        await self.http.delete("/_fault")


@dataclass(frozen=True, slots=True)
class User:
    """A registered account."""

    id: int
    name: str
    headers: dict[str, str]
    refresh_token: str = ""


@pytest.fixture
async def provider(aiohttp_client: AiohttpClient) -> Provider:
    return Provider(await aiohttp_client(create_simulator(Config(limits=parse_limits("100000/1min", "limits")))))


@pytest.fixture
def ready(settings: Settings, provider: Provider) -> Settings:
    """Settings with the simulator as provider; the secret is long enough to sign with HS512, which is to be refused."""
    return replace(
        settings,
        provider_base_url=provider.url,
        provider_timeout=timedelta(seconds=5),
        jwt_secret="a secret of the tests, which is sixty-four bytes long or longer.",
    )


@pytest.fixture
async def open_api(ready: Settings, redis: Redis) -> AsyncIterator[OpenApi]:
    clients: list[Client] = []

    async def start(**changes: Any) -> Client:
        client: Client = TestClient(TestServer(create_app(replace(ready, **changes))))
        clients.append(client)
        await client.start_server()
        return client

    yield start
    for client in clients:
        await close(client)


async def close(client: Client) -> None:
    """Close an API process, and a tail that lost its cancellation (test_app.py says how) with it."""
    closing = asyncio.create_task(client.close())
    while not (await asyncio.wait({closing}, timeout=0.1))[0]:
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__qualname__", "") == "keep_running":
                task.cancel()
    await closing


@pytest.fixture
async def api(open_api: OpenApi) -> Client:
    return await open_api()


@pytest.fixture
async def ada(api: Client) -> User:
    return await register(api, "ada")


async def register(client: Client, name: str) -> User:
    content = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    response = await client.post("/api/auth/register", json=content)
    body = await response.json()
    assert 201 == response.status
    return User(body["user"]["id"], name, {"Authorization": f"Bearer {body['access_token']}"}, body["refresh_token"])


async def register_operator(client: Client, name: str) -> User:
    """One whose token has the scope."""
    await register(client, name)
    assert client.app is not None
    async with acquire(client.app[RESOURCES].db) as connection:
        await connection.execute("UPDATE users SET scope = 'operator' WHERE username = $1", name)
    response = await client.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    body = await response.json()
    return User(body["user"]["id"], name, {"Authorization": f"Bearer {body['access_token']}"}, body["refresh_token"])


async def followed(client: Client) -> bool:
    """Whether the stream keeps this process's memory right."""
    assert client.app is not None
    return client.app[MEMORY].followed


def a_quote(symbol: str, price: str, *, age: float = 0.0, source: str = "simulated") -> Quote:
    """A quote that was fetched `age` seconds ago."""
    fetched_at = datetime.now(UTC) - timedelta(seconds=age)
    return Quote(Price(symbol, Decimal(price), fetched_at.date()), source, fetched_at)


async def fill_line(client: Client) -> None:
    """Let as many requests of users and of strangers wait as are taken."""
    assert client.app is not None
    resources = client.app[RESOURCES]
    async with acquire(resources.db) as connection:
        for call_class, name in ((CallClass.USER, "SIM"), (CallClass.STRANGER, "STR")):
            subjects = [f"{name}{number}" for number in range(MAX_WAITING)]
            assert "joined" == await enqueue(connection, resources.budget, Function.QUOTE, subjects, call_class)


async def price_of(client: Client, symbol: str) -> float | None:
    """The price that is served at once, or None."""
    response = await client.get(f"/api/stock/{symbol}?wait=0")
    return float((await response.json())["price"]) if response.status == 200 else None
