"""The application, put together: resources, the stream's tail, middlewares, routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from aiohttp import web, web_response, web_server

import api.accounts.routes
import api.ops.routes
import api.streams.public
import api.watchlist.routes
import api.watchlist.stream
from api import docs, health, site
from api.accounts import logins
from api.accounts.admit import admit
from api.accounts.credentials import PASSWORDS
from api.accounts.registrations import REGISTRATIONS, Registrations
from api.accounts.revocations import REVOCATIONS, Revocations
from api.accounts.throttle import THROTTLE, Throttle
from api.accounts.tokens import TOKENS, Tokens
from api.http import cors, middlewares
from api.http.connections import Connection
from api.http.keys import QUEUE, RESOURCES
from api.http.rate_limits import ALLOWANCES, Allowances
from api.quotes import charts, history, overview, search, stocks
from api.quotes.hot import answer_hot
from api.quotes.listing import LISTING, Listing
from api.quotes.lookup import QUOTES, Quotes
from api.quotes.memory import MEMORY, Memory
from api.quotes.misses import MISSES, Misses
from api.quotes.outlook import keep_outlook
from api.quotes.reads import READS, Reads
from api.streams.fanout import Streams
from api.streams.public import STREAMS
from api.streams.tail import follow
from api.watchlist.stream import PRIVATE, PrivateStreams
from common.calls.dispatcher import Dispatcher
from common.core.models import Function
from common.passwords import Passwords
from common.process.broker import open_celery
from common.process.resources import open_resources
from common.process.settings import Settings

web_response.SERVER_SOFTWARE = "quotewell"  # type: ignore[attr-defined]  # malformed requests never reach a middleware
web_server.RequestHandler = Connection  # type: ignore[attr-defined]  # the class that aiohttp makes them of
LARGEST_BODY = 64 << 10  # bytes
STATEMENT_TIMEOUT = (
    0.7  # seconds a statement may take while somebody waits: with a look into Redis before it, less than one
)
RESTART_DELAY = 1.0  # seconds before a task that failed begins anew
log = structlog.get_logger(__name__)
WITH_ROUTES = (
    api.accounts.routes,
    logins,
    stocks,
    charts,
    history,
    overview,
    search,
    api.streams.public,
    api.watchlist.routes,
    api.watchlist.stream,
    api.ops.routes,
    health,
    docs,
    site,
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
            memory.listeners.add(lambda entry: dispatcher.notify((Function.QUOTE, entry.quote.symbol)))
            app[MISSES] = misses = Misses(resources, dispatcher)
            app[QUOTES] = quotes = Quotes(resources, memory, misses)
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
            await misses.close()
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
