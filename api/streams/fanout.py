"""Quotes to the clients of one process. A quote is state: a client is told the newest of each symbol, not everything in between.

An event is encoded once for all. Each client has a slot a symbol, which a newer event takes over, and a coroutine that writes what is
there: a slow client costs itself only. It knows nothing of accounts, and puts no demand.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter

from aiohttp.abc import AbstractStreamWriter

from api.http import metrics
from api.quotes.lookup import Quotes
from api.quotes.memory import Entry, Memory
from api.quotes.stocks import answer_quote
from common.errors import Overloaded, StoreUnavailable
from common.process.resources import Resources

MAX_CLIENTS = 10_000
HEARTBEAT = 15.0  # seconds without an event
UNREAD_TIMEOUT = 30.0  # seconds that a client may leave what was sent unread
SWEEP_INTERVAL = 0.25  # seconds; shorter than the shortest break of the tail
HELLO = b"retry: 3000\n\n"  # milliseconds
BEAT = b":\n\n"

Order = tuple[int, int]
NONE: Order = (0, 0)
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class Event:
    """A quote as it is written, with and without its id, and what orders it."""

    order: Order
    whole: bytes
    bare: bytes


@dataclass(slots=True, eq=False)
class Client:
    """What one client is still to be told. `since`: when its last write began, on the monotonic clock; `writing`: it is not over."""

    symbols: Collection[str]
    transport: asyncio.Transport
    pending: dict[str, Event] = field(default_factory=dict)
    last: Order = NONE
    since: float = field(default_factory=time.monotonic)
    writing: bool = False
    ended: bool = False
    waiter: asyncio.Future[None] | None = None

    def offer(self, symbol: str, event: Event) -> None:
        """Take an event in, in the place of an older one of the symbol."""
        self.pending[symbol] = event
        self.wake()

    def take(self) -> bytes:
        """All that is pending in the order of ids. One that came late has none, so that ids never go back."""
        pending, self.pending = self.pending, {}
        lines = []
        for event in sorted(pending.values(), key=attrgetter("order")):
            lines.append(event.whole if event.order > self.last else event.bare)
            self.last = max(self.last, event.order)
        return b"".join(lines)

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def end(self) -> None:
        """End its stream at once; who has not read what was sent gets no more."""
        self.ended = True
        if self.writing:
            self.transport.abort()
        self.wake()


class Streams:
    """The clients of one process. `ended`: they are told to connect again, elsewhere."""

    def __init__(self, resources: Resources, memory: Memory) -> None:
        self.ended = False
        self.clients: set[Client] = set()
        self._by_symbol: defaultdict[str, set[Client]] = defaultdict(set)
        self._resources, self._memory = resources, memory
        memory.listeners.add(self._hear)

    def admit(self) -> None:
        """Raise `Overloaded` if there is no room for one more client."""
        if len(self.clients) >= MAX_CLIENTS:
            raise Overloaded(f"expected at most {MAX_CLIENTS} streams", retry_after=5)

    async def feed(self, client: Client, since: Order | None, writer: AbstractStreamWriter) -> None:
        """Write to a client until it is gone, it is ended or the process ends: first what is newer than `since`."""
        try:
            self._join(client, since)
            chunk = HELLO + client.take()
            while chunk:
                client.since, client.writing = time.monotonic(), True
                await writer.write(chunk)
                await writer.drain()
                client.writing = False
                while not (client.pending or client.ended or client.transport.is_closing()):
                    client.waiter = asyncio.get_running_loop().create_future()
                    await client.waiter
                chunk = b"" if client.ended else client.take()
        finally:
            self._leave(client)

    def follow(self, client: Client, symbols: Collection[str]) -> list[str]:
        """Let a client listen to these instead: of the new ones, which are returned, it is told what is remembered."""
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
        """Offer what is remembered of these symbols, however old."""
        for symbol in symbols:
            if (entry := self._memory.entry(symbol)) is not None:
                client.offer(symbol, self._encode(entry, entry.event))

    def _join(self, client: Client, since: Order | None) -> None:
        """Offer what is remembered. An id later than all of the client's symbols is none of ours: then everything."""
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

    def _hear(self, entry: Entry) -> None:
        """While memory is being made right after a break, ids come in any order: who resumes after one would miss an earlier one."""
        if clients := self._by_symbol.get(entry.quote.symbol):
            event = self._encode(entry, entry.event if self._memory.followed else "")
            for client in clients:
                client.offer(entry.quote.symbol, event)

    def _encode(self, entry: Entry, event_id: str) -> Event:
        """The body is the very answer of `GET /api/stock/{symbol}`."""
        path, answers = f"/api/stock/{entry.quote.symbol}", self._memory.answers
        answer = answers.find(path, time.time())
        if answer is None:
            answer = answers.keep(path, answer_quote(entry.quote, self._resources, self._memory))
        bare = b"event: quote\ndata: %b\n\n" % answer.body
        return Event(order(event_id), b"id: %b\n%b" % (event_id.encode(), bare) if event_id else bare, bare)

    async def sweep_for_ever(self, quotes: Quotes) -> None:
        """Keep connections alive, find those that are gone, drop those that do not read, and close the gap that a break may leave."""
        right = False
        while True:
            self._sweep(time.monotonic())
            right = self._memory.followed and (right or await self._look_again(quotes))
            await asyncio.sleep(SWEEP_INTERVAL)

    def _sweep(self, now: float) -> None:
        for client in self.clients:
            if client.transport.is_closing():
                client.wake()
            elif client.writing and now - client.since > UNREAD_TIMEOUT:
                client.transport.abort()
            elif now - client.since >= HEARTBEAT:
                client.offer("", Event(NONE, BEAT, BEAT))

    async def _look_again(self, quotes: Quotes) -> bool:
        """After a break memory is made right for what it held; a first quote that was published meanwhile is in the stores only."""
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
    """An id as what orders it; NONE for what is not one."""
    found = _ID.fullmatch(event_id)
    return (int(found[1]), int(found[2])) if found else NONE
