"""The application as a whole: it starts, and it ends."""

import asyncio
from unittest.mock import patch

from aiohttp import web
from redis.asyncio import Redis

import api.app
from api.quotes.lookup import Quotes
from common.process.resources import Resources
from common.process.settings import Settings
from tests.harness.polling import PATIENCE


async def test_an_application_ends_though_its_tail_lost_the_cancellation(ready: Settings, redis: Redis) -> None:
    """Python 3.11's `asyncio.wait_for`, in which redis-py sends, drops a cancellation that comes as the send ends."""

    async def follow(_: Resources, __: Quotes) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    with patch.object(api.app, "follow", follow):
        runner = web.AppRunner(api.app.create_app(ready))
        await runner.setup()
        await asyncio.sleep(0)  # the tail takes its first step
        ending = asyncio.create_task(runner.cleanup())
        done, _ = await asyncio.wait({ending}, timeout=PATIENCE)
        for task in asyncio.all_tasks():
            if task.get_coro().__qualname__ == "keep_running":  # type: ignore[union-attr]
                task.cancel()
        await ending

    assert {ending} == done
