"""Fan-out: send new quotes to the streaming clients of one process. A client gets the newest quote of a symbol, not every one in between.

An event is encoded once for all clients. Each client has one slot a symbol, which a newer event overwrites, and its own coroutine that
writes the slots; so a slow client delays only itself. This module knows nothing of users, and queues no request.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from aiohttp.abc import AbstractStreamWriter

from api.http import metrics
from api.http.descriptors import count_places
from api.quotes.lookup import Quotes
from api.quotes.memory import Entry, Memory
from api.quotes.stocks import answer_quote
from common.errors import Overloaded, StoreUnavailable
from common.process.resources import Resources

MAX_CLIENTS = 10_000
HEARTBEAT_INTERVAL = 15.0  # seconds without a write
UNREAD_TIMEOUT = 30.0  # seconds that a write to a client may take
SWEEP_INTERVAL = 0.25  # seconds; shorter than the tail's RETRY_DELAY, so that no break goes unseen
HELLO = b"retry: 3000\n\n"  # milliseconds
HEARTBEAT = b":\n\n"  # a comment; EventSource ignores it

Order = tuple[int, int]
NONE: Order = (0, 0)
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class Event:
    """A quote in the stream's format, with and without its id, and its id as an order."""

    order: Order
    whole: bytes
    bare: bytes


@dataclass(slots=True, eq=False)
class Client:
    """One client and its unsent events. `last`: the highest id sent. `since`: when its last write began, on the monotonic clock;
    `writing`: that write is not finished. `needs_heartbeat`: write a heartbeat if there is no event."""

    symbols: Collection[str]
    transport: asyncio.Transport
    login: int | None = None  # the stream ends with it, at `ends_at` at the latest
    ends_at: datetime | None = None
    pending: dict[str, Event] = field(default_factory=dict)
    last: Order = NONE
    since: float = field(default_factory=time.monotonic)
    writing: bool = False
    needs_heartbeat: bool = False
    ended: bool = False
    waiter: asyncio.Future[None] | None = None

    def offer(self, symbol: str, event: Event) -> None:
        """Put an event in the symbol's slot, in place of an older one."""
        self.pending[symbol] = event
        self.wake()

    def take(self) -> bytes:
        """All pending events, ordered by id, and a heartbeat if one is due.

        An event that is older than the last id sent is written without its id. A client resumes after the last id it saw: if ids went
        back, it would resume too early and get events twice.
        """
        pending, self.pending = self.pending, {}
        lines = [HEARTBEAT] if self.needs_heartbeat else []
        self.needs_heartbeat = False
        for event in sorted(pending.values(), key=attrgetter("order")):
            lines.append(event.whole if event.order > self.last else event.bare)
            self.last = max(self.last, event.order)
        return b"".join(lines)

    def send_heartbeat(self) -> None:
        self.needs_heartbeat = True
        self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def end(self) -> None:
        """End the stream at once. A client that has not read the last write is cut off."""
        self.ended = True
        if self.writing:
            self.transport.abort()
        self.wake()


