"""The read path of quotes: memory, Redis, PostgreSQL, and live for a symbol that has no quote at all."""

from collections.abc import Sequence

from redis.exceptions import RedisError

from api.live import Live, Wish
from api.memory import Memory
from common.core.models import Function, Quote
from common.errors import StoreUnavailable
from common.resources import Resources
from common.store import feed, quotes, symbols
from common.store.pool import connection


class Quotes:
    """One process's way to quotes: what memory lacks is looked for in the stores, and remembered."""

    def __init__(self, resources: Resources, memory: Memory, live: Live) -> None:
        self._resources = resources
        self._memory = memory
        self._live = live

    async def lookup(self, symbol: str) -> Quote | None:
        """The newest quote that is known here; no call is made. Raise `StoreUnavailable` if nothing is and no store can say so."""
        if (quote := self._memory.recall(symbol)) is not None:
            return quote
        return (await self.lookup_all([symbol])).get(symbol)

    async def lookup_all(self, wanted: Sequence[str]) -> dict[str, Quote]:
        """The newest quotes that are known here of these symbols. What memory holds stands in where no store answers."""
        found = {symbol: quote for symbol in wanted if (quote := self._memory.recall(symbol)) is not None}
        lacking = [symbol for symbol in wanted if symbol not in found]
        if lacking:
            try:
                await self._look_in_stores(lacking)
            except StoreUnavailable:
                if not found and not any(map(self._memory.entry, lacking)):
                    raise
        for symbol in lacking:
            if (entry := self._memory.entry(symbol)) is not None:
                found[symbol] = entry.quote
        return found

    async def _look_in_stores(self, wanted: Sequence[str]) -> None:
        """Redis first; PostgreSQL for what it lacks."""
        in_redis = await self._look_in_redis(wanted)
        lacking = [symbol for symbol in wanted if symbol not in in_redis]
        if lacking:
            async with connection(self._resources.db) as held:
                for quote in await quotes.select_quotes(held, self._resources.settings.source, lacking):
                    self._memory.remember(quote)

    async def _look_in_redis(self, wanted: Sequence[str]) -> set[str]:
        """Remember what Redis has; while it is away it is not asked, until the stream's tail has found it again."""
        if not self._resources.health.is_up("redis"):
            return set()
        try:
            found = await feed.select_published(self._resources.redis, self._resources.settings.source, wanted)
        except (RedisError, OSError) as error:
            self._resources.health.note("redis", up=False, reason=type(error).__name__)
            return set()
        for event, quote in found:
            self._memory.remember(quote, event)
        return {quote.symbol for _, quote in found}

    async def obtain(self, symbol: str, *, wait: float, asker: str) -> Quote:
        """The first quote of a symbol that has none, asked live within `wait` seconds; raises as `Live.obtain` does."""

        async def look() -> Quote | None:
            return await self.lookup(symbol)

        async def unknown() -> bool:
            async with connection(self._resources.db) as held:
                return await symbols.select_unknown(held, self._resources.ask.account, symbol)

        wish = Wish(Function.QUOTE, symbol, asker, wait)
        return await self._live.obtain(wish, look=look, unknown=unknown, arrival=self._memory.arrival(symbol))
