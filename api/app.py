"""The application, put together: resources, the stream's tail, middlewares, routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from aiohttp import web, web_response, web_server

from api import (
    accounts,
    charts,
    cors,
    docs,
    health,
    history,
    logins,
    market,
    middlewares,
    ops,
    private_stream,
    search,
    site,
    stocks,
    stream,
    watchlist,
)
from api.admit import admit
from api.allowance import ALLOWANCES, Allowances
from api.connections import Connection
from api.credentials import PASSWORDS
from api.fanout import Streams
from api.hot import answer_hot
from api.keys import QUEUE, RESOURCES
from api.listing import LISTING, Listing
from api.live import LIVE, Live
from api.memory import MEMORY, Memory
from api.outlook import keep_outlook
from api.private_stream import PRIVATE, PrivateStreams
from api.quotes import QUOTES, Quotes
from api.reads import READS, Reads
from api.registrations import REGISTRATIONS, Registrations
from api.revocations import REVOCATIONS, Revocations
from api.stream import STREAMS
from api.tail import follow
from api.throttle import THROTTLE, Throttle
from api.tokens import TOKENS, Tokens
from common.core.models import Function
from common.dispatcher import Dispatcher
from common.passwords import Passwords
from common.queue import open_celery
from common.resources import open_resources
from common.settings import Settings

web_response.SERVER_SOFTWARE = "quotewell"  # type: ignore[attr-defined]  # malformed requests never reach a middleware
web_server.RequestHandler = Connection  # type: ignore[attr-defined]  # the class that aiohttp makes them of
LARGEST_BODY = 64 << 10  # bytes
STATEMENT_TIMEOUT = (
    0.7  # seconds a statement may take while somebody waits: with a look into Redis before it, less than one
)
RESTART_DELAY = 1.0  # seconds before a task that failed begins anew
log = structlog.get_logger(__name__)
WITH_ROUTES = (
    accounts,
    charts,
    docs,
    health,
    history,
    logins,
    market,
    ops,
    private_stream,
    search,
    site,
    stocks,
    stream,
    watchlist,
)
MIDDLEWARES = (  # from the outside in
    answer_hot,
    middlewares.identify,
    cors.share,
    middlewares.shape_errors,
    admit,
    middlewares.negotiate,
)


def create_app(settings: Settings) -> web.Application:
    """The aiohttp application for these settings; it starts though no store answers."""
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=MIDDLEWARES)
    app[TOKENS] = Tokens(settings.jwt_secret, previous=settings.jwt_previous_secret, ttl=settings.access_token_ttl)
    app[ALLOWANCES] = Allowances(settings)
    app[QUEUE] = open_celery(settings)
    app[MEMORY] = memory = Memory()
    app[READS] = reads = Reads()
    app[LISTING] = listing = Listing()
    for module in WITH_ROUTES:
        app.add_routes(module.routes)

    async def hold(app: web.Application) -> AsyncIterator[None]:
        async with open_resources(settings, name="api", statement_timeout=STATEMENT_TIMEOUT) as resources:
            app[RESOURCES] = resources
            dispatcher = Dispatcher(resources)
            memory.listeners.add(lambda entry: dispatcher.tell((Function.QUOTE, entry.quote.symbol)))
            app[LIVE] = live = Live(resources, dispatcher)
            app[QUOTES] = quotes = Quotes(resources, memory, live)
            app[STREAMS] = streams = Streams(resources, memory)
            app[REVOCATIONS] = revocations = Revocations(resources)
            app[PRIVATE] = private = PrivateStreams(resources, streams, quotes, revocations)
            app[THROTTLE] = Throttle(resources)
            app[REGISTRATIONS] = Registrations(resources)
            app[PASSWORDS] = passwords = Passwords(cost=settings.bcrypt_cost)
            running = {
                asyncio.create_task(keep_running(name, run))
                for name, run in (
                    ("tail", lambda: follow(resources, memory)),
                    ("dispatcher", dispatcher.run),
                    ("reads", lambda: reads.flush_for_ever(resources)),
                    ("outlook", lambda: keep_outlook(resources, memory)),
                    ("listing", lambda: listing.keep(resources)),
                    ("revocations", revocations.keep),
                    ("private_streams", private.keep),
                    ("streams", lambda: streams.sweep_for_ever(quotes)),
                )
            }
            yield
            await _cancel(running)
            await live.close()
            await reads.flush(resources)
            passwords.close()

    async def end(app: web.Application) -> None:
        app[STREAMS].end()

    app.cleanup_ctx.append(hold)
    app.on_shutdown.append(end)
    return app


async def keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """What a process does beside its requests must not end unnoticed: it is logged, and begun again."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("task_failed", task=name)
        await asyncio.sleep(RESTART_DELAY)


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    """End tasks for certain: on Python 3.11 a `wait_for` inside one may swallow a single cancellation."""
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.5)
