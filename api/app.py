"""The application, put together: resources, the stream's tail, middlewares, routes."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web, web_response

from api import accounts, charts, docs, health, market, middlewares, search, stocks, stream, watchlist
from api.listing import Listing
from api.live import Live
from api.memory import Memory
from api.outlook import keep_outlook
from api.quotes import Quotes
from api.reads import Reads
from api.state import LISTING, LIVE, MEMORY, PASSWORDS, QUEUE, QUOTES, READS, RESOURCES, TOKENS
from api.stream import STREAMS, Streams
from api.tail import follow
from api.tokens import Tokens
from common.passwords import Passwords
from common.queue import open_celery
from common.resources import open_resources
from common.settings import Settings

web_response.SERVER_SOFTWARE = "quotewell"  # type: ignore[attr-defined]  # malformed requests never reach a middleware
LARGEST_BODY = 64 << 10  # bytes
PATIENCE = 0.9  # seconds a statement may take while somebody waits for the answer


def create_app(settings: Settings) -> web.Application:
    """The aiohttp application for these settings; it starts though no store answers."""
    app = web.Application(
        client_max_size=LARGEST_BODY,
        middlewares=[
            middlewares.answer_hot,
            middlewares.identify,
            middlewares.shape_errors,
            middlewares.negotiate,
            middlewares.admit,
        ],
    )
    app[TOKENS] = Tokens(settings.jwt_secret, ttl=settings.access_token_ttl)
    app[QUEUE] = open_celery(settings)
    app[MEMORY] = memory = Memory()
    app[READS] = reads = Reads()
    app[LISTING] = listing = Listing()
    for module in (accounts, charts, docs, health, market, search, stocks, stream, watchlist):
        app.add_routes(module.routes)

    async def hold(app: web.Application) -> AsyncIterator[None]:
        async with open_resources(settings, name="api", patience=PATIENCE) as resources:
            app[RESOURCES] = resources
            app[LIVE] = live = Live(resources)
            app[QUOTES] = quotes = Quotes(resources, memory, live)
            app[STREAMS] = streams = Streams(resources, memory)
            app[PASSWORDS] = passwords = Passwords(cost=settings.bcrypt_cost)
            aside = [
                asyncio.create_task(follow(resources, memory)),
                asyncio.create_task(reads.flush_for_ever(resources)),
                asyncio.create_task(keep_outlook(resources, memory)),
                asyncio.create_task(listing.keep(resources)),
                asyncio.create_task(streams.sweep_for_ever(quotes)),
            ]
            yield
            await _cancel(set(aside))
            await live.close()
            await reads.flush(resources)
            passwords.close()

    async def end(app: web.Application) -> None:
        app[STREAMS].end()

    app.cleanup_ctx.append(hold)
    app.on_shutdown.append(end)
    return app


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    """End tasks for certain: on Python 3.11 a `wait_for` inside one may swallow a single cancellation."""
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.5)
