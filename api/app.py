"""Build the application: resources, background tasks, middlewares, routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import structlog
from aiohttp import web

import api.accounts.routes
import api.ops.routes
import api.ops.users
import api.streams.public
import api.watchlist.routes
import api.watchlist.stream
from api import docs, health, site
from api.accounts import export, keys, logins, resets, sessions, tickets
from api.accounts.admit import admit
from api.accounts.credentials import PASSWORDS
from api.accounts.known_keys import KNOWN_KEYS, KnownKeys
from api.accounts.registrations import REGISTRATIONS, Registrations
from api.accounts.resets import RESETS
from api.accounts.revocations import REVOCATIONS, Revocations
from api.accounts.throttle import THROTTLE, Throttle
from api.accounts.tickets import TICKETS, Tickets
from api.accounts.tokens import TOKENS, Tokens
from api.http import cors, descriptors, middlewares
from api.http.connections import patch_aiohttp
from api.http.keys import QUEUE, RESOURCES
from api.http.peers import PEERS, Peers
from api.http.rate_limits import ALLOWANCES, Allowances
from api.http.tally import Tally
from api.quotes import charts, history, overview, search, stocks
from api.quotes.hot import answer_hot
from api.quotes.listing import LISTING, Listing
from api.quotes.lookup import QUOTES, Quotes
from api.quotes.memory import MEMORY, Memory
from api.quotes.misses import MISSES, Misses
from api.quotes.outlook import keep_outlook
from api.quotes.reads import READS, Reads
from api.streams.fanout import Streams
from api.streams.places import PLACES, Places
from api.streams.public import STREAMS
from api.streams.tail import follow
from api.trailing_slash import TrailingSlash
from api.watchlist.stream import PRIVATE, PrivateStreams
from common.calls.dispatcher import Dispatcher
from common.core.models import Function
from common.passwords import Passwords
from common.process.broker import open_celery
from common.process.resources import open_resources
from common.process.settings import Settings

MAX_BODY_BYTES = 64 << 10
STATEMENT_TIMEOUT = 0.7  # seconds; together with the lookup in Redis before it, a read takes less than one
RESTART_DELAY = 1.0  # seconds before a failed background task restarts
log = structlog.get_logger(__name__)
WITH_ROUTES = (
    api.accounts.routes,
    logins,
    resets,
    keys,
    export,
    sessions,
    tickets,
    stocks,
    charts,
    history,
    overview,
    search,
    api.streams.public,
    api.watchlist.routes,
    api.watchlist.stream,
    api.ops.routes,
    api.ops.users,
    health,
    docs,
    site,
)
MIDDLEWARES = (  # from the outside in
    answer_hot,
    middlewares.identify,
    cors.allow_origins,
    middlewares.shape_errors,
    admit,
    middlewares.negotiate,
)


def create_app(settings: Settings) -> web.Application:
    """The aiohttp application for these settings. It starts even if no store answers."""
    patch_aiohttp()
    # `answer_hot` asks for no token.
    used = MIDDLEWARES if settings.public_reads else tuple(each for each in MIDDLEWARES if each is not answer_hot)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=used)
    app[TOKENS] = Tokens(settings.jwt_secret, previous=settings.jwt_previous_secret, ttl=settings.access_token_ttl)
    app[ALLOWANCES] = Allowances(settings)
    app[PEERS] = Peers(settings)
    app[PLACES] = Places(settings.stream_limit)
    app[QUEUE] = open_celery(settings)
    app[MEMORY] = Memory()
    app[READS] = Reads()
    app[LISTING] = Listing()
    app[export.EXPORTING] = asyncio.Lock()
    for module in WITH_ROUTES:
        app.add_routes(module.routes)
    app.router.register_resource(TrailingSlash(app.router))
    app[docs.DOCUMENT] = docs.Document(app.router, public_reads=settings.public_reads)

    app.cleanup_ctx.append(partial(_run_services, settings=settings))
    app.on_shutdown.append(_end_streams)
    return app


async def _run_services(app: web.Application, *, settings: Settings) -> AsyncIterator[None]:
    """Open the resources, and run the background tasks while the application runs."""
    memory, reads, listing = app[MEMORY], app[READS], app[LISTING]
    asyncio.get_running_loop().set_exception_handler(descriptors.handle_exception)
    async with open_resources(settings, name="api", statement_timeout=STATEMENT_TIMEOUT) as resources:
        app[RESOURCES] = resources
        dispatcher = Dispatcher(resources)
        memory.listeners.add(lambda entry: dispatcher.notify((Function.QUOTE, entry.quote.symbol)))
        app[MISSES] = misses = Misses(resources, dispatcher)
        app[QUOTES] = quotes = Quotes(resources, memory, misses)
        app[STREAMS] = streams = Streams(resources, memory)
        app[REVOCATIONS] = revocations = Revocations(resources)
        app[TICKETS] = own_tickets = Tickets(resources)
        app[PRIVATE] = private = PrivateStreams(resources, streams, quotes, revocations, own_tickets)
        app[THROTTLE] = Throttle(resources)
        app[REGISTRATIONS] = Registrations(resources)
        app[RESETS] = Tally(resources, "resets")
        app[KNOWN_KEYS] = known_keys = KnownKeys(resources, revocations)
        app[PASSWORDS] = passwords = Passwords(cost=settings.bcrypt_cost)
        running = {
            asyncio.create_task(keep_running(name, run))
            for name, run in (
                ("tail", lambda: follow(resources, memory)),
                ("dispatcher", dispatcher.run),
                ("answers", memory.answers.sweep_for_ever),
                ("reads", lambda: reads.flush_for_ever(resources)),
                ("outlook", lambda: keep_outlook(resources, memory)),
                ("listing", lambda: listing.keep(resources)),
                ("revocations", revocations.keep),
                ("api_keys", known_keys.keep),
                ("private_streams", private.keep),
                ("streams", lambda: streams.sweep_for_ever(quotes)),
                ("descriptors", descriptors.watch),
            )
        }
        yield
        await _cancel(running)
        await misses.close()
        await reads.flush(resources)
        await known_keys.flush()
        passwords.close()


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].end()


async def keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a background task for ever: log its failure and restart it."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("task_failed", task=name)
        await asyncio.sleep(RESTART_DELAY)


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    """Cancel tasks until they end: on Python 3.11 a `wait_for` inside a task may swallow one cancellation."""
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.5)
