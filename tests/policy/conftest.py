"""A day that begins when a test says so, on a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime

import asyncpg
import pytest

from common.core.limits import slot_time
from common.process.resources import open_resources
from common.process.settings import Settings
from tests.policy.day import Day, Unjumped
from tests.store.conftest import Clock, clock

__all__ = ["clock"]

Begin = Callable[..., Awaitable[Day]]


async def keep(_connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, and resetting it costs a round trip in five."""


@pytest.fixture
async def begin(store_urls: dict[str, str], database_url: str, clock: Clock) -> AsyncIterator[Begin]:
    """Makes a day: the virtual time it begins at, and settings by their names."""
    async with AsyncExitStack() as stack:

        async def make(now: datetime, **env: str) -> Day:
            given = {"QUOTEWELL_ENV": "testing", "DATABASE_URL": database_url, "REDIS_URL": store_urls["REDIS_URL"]}
            given |= {"ALPHA_VANTAGE_API_KEY": "made-up", "ALPHA_VANTAGE_BASE_URL": "http://127.0.0.1:9"}
            settings = Settings.from_env(given | env)
            resources = await stack.enter_async_context(open_resources(settings, name="tests", statement_timeout=10))
            clock.set(now)
            pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2, reset=keep)
            stack.push_async_callback(pool.close)
            return Day(replace(resources, db=pool, clock=Unjumped(slot_time(resources.budget.limits))), clock)

        yield make
