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

from api.accounts.revocations import Revocations
from api.accounts.tickets import TICKETS, Proof, Tickets, prove
from api.http import requests
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.lookup import Quotes
from api.streams.fanout import Client, Order, Streams
from api.streams.places import PLACES
from api.streams.public import RESUMING, STREAMS, EventId, Stream, Write, remember, resumed
from common.errors import (
    InvalidToken,
    Overloaded,
    StoreUnavailable,
    TokenExpired,
    TooManyStreams,
)
from common.process.resources import Resources
from common.store.accounts.watchlists import Watchlist, select_lists
from common.store.connection.pool import acquire

CHECK_INTERVAL = 0.3  # seconds; together with POLL_INTERVAL of `Revocations` less than one
CLOCK_TOLERANCE = 60.0  # seconds by which the clocks of Redis and PostgreSQL may differ


@dataclass(slots=True, eq=False)
class Own:
    """A user's stream; `changed_at`: the version of its list."""

    user: int
    client: Client
    changed_at: datetime


class PrivateStreams:
    """The private streams of one process."""

    def __init__(
        self, resources: Resources, streams: Streams, quotes: Quotes, revocations: Revocations, tickets: Tickets
    ) -> None:
        self._resources, self._streams, self._quotes = resources, streams, quotes
        self._revocations, self._tickets = revocations, tickets
        self._open: set[Own] = set()
        self._added: set[str] = set()  # added to a list, but not in memory yet: the stores may have a quote

    async def feed(self, own: Own, since: Order | None, writer: AbstractStreamWriter) -> None:
        """As `Streams.feed`, until the login ends."""
        self._open.add(own)
        try:
            await self._streams.feed(own.client, since, writer)
        finally:
            self._open.discard(own)

    async def keep(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            self._end_logged_out()
            with suppress(StoreUnavailable):
                await self._tickets.note()
                await self._follow_lists(self._open.copy())
                await self._load_added()

    def _end_logged_out(self) -> None:
        """All streams of these logins: private ones, and public ones where reads are for accounts."""
        clients = [client for client in self._streams.clients if client.login is not None]
        ended = self._revocations.have_ended({client.login for client in clients if client.login is not None})
        now = datetime.now(UTC)
        for client in clients:
            if client.login in ended or (client.ends_at is not None and client.ends_at <= now):
                client.end()

    async def _follow_lists(self, checked: Set[Own]) -> None:
        """Find the lists that have changed, in one query, and change their streams."""
        if not checked:
            return
        async with acquire(self._resources.db) as connection:
            changed = await select_lists(connection, {(own.user, own.changed_at) for own in checked})
        for own in self._open & checked:
            found = changed.get(own.user)
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
    proof = await prove(request, query.ticket)
    with ExitStack() as leaving:
        leaving.callback(request.app[TICKETS].leave, proof.ticket)
        places, client = request.app[PLACES], f"user:{proof.caller.id}"
        places.check(client)
        write = await _prepare(request, query, proof)
        leaving.callback(places.take(client))
        response = Stream(write, leaving.pop_all().close)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _prepare(request: web.Request, query: TicketQuery, proof: Proof) -> Write:
    """Load what a user's stream begins with; return what writes the stream."""
    streams, private = request.app[STREAMS], request.app[PRIVATE]
    user = proof.caller.id
    watchlist = await _select_list(request, user)
    since = await resumed(request, query.last_event_id)
    await remember(request, list(watchlist.added))

    async def write(transport: Transport, writer: AbstractStreamWriter) -> None:
        client = Client(watchlist.added, transport, login=proof.caller.login, ends_at=proof.ends_at)
        streams.offer(client, _added_since(watchlist, since))
        await private.feed(Own(user, client, watchlist.changed_at), since, writer)

    return write


async def _select_list(request: web.Request, user: int) -> Watchlist:
    async with acquire(request.app[RESOURCES].db) as connection:
        found = await select_lists(connection, {(user, None)})
    if user not in found:
        raise InvalidToken("the account of this login does not exist")
    return found[user]


def _added_since(watchlist: Watchlist, since: Order | None) -> list[str]:
    """Symbols that may be new to a client that resumes after an event. It gets their quotes, however old."""
    if since is None:
        return []
    seen_until = since[0] / 1000 - CLOCK_TOLERANCE
    return [symbol for symbol, added_at in watchlist.added.items() if added_at.timestamp() > seen_until]