class Streams:
    """The streaming clients of one process. `ended`: the process shuts down, and new streams end at once."""

    def __init__(self, resources: Resources, memory: Memory) -> None:
        self.ended = False
        self.clients: set[Client] = set()
        self._by_symbol: defaultdict[str, set[Client]] = defaultdict(set)
        self._resources, self._memory = resources, memory
        memory.listeners.add(self._publish)

    def admit(self) -> None:
        """Raise `Overloaded` if there is no room for one more client. A quarter of the connections are for other requests."""
        most = min(MAX_CLIENTS, count_places() * 3 // 4)
        if len(self.clients) >= most:
            raise Overloaded(f"expected at most {most} streams", retry_after=5)

    async def feed(self, client: Client, since: Order | None, writer: AbstractStreamWriter) -> None:
        """Write to a client until it leaves or is ended; first what is newer than `since`."""
        try:
            self._join(client, since)
            chunk = HELLO + client.take()
            while chunk:
                client.since, client.writing = time.monotonic(), True
                await writer.write(chunk)
                await writer.drain()
                client.writing = False
                while not (client.pending or client.needs_heartbeat or client.ended or client.transport.is_closing()):
                    client.waiter = asyncio.get_running_loop().create_future()
                    await client.waiter
                chunk = b"" if client.ended else client.take()
        finally:
            self._leave(client)

    def follow(self, client: Client, symbols: Collection[str]) -> list[str]:
        """Change a client's symbols; offer it the remembered quotes of the new ones, and return these."""
        before, client.symbols = client.symbols, symbols
        added = [symbol for symbol in symbols if symbol not in before]
        removed = [symbol for symbol in before if symbol not in symbols]
        self._stop(client, removed)
        for symbol in removed:
            client.pending.pop(symbol, None)
        self._listen(client, added)
        self.offer(client, added)
        return added

    def offer(self, client: Client, symbols: Iterable[str]) -> None:
        """Offer the remembered quotes of these symbols, however old."""
        for symbol in symbols:
            if (entry := self._memory.entry(symbol)) is not None:
                client.offer(symbol, self._encode(entry, entry.event))

    def _join(self, client: Client, since: Order | None) -> None:
        """Register a client and offer it the remembered quotes that are newer than `since`.

        If `since` is newer than every quote of the client's symbols, it is not from this stream: send everything.
        """
        client.ended = self.ended
        self.clients.add(client)
        metrics.STREAM_CLIENTS.set(len(self.clients))
        self._listen(client, client.symbols)
        entries = [entry for symbol in client.symbols if (entry := self._memory.entry(symbol)) is not None]
        if since is not None and since > max((order(entry.event) for entry in entries), default=NONE):
            since = None
        client.last = since or NONE
        for entry in entries:
            if since is None or not entry.event or order(entry.event) > since:
                client.offer(entry.quote.symbol, self._encode(entry, entry.event))

    def _leave(self, client: Client) -> None:
        self.clients.discard(client)
        metrics.STREAM_CLIENTS.set(len(self.clients))
        self._stop(client, client.symbols)

    def _listen(self, client: Client, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            self._by_symbol[symbol].add(client)

    def _stop(self, client: Client, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            self._by_symbol[symbol].discard(client)
            if not self._by_symbol[symbol]:
                del self._by_symbol[symbol]

    def _publish(self, entry: Entry) -> None:
        """Offer a newer quote to its clients.

        While memory catches up after a break of the tail, quotes come in no order of ids. They go out without ids then: a client that
        resumed after one would miss quotes with lower ids that had not come yet.
        """
        if clients := self._by_symbol.get(entry.quote.symbol):
            event = self._encode(entry, entry.event if self._memory.followed else "")
            for client in clients:
                client.offer(entry.quote.symbol, event)

    def _encode(self, entry: Entry, event_id: str) -> Event:
        """An entry as an event; its data is the answer of `GET /api/stock/{symbol}`. Without an `event_id` it gets no id."""
        path, answers = f"/api/stock/{entry.quote.symbol}", self._memory.answers
        answer = answers.find(path, time.time())
        if answer is None:
            answer = answers.keep(path, answer_quote(entry.quote, self._resources, self._memory))
        bare = b"event: quote\ndata: %b\n\n" % answer.body
        return Event(order(event_id), b"id: %b\n%b" % (event_id.encode(), bare) if event_id else bare, bare)

    async def sweep_for_ever(self, quotes: Quotes) -> None:
        """Send heartbeats, drop clients that are gone or do not read, and close the gap that a break of the tail may leave.

        `is_caught_up` is false from the start, and again from each break of the tail. When the tail follows again, one lookup of the
        symbols without a quote closes the gap; it is repeated until a store answers.
        """
        is_caught_up = False
        while True:
            self._sweep(time.monotonic())
            if not self._memory.followed:
                is_caught_up = False
            elif not is_caught_up:
                is_caught_up = await self._load_missing(quotes)
            await asyncio.sleep(SWEEP_INTERVAL)

    def _sweep(self, now: float) -> None:
        for client in self.clients:
            if client.transport.is_closing():
                client.wake()
            elif client.writing and now - client.since > UNREAD_TIMEOUT:
                client.transport.abort()
            elif now - client.since >= HEARTBEAT_INTERVAL:
                client.send_heartbeat()

    async def _load_missing(self, quotes: Quotes) -> bool:
        """Look up the symbols without a quote; return whether a store answered.

        After a break the tail refreshes only the symbols that memory has. A first quote that was published during the break is in the
        stores only.
        """
        lacking = [symbol for symbol in self._by_symbol if self._memory.entry(symbol) is None]
        with suppress(StoreUnavailable):
            await quotes.lookup_all(lacking)
            return True
        return False

    def end(self) -> None:
        """End all streams at once."""
        self.ended = True
        for client in self.clients:
            client.end()


def order(event_id: str) -> Order:
    """An event's id as an order; NONE if it is not one."""
    found = _ID.fullmatch(event_id)
    return (int(found[1]), int(found[2])) if found else NONE
