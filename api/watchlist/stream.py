"""Private streams: the quotes of the caller's own watchlist, for a ticket or an access token.

A stream follows changes of the list and ends with the login, whichever process changes them. One task checks all streams a few times a
second. While the database is down the streams continue with the lists that they have.
"""

import asyncio
from asyncio import Transport
from collections.abc import Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from msgspec import Meta, Struct

from api.accounts.requesters import verify
from api.accounts.revocations import Revocations
from api.accounts.tickets import Tickets
from api.http import requests
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES, Caller
from api.http.middlewares import public
from api.quotes.lookup import Quotes
from api.streams.fanout import Client, Order, Streams
from api.streams.places import PLACES
from api.streams.public import RESUMING, STREAMS, EventId, Stream, Write, remember, resumed
from common.errors import (
    InvalidToken,
    MalformedAuthorization,
    Overloaded,
    StoreUnavailable,
    TokenExpired,
    TooManyStreams,
)
from common.process.resources import Resources
from common.store.accounts.logins import Login, select_open_login
from common.store.accounts.tickets import Ticket
from common.store.accounts.watchlists import Watchlist, select_lists
from common.store.connection.pool import acquire

CHECK_INTERVAL = 0.3  # seconds; together with POLL_INTERVAL of `Revocations` less than one
CLOCK_TOLERANCE = 60.0  # seconds by which the clocks of Redis and PostgreSQL may differ


@dataclass(slots=True, eq=False)
class Own:
    """A login's stream; `changed_at`: the version of its user's list."""

    login: Login
    client: Client
    changed_at: datetime


class PrivateStreams:
    """The private streams of one process."""

    def __init__(self, resources: Resources, streams: Streams, quotes: Quotes, revocations: Revocations) -> None:
        self._resources, self._streams, self._quotes, self._revocations = resources, streams, quotes, revocations
        self.tickets = Tickets(resources)
        self._open: set[Own] = set()
        self._added: set[str] = set()  # added to a list, but not in memory yet: the stores may have a quote

    async def feed(self, own: Own, since: Order | None, writer: AbstractStreamWriter) -> None:
        """As `Streams.feed`, until the login ends."""
        self._open.add(own)
        try:
            await self._streams.feed(own.client, since, writer)
        finally:
            self._open.discard(own)

    def leave(self, ticket: Ticket | None) -> None:
        """A stream has ended, or never began; its ticket, if any, is good for a reconnect now."""
        if ticket is not None:
            self.tickets.leave(ticket)

    async def keep(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            self._end_logged_out()
            with suppress(StoreUnavailable):
                await self.tickets.note(serving=bool(self._open))
                await self._follow_lists(self._open.copy())
                await self._load_added()

    def _end_logged_out(self) -> None:
        ended = self._revocations.have_ended({own.login.id for own in self._open})
        now = datetime.now(UTC)
        for own in self._open:
            if own.login.id in ended or own.login.ends_at <= now:
                own.client.end()

    async def _follow_lists(self, checked: Set[Own]) -> None:
        """Find the lists that have changed, in one query, and change their streams."""
        if not checked:
            return
        async with acquire(self._resources.db) as connection:
            changed = await select_lists(connection, {(own.login.user, own.changed_at) for own in checked})
        for own in self._open & checked:
            found = changed.get(own.login.user)
            if found is not None and found.changed_at != own.changed_at:
                own.changed_at = found.changed_at
                self._added.update(self._streams.follow(own.client, found.added))

    async def _load_added(self) -> None:
        """Look up symbols that were added. Memory's listeners send what is found to the streams."""
        if self._added:
            await self._quotes.lookup_all(list(self._added))
            self._added.clear()


PRIVATE = web.AppKey("private", PrivateStreams)
routes = web.RouteTableDef()


class TicketQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"last_event_id": "lastEventId"}):
    """A ticket says whose list to stream, if no `Authorization` does."""

    ticket: Annotated[
        str,
        Meta(
            title="a ticket from `POST /api/auth/ticket`",
            description="Good for one stream, and for its reconnects within two minutes from the same network.",
        ),
    ] = ""
    last_event_id: EventId = ""


@routes.get("/api/watchlist/stream", allow_head=False)
@public
@documented(
    "Quotes of the caller's list as they come, pushed",
    query=TicketQuery,
    headers=RESUMING,
    answers={200: str},
    media="text/event-stream",
    errors=(InvalidToken, TokenExpired, TooManyStreams, Overloaded, StoreUnavailable),
    proofs=("bearer", "ticket"),
)
async def stream_own(request: web.Request) -> web.StreamResponse:
    """As `GET /api/stream`, for the symbols of the caller's list, and follows its changes. It ends with the login.

    The caller is proved by `Authorization: Bearer`, or by a ticket. A browser's EventSource reconnects with its ticket and the last id; if
    that is refused with 401, get a new ticket.
    """
    query = requests.query(request, TicketQuery)
    request.app[STREAMS].admit()
    login, ticket = await _prove(request, query.ticket)
    places, user = request.app[PLACES], f"user:{login.user}"
    with ExitStack() as leaving:
        leaving.callback(request.app[PRIVATE].leave, ticket)
        places.check(user)
        write = await _prepare(request, query, login)
        leaving.callback(places.take(user))
        response = Stream(write, leaving.pop_all().close)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _prove(request: web.Request, text: str) -> tuple[Login, Ticket | None]:
    """The caller's login, with the ticket if that proved it; raise `InvalidToken`, or `MalformedAuthorization` for two proofs."""
    if not text:
        return await _verify(request), None
    if any(value.lower().startswith("bearer") for value in request.headers.getall("Authorization", [])):
        raise MalformedAuthorization("expected a ticket or `Authorization: Bearer <token>`, not both")
    ticket = await request.app[PRIVATE].tickets.redeem(request, text)
    request[CALLER] = Caller(ticket.login.user, "", login=ticket.login.id)
    return ticket.login, ticket


async def _verify(request: web.Request) -> Login:
    caller = request[CALLER] = await verify(request)
    resources = request.app[RESOURCES]
    async with acquire(resources.db) as connection:
        login = await select_open_login(connection, caller.login, lasts=resources.settings.login_ttl)
    if login is None:
        raise InvalidToken("the login of this token has ended; log in again")
    return login


async def _prepare(request: web.Request, query: TicketQuery, login: Login) -> Write:
    """Load what a login's stream begins with; return what writes the stream."""
    streams, private = request.app[STREAMS], request.app[PRIVATE]
    watchlist = await _select_list(request, login)
    since = await resumed(request, query.last_event_id)
    await remember(request, list(watchlist.added))

    async def write(transport: Transport, writer: AbstractStreamWriter) -> None:
        client = Client(watchlist.added, transport)
        streams.offer(client, _added_since(watchlist, since))
        await private.feed(Own(login, client, watchlist.changed_at), since, writer)

    return write


async def _select_list(request: web.Request, login: Login) -> Watchlist:
    async with acquire(request.app[RESOURCES].db) as connection:
        found = await select_lists(connection, {(login.user, None)})
    if login.user not in found:
        raise InvalidToken("the account of this login does not exist")
    return found[login.user]


def _added_since(watchlist: Watchlist, since: Order | None) -> list[str]:
    """Symbols that may be new to a client that resumes after an event. It gets their quotes, however old."""
    if since is None:
        return []
    seen_until = since[0] / 1000 - CLOCK_TOLERANCE
    return [symbol for symbol, added_at in watchlist.added.items() if added_at.timestamp() > seen_until]
