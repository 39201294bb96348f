"""The push stream over HTTP, as Server-Sent Events: how a response goes on for as long as its client stays, and where a client resumes."""

import socket
from asyncio import Transport
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from msgspec import Meta
from redis.exceptions import RedisError

from api.accounts.requesters import reader_of
from api.http import requests
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.lookup import QUOTES
from api.quotes.reads import READS
from api.quotes.symbols import SymbolsQuery
from api.streams.fanout import NONE, UNREAD_TIMEOUT, Client, Order, Streams, order
from common.errors import InvalidSymbol, Overloaded, StoreUnavailable
from common.store.market import feed

MAX_UNREAD_BYTES = 16 << 10  # bytes on their way to one client: newer state cannot take their place any more
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
RESUMING = {"Last-Event-ID": "Go on after this event; from the current quotes on if it is not known any more."}

EventId = Annotated[str, Meta(title="the id of an event", description="For who can send no header.")]
Tell = Callable[[Transport, AbstractStreamWriter], Awaitable[None]]


class Stream(web.StreamResponse):
    """A response that goes on for as long as its client stays. As a file's does, it writes its body while it is prepared: by then the
    middlewares are through with it, have added their headers and take no memory. `tell` writes until it is over."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(headers=HEADERS)
        self.force_close()
        self._tell = tell

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport, writer = request.transport, await super().prepare(request)
        if transport is not None and writer is not None:
            transport.set_write_buffer_limits(high=0)
            connection_socket = transport.get_extra_info("socket")
            connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_UNREAD_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: a peer that vanished is not waited for
                connection_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_TIMEOUT * 1000))
            await self._tell(transport, writer)
            if not transport.is_closing():
                transport.set_write_buffer_limits()  # the end of the body need not wait for a slow reader
        return writer


STREAMS = web.AppKey("streams", Streams)
routes = web.RouteTableDef()


class StreamQuery(SymbolsQuery, frozen=True, rename={"last_event_id": "lastEventId"}):
    """What to listen to."""

    last_event_id: EventId = ""


@routes.get("/api/stream", allow_head=False)
@public
@documented(
    "Quotes as they come, pushed",
    query=StreamQuery,
    headers=RESUMING,
    answers={200: str},
    media="text/event-stream",
    errors=(InvalidSymbol, Overloaded),
)
async def stream(request: web.Request) -> web.StreamResponse:
    """Server-Sent Events `quote`, the current quotes first; `data` is the answer of `GET /api/stock/{symbol}`."""
    query, streams = requests.query(request, StreamQuery), request.app[STREAMS]
    wanted, since = query.wanted(request), await resumed(request, query.last_event_id)
    await remember(request, wanted)
    streams.admit()

    async def tell(transport: Transport, writer: AbstractStreamWriter) -> None:
        await streams.feed(Client(wanted, transport), since, writer)

    return Stream(tell)


async def remember(request: web.Request, wanted: list[str]) -> None:
    """Bring these quotes into memory, as far as a store answers: a browser gives up for good on anything but 200."""
    with suppress(StoreUnavailable):
        for symbol in await request.app[QUOTES].lookup_all(wanted):
            request.app[READS].count(symbol, by=reader_of(request))


async def resumed(request: web.Request, given: str) -> Order | None:
    """The event after which a client goes on; None if it gave none, or one that is no longer kept."""
    since = order(request.headers.get("Last-Event-ID") or given)
    try:
        first = None if since == NONE else await feed.select_first_id(request.app[RESOURCES].redis)
    except (RedisError, OSError):
        return None
    return since if first is not None and since >= order(first) else None
