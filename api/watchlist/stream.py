"""Streams of the callers' own lists, each for a ticket. They follow the list and end with the login, whichever process changes it.

One task looks for all of them, a few times a second. While the database is away they go on with what they have.
"""

import asyncio
from asyncio import Transport
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from msgspec import Meta, Struct

from api.accounts.logins import redeem
from api.accounts.revocations import Revocations
from api.http import requests
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.lookup import Quotes
from api.streams.fanout import Client, Order, Streams
from api.streams.public import RESUMING, STREAMS, EventId, Stream, remember, resumed
from common.errors import InvalidToken, Overloaded, StoreUnavailable
from common.process.resources import Resources
from common.store.accounts.logins import Login
from common.store.accounts.watchlists import Watchlist, select_lists
from common.store.connection.pool import acquire

CHECK_INTERVAL = 0.3  # seconds; with those between two looks of `Revocations` less than one
LATELY = 60.0  # seconds before the event that a client resumes after: Redis and PostgreSQL have a clock each


@dataclass(slots=True, eq=False)
class Own:
    """A stream of a login, with its user's list as it is since `changed_at`."""

    login: Login
    client: Client
    changed_at: datetime


class PrivateStreams:
    """The private streams of one process."""

    def __init__(self, resources: Resources, streams: Streams, quotes: Quotes, revocations: Revocations) -> None:
        self._resources, self._streams, self._quotes, self._revocations = resources, streams, quotes, revocations
        self._open: set[Own] = set()
        self._sought: set[str] = set()  # added to a list; the stores may know a quote that memory does not

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
            self._end()
            with suppress(StoreUnavailable):
                await self._follow(self._open.copy())
                await self._seek()

    def _end(self) -> None:
        ended = self._revocations.have_ended({own.login.id for own in self._open})
        for own in self._open:
            if own.login.id in ended:
                own.client.end()

    async def _follow(self, asked: Set[Own]) -> None:
        """Look for all at once whose list is another than it was."""
        if not asked:
            return
        async with acquire(self._resources.db) as connection:
            changed = await select_lists(connection, {(own.login.user, own.changed_at) for own in asked})
        for own in self._open & asked:
            found = changed.get(own.login.user)
            if found is not None and found.changed_at != own.changed_at:
                own.changed_at = found.changed_at
                self._sought.update(self._streams.follow(own.client, found.added))

    async def _seek(self) -> None:
        """What is found is remembered, and so it is heard."""
        if self._sought:
            await self._quotes.lookup_all(list(self._sought))
            self._sought.clear()


PRIVATE = web.AppKey("private", PrivateStreams)
routes = web.RouteTableDef()


class TicketQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"last_event_id": "lastEventId"}):
    """Whose list to listen to."""

    ticket: Annotated[str, Meta(title="a ticket from `POST /api/auth/ticket`", description="Each is good once.")] = ""
    last_event_id: EventId = ""


@routes.get("/api/watchlist/stream", allow_head=False)
@public
@documented(
    "Quotes of the caller's list as they come, pushed",
    query=TicketQuery,
    headers=RESUMING,
    answers={200: str},
    media="text/event-stream",
    errors=(InvalidToken, Overloaded, StoreUnavailable),
)
async def stream_own(request: web.Request) -> web.StreamResponse:
    """As `GET /api/stream`, for the symbols on the list, also as it changes. It ends with the login; who connects again brings another
    ticket, and the last id that came."""
    query = requests.query(request, TicketQuery)
    streams, private = request.app[STREAMS], request.app[PRIVATE]
    streams.admit()
    login = await redeem(request, query.ticket)
    watchlist, since = await _select_list(request, login), await resumed(request, query.last_event_id)
    await remember(request, list(watchlist.added))

    async def tell(transport: Transport, writer: AbstractStreamWriter) -> None:
        client = Client(watchlist.added, transport)
        streams.offer(client, _added_since(watchlist, since))
        await private.feed(Own(login, client, watchlist.changed_at), since, writer)

    response = Stream(tell)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _select_list(request: web.Request, login: Login) -> Watchlist:
    async with acquire(request.app[RESOURCES].db) as connection:
        found = await select_lists(connection, {(login.user, None)})
    if login.user not in found:
        raise InvalidToken("the account of this ticket does not exist")
    return found[login.user]


def _added_since(watchlist: Watchlist, since: Order | None) -> list[str]:
    """Symbols that may be new to a client that goes on after an event: of these an older quote is news too."""
    if since is None:
        return []
    heard = since[0] / 1000 - LATELY
    return [symbol for symbol, added_at in watchlist.added.items() if added_at.timestamp() > heard]
