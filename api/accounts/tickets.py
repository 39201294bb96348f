"""Tickets over HTTP, and those that this process serves streams for.

A browser's EventSource sends no header, and an access token must not be in a URL. A ticket may be, though proxies log it: its first use
must come within 30 seconds, and after that it is good only for the reconnects of its own stream, as `Tickets.redeem` says.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web
from msgspec import Struct

from api.accounts.requesters import verify
from api.http.answers import NO_STORE
from api.http.clients import network_of
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES, Caller
from common.core.secrets import digest, new_secret
from common.errors import InvalidToken, MalformedAuthorization, StoreUnavailable
from common.process.resources import Resources
from common.store.accounts.logins import select_open_login
from common.store.accounts.tickets import (
    Rule,
    Ticket,
    insert_ticket,
    select_may_be_left,
    take_ticket,
    update_left,
    upsert_host,
)
from common.store.connection.pool import Connection, acquire

TICKET_TTL = timedelta(seconds=30)  # for its first use
TICKET_LIFE = timedelta(hours=24)  # from the first use to the last reconnect
RECONNECT_WITHIN = timedelta(minutes=2)  # of the end of the stream
HOST_DEAD_AFTER = timedelta(seconds=3)  # without a sign; EventSource reconnects after as many
SIGN_INTERVAL = 1.0  # seconds
RELEASE_WAIT = 2.0  # seconds that a reconnect waits for the end of its old stream to be noted
RELEASE_INTERVAL = 0.2  # seconds between two looks

routes = web.RouteTableDef()


class TicketAnswer(Struct, frozen=True):
    """A ticket. Its first use must come within `expires_in` seconds."""

    ticket: str
    expires_in: int


@routes.post("/api/auth/ticket")
@documented("A ticket for the private stream", answers={201: TicketAnswer}, errors=(StoreUnavailable,))
async def ticket(request: web.Request) -> web.Response:
    """For clients that cannot send `Authorization`, such as a browser's EventSource. Its first use must come within 30 seconds; after that
    it is good for the reconnects of its own stream."""
    text = new_secret()
    async with acquire(request.app[RESOURCES].db) as connection:
        await insert_ticket(connection, request[CALLER].login, digest(text), TICKET_TTL)
    body = {"ticket": text, "expires_in": int(TICKET_TTL.total_seconds())}
    return web.json_response(body, status=201, headers=NO_STORE)


class Tickets:
    """The tickets whose streams one process serves."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._host = uuid.uuid4().hex
        self._signed_at = float("-inf")  # on the monotonic clock
        self._serving: set[Ticket] = set()
        self._left: set[Ticket] = set()  # their streams have ended, which is not noted yet
        self._rule = Rule(TICKET_LIFE, RECONNECT_WITHIN, HOST_DEAD_AFTER, resources.settings.login_ttl)

    async def redeem(self, request: web.Request, text: str) -> Ticket:
        """Take a ticket for a stream that begins now; raise `InvalidToken`.

        After the first use it is good if its stream has ended less than two minutes ago, or the process that served it was killed; from the
        network of the first use; for a day; while the login is open. A reconnect may arrive before the end of the old stream is noted, so
        it waits for that.
        """
        hashed, network = digest(text), network_of(request)
        until = time.monotonic() + RELEASE_WAIT
        while True:
            async with acquire(self._resources.db) as connection:
                await self._sign(connection)
                taken = await take_ticket(connection, hashed, network=network, host=self._host, rule=self._rule)
                if taken is not None:
                    self._serving.add(taken)
                    return taken
                waits = time.monotonic() < until and await select_may_be_left(
                    connection, hashed, network=network, rule=self._rule
                )
            if not waits:
                raise InvalidToken("the ticket was used, has expired or is unknown; get another")
            await asyncio.sleep(RELEASE_INTERVAL)

    def leave(self, ticket: Ticket | None) -> None:
        """The stream of a ticket, if it had one, has ended or never began; `note` stores that."""
        if ticket is not None:
            self._serving.discard(ticket)
            self._left.add(ticket)

    async def note(self) -> None:
        """Store which streams have ended, and, while this process serves any, that it is at work; raise `StoreUnavailable`."""
        if not self._left and not self._serving:
            return
        left = self._left.copy()
        async with acquire(self._resources.db) as connection:
            if self._serving:
                await self._sign(connection)
            if left:
                await update_left(connection, left)
        self._left -= left

    async def _sign(self, connection: Connection) -> None:
        """Store that this process is at work, at most once a second."""
        now = time.monotonic()
        if now - self._signed_at >= SIGN_INTERVAL:
            await upsert_host(connection, self._host)
            self._signed_at = now


TICKETS = web.AppKey("tickets", Tickets)


@dataclass(frozen=True, slots=True)
class Proof:
    """Who opens a stream, when their login ends at the latest (None: an API key), and the ticket that proved it, if one did."""

    caller: Caller
    ends_at: datetime | None
    ticket: Ticket | None = None


async def prove(request: web.Request, ticket: str) -> Proof:
    """The caller of a request for a stream, by the ticket if there is one, else by the token or API key.

    Raise `InvalidToken`, or `MalformedAuthorization` if there are both. Call `Tickets.leave` when the stream of a ticket is over.
    """
    proof = await _redeem(request, ticket) if ticket else await _verify(request)
    request[CALLER] = proof.caller
    return proof


async def _redeem(request: web.Request, text: str) -> Proof:
    if any(value.lower().startswith("bearer") for value in request.headers.getall("Authorization", [])):
        raise MalformedAuthorization("expected a ticket or `Authorization: Bearer <token>`, not both")
    ticket = await request.app[TICKETS].redeem(request, text)
    return Proof(Caller(ticket.login.user, "", login=ticket.login.id), ticket.login.ends_at, ticket)


async def _verify(request: web.Request) -> Proof:
    caller = await verify(request)
    if caller.is_key:
        return Proof(caller, None)
    resources = request.app[RESOURCES]
    async with acquire(resources.db) as connection:
        login = await select_open_login(connection, caller.login, lasts=resources.settings.login_ttl)
    if login is None:
        raise InvalidToken("the login of this token has ended; log in again")
    return Proof(caller, login.ends_at)
