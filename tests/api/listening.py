"""Clients of the push streams: how one is connected, and what it reads."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from redis.asyncio import Redis

from api.quotes.memory import MEMORY, Memory
from api.streams.fanout import Streams
from api.streams.public import STREAMS
from common.store.market import feed
from tests.api.conftest import Client, a_quote, followed
from tests.harness.polling import eventually

READ = 30.0  # seconds that a busy machine may take


@dataclass(frozen=True, slots=True)
class Listener:
    """A client that is connected."""

    response: aiohttp.ClientResponse

    async def block(self) -> dict[str, str]:
        """The next block of the stream, by field; a comment has no name."""
        async with asyncio.timeout(READ):
            text = (await self.response.content.readuntil(b"\n\n")).decode()
        parts = (line.partition(":") for line in text.removesuffix("\n\n").split("\n"))
        return {name: value.removeprefix(" ") for name, _, value in parts}

    async def quote(self) -> tuple[str, float]:
        """Symbol and price of the next event, which must be one."""
        block = await self.block()
        assert "quote" == block.get("event"), block
        body = json.loads(block["data"])
        return body["symbol"], body["price"]


class Connect(Protocol):
    """Connects to a stream, past what is always the first block."""

    async def __call__(self, client: Client, path: str, **headers: str) -> Listener: ...


@asynccontextmanager
async def listening() -> AsyncIterator[Connect]:
    """Clients with connections of their own, until the end."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def connect(client: Client, path: str, **headers: str) -> Listener:
            response = await stack.enter_async_context(session.get(client.make_url(path), headers=headers))
            assert 200 == response.status
            listener = Listener(response)
            assert {"retry": "3000"} == await listener.block()
            return listener

        yield connect


def streams_of(client: Client) -> Streams:
    assert client.app is not None
    return client.app[STREAMS]


def memory_of(client: Client) -> Memory:
    assert client.app is not None
    return client.app[MEMORY]


async def until_followed(client: Client, *, but: bool = True) -> None:
    async def right() -> bool:
        return await followed(client) is but

    await eventually(right)


async def until_clients(client: Client, number: int) -> None:
    async def reached() -> bool:
        return len(streams_of(client).clients) == number

    await eventually(reached)


async def tell(redis: Redis, symbol: str, price: str) -> str:
    """Publish a quote; the id of its event."""
    assert await feed.publish(redis, a_quote(symbol, price))
    return await feed.select_last_id(redis)
