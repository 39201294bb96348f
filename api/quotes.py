"""The read path: memory, Redis, PostgreSQL, and live for a symbol that has no quote at all.

Memory is made right by the stream (api/tail.py). While the tail is broken an entry is looked up again, at most once a second.
A newer version always wins, wherever it comes from, so a price never goes back.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from redis.exceptions import RedisError

from common import line
from common.core.models import Function, Purpose, Quote
from common.core.outcomes import Outcome
from common.errors import Overloaded, ProviderUnavailable, QuotePending, RateLimited, StoreUnavailable, UnknownSymbol
from common.provider import Permit
from common.resources import Resources
from common.store import feed, quotes, symbols
from common.store import line as rows
from common.store.pool import connection

MOST_REMEMBERED = 20_000  # symbols
RECHECK = 1.0  # seconds


@dataclass(slots=True)
class Entry:
    """What memory holds of a symbol; `checked` is monotonic."""

    quote: Quote
    checked: float


class Quotes:
    """One process's memory of quotes, and its way to those it lacks. `followed`: the stream keeps memory right."""

    def __init__(self, resources: Resources) -> None:
        self.followed = False
        self._resources = resources
        self._memory: OrderedDict[str, Entry] = OrderedDict()
        self._arrivals: dict[str, asyncio.Event] = {}
        self._calls: set[asyncio.Task[Outcome]] = set()

    def remember(self, quote: Quote) -> None:
        """Take a quote in unless memory has a newer one; whoever waits for it wakes up."""
        held = self._memory.get(quote.symbol)
        if held is None or held.quote.fetched_at < quote.fetched_at:
            self._memory[quote.symbol] = Entry(quote, time.monotonic())
            if len(self._memory) > MOST_REMEMBERED:
                self._memory.popitem(last=False)
        else:
            held.checked = time.monotonic()
        if (arrival := self._arrivals.get(quote.symbol)) is not None:
            arrival.set()

    def remembered(self) -> list[str]:
        return list(self._memory)

    def recall(self, symbol: str) -> Quote | None:
        """What memory may answer without asking a store."""
        held = self._memory.get(symbol)
        if held is None:
            return None
        self._memory.move_to_end(symbol)
        return held.quote if self.followed or time.monotonic() - held.checked < RECHECK else None

    async def lookup(self, symbol: str) -> Quote | None:
        """The newest quote that is known here; no call is made. Raise `StoreUnavailable` if nothing is and no store can say so."""
        if (quote := self.recall(symbol)) is not None:
            return quote
        try:
            await self._look_in_stores(symbol)
        except StoreUnavailable:
            if symbol not in self._memory:
                raise
        held = self._memory.get(symbol)
        return held.quote if held is not None else None

    async def _look_in_stores(self, symbol: str) -> None:
        source = self._resources.settings.source
        if self._resources.health.is_up("redis"):
            try:
                found = await feed.select_published(self._resources.redis, source, [symbol])
            except (RedisError, OSError) as error:
                self._resources.health.note("redis", up=False, reason=type(error).__name__)
            else:
                for quote in found:
                    self.remember(quote)
                if found:
                    return
        async with connection(self._resources.db) as held:
            for quote in await quotes.select_quotes(held, source, [symbol]):
                self.remember(quote)

    async def obtain(self, symbol: str, *, wait: float, asker: str) -> Quote:
        """The first quote of a symbol that has none: stand in the line and work it, at most `wait` seconds.

        `asker` is a hash of who asks. Raise `UnknownSymbol`, `RateLimited`, `Overloaded`, `ProviderUnavailable`, or
        `QuotePending` when the time is over; the demand stays.
        """
        until = time.monotonic() + wait
        await self._join(symbol, asker)
        arrival = self._arrivals.setdefault(symbol, asyncio.Event())
        try:
            while (quote := await self.lookup(symbol)) is None:
                await self._refuse_hopeless(symbol)
                if time.monotonic() >= until:
                    raise await self._pending(symbol)
                await self._wait_for_turn(symbol, arrival, until)
        finally:
            if self._arrivals.get(symbol) is arrival:
                del self._arrivals[symbol]
        return quote

    async def _join(self, symbol: str, asker: str) -> None:
        async with connection(self._resources.db) as held:
            if await symbols.select_unknown(held, self._resources.ask.account, symbol):
                raise UnknownSymbol(f"the provider does not have {symbol}")
            fair = self._resources.policy.misses_a_minute
            verdict = await rows.join_line(
                held,
                Function.QUOTE,
                [symbol],
                Purpose.INTERACTIVE,
                stay=rows.INTERACTIVE_STAY,
                asker=asker,
                fair=fair,
                source=self._resources.settings.source,
            )
        if verdict == "full":
            raise Overloaded("too many symbols are waited for", retry_after=60)
        if verdict == "unfair":
            raise RateLimited(f"expected at most {fair} symbols without a quote within a minute", retry_after=60)

    async def _refuse_hopeless(self, symbol: str) -> None:
        """A demand that left the line without a quote was refused: by the symbol's fault, or the provider's."""
        async with connection(self._resources.db) as held:
            if await rows.select_rank(held, Function.QUOTE, symbol) is not None:
                return
            unknown = await symbols.select_unknown(held, self._resources.ask.account, symbol)
            if not unknown and await quotes.select_quotes(held, self._resources.settings.source, [symbol]):
                return
        if unknown:
            raise UnknownSymbol(f"the provider does not have {symbol}")
        raise ProviderUnavailable("the provider does not answer for this symbol now", retry_after=5)

    async def _wait_for_turn(self, symbol: str, arrival: asyncio.Event, until: float) -> None:
        """Take a call if one is granted (whoever's it is); then sleep until something may have changed."""
        answer = await line.ask(self._resources)
        if isinstance(answer, Permit):
            # The call outlives the request: a client that goes away must not lose what was paid for.
            call = asyncio.create_task(line.carry_out(self._resources, answer))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            mine = symbol in answer.grant.subjects
            pause = max(0.0, until - time.monotonic())
            await asyncio.wait({call}, timeout=pause if mine else min(line.PATIENCE, pause))
            return
        pause = min(line.pause(answer), max(0.0, until - time.monotonic()))
        try:
            async with asyncio.timeout(pause):
                await arrival.wait()
        except TimeoutError:
            return

    async def _pending(self, symbol: str) -> QuotePending:
        """How long it should take: the rank in the line times the gap between two calls."""
        async with connection(self._resources.db) as held:
            rank = await rows.select_rank(held, Function.QUOTE, symbol)
        gap = self._resources.policy.gap
        return QuotePending(f"the first quote of {symbol} is on its way", retry_after=(rank or 1) * gap.total_seconds())

    async def close(self) -> None:
        """Let calls under way finish."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=12)
