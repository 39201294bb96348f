"""The read path of quotes: memory, Redis, PostgreSQL, and live for a symbol that has no quote at all."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from aiohttp import web
from redis.exceptions import RedisError

from api.accounts.requesters import Requester
from api.http import metrics
from api.quotes.memory import Memory
from api.quotes.misses import FetchRequest, Misses
from common.core.models import Function, Quote
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market import feed, quotes, symbols


class Count(Protocol):
    """Records how a lookup in a layer ended."""

    def __call__(self, layer: metrics.Layer, *, hits: int = 0, misses: int = 0, errors: int = 0) -> None: ...


class Quotes:
    """One process's quotes: those that memory lacks are looked up in the stores, and remembered."""

    def __init__(self, resources: Resources, memory: Memory, misses: Misses) -> None:
        self._resources = resources
        self._memory = memory
        self._misses = misses

    async def lookup(self, symbol: str) -> Quote | None:
        """The newest known quote; no provider call is made. Raise `StoreUnavailable` if memory has none and no store answers."""
        return (await self.lookup_all([symbol])).get(symbol)

    async def lookup_all(self, wanted: Sequence[str]) -> dict[str, Quote]:
        """The newest known quotes of these symbols. Without the stores, those in memory, however old."""
        found = await self._find(wanted, count=metrics.note_lookups)
        metrics.note_served(found.values(), self._resources.settings.market_hours)
        return found

    async def lookup_beside(self, symbol: str) -> Quote | None:
        """As `lookup`, to show the quote beside other data: not counted as a read, and None if no store answers."""
        try:
            return await self._find_uncounted(symbol)
        except StoreUnavailable:
            return None

    async def _find(self, wanted: Sequence[str], *, count: Count) -> dict[str, Quote]:
        found = {symbol: quote for symbol in wanted if (quote := self._memory.recall(symbol)) is not None}
        lacking = [symbol for symbol in wanted if symbol not in found]
        count("memory", hits=len(found), misses=len(lacking))
        if lacking:
            try:
                await self._load_from_stores(lacking, count)
            except StoreUnavailable:
                if not found and not any(map(self._memory.entry, lacking)):
                    raise
        for symbol in wanted:  # all of them: a newer quote may have come during the lookup
            if (entry := self._memory.entry(symbol)) is not None:
                found[symbol] = entry.quote
        return found

    async def _load_from_stores(self, wanted: Sequence[str], count: Count) -> None:
        """Remember what the stores have: Redis first, then PostgreSQL for the rest."""
        in_redis = await self._load_from_redis(wanted, count)
        lacking = [symbol for symbol in wanted if symbol not in in_redis]
        if lacking:
            found = await self._select_from_postgres(lacking, count)
            count("postgres", hits=len(found), misses=len(lacking) - len(found))
            for quote in found:
                self._memory.remember(quote)

    async def _load_from_redis(self, wanted: Sequence[str], count: Count) -> set[str]:
        """Remember what Redis has, and return its symbols. Skip Redis while it is down, until the stream's tail reconnects."""
        if not self._resources.health.is_up("redis"):
            return set()
        try:
            found = await feed.select_published(self._resources.redis, self._resources.settings.source, wanted)
        except (RedisError, OSError) as error:
            self._resources.health.note("redis", up=False, reason=type(error).__name__)
            count("redis", errors=len(wanted))
            return set()
        count("redis", hits=len(found), misses=len(wanted) - len(found))
        for event, quote in found:
            self._memory.remember(quote, event)
        return {quote.symbol for _, quote in found}

    async def _select_from_postgres(self, wanted: Sequence[str], count: Count) -> list[Quote]:
        try:
            async with acquire(self._resources.db) as connection:
                return await quotes.select_quotes(connection, self._resources.settings.source, wanted)
        except StoreUnavailable:
            count("postgres", errors=len(wanted))
            raise

    async def obtain(self, symbol: str, *, wait: float, by: Requester) -> Quote:
        """The first quote of a symbol that has none, fetched from the provider within `wait` seconds; raise as `Misses.obtain` does."""
        fetch = FetchRequest(Function.QUOTE, symbol, by, wait)
        look, unknown = partial(self._find_uncounted, symbol), partial(self._is_unknown, symbol)
        with metrics.live_lookup():
            quote = await self._misses.obtain(fetch, look=look, unknown=unknown)
        metrics.note_served([quote], self._resources.settings.market_hours)
        return quote

    async def _find_uncounted(self, symbol: str) -> Quote | None:
        """The newest known quote; not counted, because it runs many times for one request or beside it."""
        return (await self._find([symbol], count=_ignore)).get(symbol)

    async def _is_unknown(self, symbol: str) -> bool:
        async with acquire(self._resources.db) as connection:
            return await symbols.select_unknown(connection, self._resources.budget, symbol)


def _ignore(layer: metrics.Layer, *, hits: int = 0, misses: int = 0, errors: int = 0) -> None:
    """Count nothing."""


QUOTES = web.AppKey("quotes", Quotes)
