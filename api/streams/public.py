"""The push stream over HTTP, as Server-Sent Events: a response that lasts as long as its client stays, and where a client resumes."""

import socket
import weakref
from asyncio import Transport
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from msgspec import Meta
from redis.exceptions import RedisError

from api.accounts.requesters import reader_of, requester_of
from api.accounts.tickets import TICKETS, prove
from api.http import requests
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import read, ticketed
from api.quotes.lookup import QUOTES
from api.quotes.reads import READS
from api.quotes.symbols import SymbolsQuery
from api.streams.fanout import NONE, UNREAD_TIMEOUT, Client, Order, Streams, order
from api.streams.places import PLACES
from common.errors import InvalidSymbol, Overloaded, StoreUnavailable, TooManyStreams
from common.store.market import feed

MAX_UNREAD_BYTES = 16 << 10  # bytes in flight to one client; small, because a newer quote cannot replace them
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
RESUMING = {"Last-Event-ID": "Resume after this event; if it is no longer known, start with the current quotes."}

EventId = Annotated[
    str, Meta(title="the id of an event", description="For clients that cannot send the header `Last-Event-ID`.")
]
Write = Callable[[Transport, AbstractStreamWriter], Awaitable[None]]


class Stream(web.StreamResponse):
    """A response that lasts as long as its client stays; `write` writes its body, `leave` gives its place back.

    Like a file's response, it writes the body in `prepare`. By then the middlewares have added their headers and returned, so their frames
    use no memory while the stream lasts.
    """

    def __init__(self, write: Write, leave: Callable[[], None]) -> None:
        super().__init__(headers=HEADERS)
        self.force_close()
        self._write = write
        self._leave = weakref.finalize(self, leave)  # also if the response is dropped before its first byte
        self._leave.atexit = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await self._stream(request)
        finally:
            self._leave()

    async def _stream(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        writer = await super().prepare(request)
        if transport is not None and writer is not None:
            transport.set_write_buffer_limits(high=0)
            connection_socket = transport.get_extra_info("socket")
            connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_UNREAD_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only: drop a peer that vanished
                connection_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_TIMEOUT * 1000))
            await self._write(transport, writer)
            if not transport.is_closing():
                transport.set_write_buffer_limits()  # do not wait for a slow reader to end the body
        return writer


STREAMS = web.AppKey("streams", Streams)
routes = web.RouteTableDef()


class StreamQuery(SymbolsQuery, frozen=True, rename={"last_event_id": "lastEventId"}):
    """The symbols to stream."""

    last_event_id: EventId = ""
    ticket: Annotated[
        str,
        Meta(
            title="a ticket from `POST /api/auth/ticket`",
            description="For browsers, where `READS=accounts` asks for a token: an EventSource sends no header.",
        ),
    ] = ""


@routes.get("/api/stream", allow_head=False)
@read
@ticketed
@documented(
    "Quotes as they come, pushed",
    query=StreamQuery,
    headers=RESUMING,
    answers={200: str},
    media="text/event-stream",
    errors=(InvalidSymbol, TooManyStreams, Overloaded),
)
async def stream(request: web.Request) -> web.StreamResponse:
    """Server-Sent Events `quote`, first the current quotes; `data` is the answer of `GET /api/stock/{symbol}`. Where a token is needed,
    the stream ends with its login."""
    query = requests.query(request, StreamQuery)
    streams, places = request.app[STREAMS], request.app[PLACES]
    wanted = query.wanted(request)
    streams.admit()
    is_open = request.app[RESOURCES].settings.public_reads
    proof = None if is_open else await prove(request, query.ticket)
    with ExitStack() as leaving:
        leaving.callback(request.app[TICKETS].leave, proof.ticket if proof else None)
        name = (await requester_of(request)).name
        places.check(name)
        since = await resumed(request, query.last_event_id)
        await remember(request, wanted)

        async def write(transport: Transport, writer: AbstractStreamWriter) -> None:
            client = Client(wanted, transport)
            if proof is not None:
                client.login, client.ends_at = proof.caller.login, proof.ends_at
            await streams.feed(client, since, writer)

        leaving.callback(places.take(name))
        return Stream(write, leaving.pop_all().close)


async def remember(request: web.Request, wanted: list[str]) -> None:
    """Load these quotes into memory. Ignore a store that is down: EventSource never reconnects after a status other than 200."""
    with suppress(StoreUnavailable):
        for symbol in await request.app[QUOTES].lookup_all(wanted):
            request.app[READS].count(symbol, by=reader_of(request))


async def resumed(request: web.Request, given: str) -> Order | None:
    """The event after which a client resumes; None if it gave none, or one that is no longer kept."""
    since = order(request.headers.get("Last-Event-ID") or given)
    try:
        first = None if since == NONE else await feed.select_first_id(request.app[RESOURCES].redis)
    except (RedisError, OSError):
        return None
    return since if first is not None and since >= order(first) else None
