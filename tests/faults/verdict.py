"""Checks after a scenario: the simulator's log, the stores and the metrics of the processes against what the observers saw."""

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from common.core.models import Quote
from common.store.market.feed import select_published
from simulator.market.prices import quote_at
from simulator.market.universe import load_universe
from tests.faults.cluster import APIS, EXTRA
from tests.faults.metrics import ALL, count_slow
from tests.faults.observers import HOT_SYMBOLS, MACHINE_DELAY, MAX_LAG, Observers
from tests.harness.polling import eventually

ORDER_TIMEOUT = 60.0  # seconds until an order that was taken is carried out
# A quote is stamped when its call is settled, or when the call's lease of 12 s ends if that is sooner; the rest is for the clocks.
BEFORE, AFTER = timedelta(seconds=14), timedelta(seconds=1)
MAX_SLOW_SHARE = 0.01  # of all requests, those that a busy machine may keep for longer than a second
MILLISECOND = timedelta(milliseconds=1)  # answers say no more


@dataclass
class Verdict:
    """It checks what is new since its last check. `prices`: when the provider sent such a price of such a symbol; it may be sent again."""

    observers: Observers
    calls: int = 0
    over_limit: int = 0
    prices: defaultdict[tuple[str, float], list[datetime]] = field(default_factory=lambda: defaultdict(list))
    slow: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.universe = load_universe(1, EXTRA)

    async def check(self) -> None:
        self.observers.raise_errors()
        noted, self.observers.quotes = self.observers.quotes, set()  # before the calls: none is newer than they
        await self._count_calls()
        for each in noted:
            self._compare_price(*each)
        await self._compare_memories()
        await self._compare_lists()
        await self._wait_for_orders()
        for name in APIS:
            await self._count_slow(name)

    async def _count_calls(self) -> None:
        seen = await self.observers.cluster.stack.calls(since=self.calls)
        for _ in range(seen["over_limit"] - self.over_limit):
            self.observers.record("over_limit_calls", f"{seen['by_rule']}, {seen['max_in_window']}")
        self.calls, self.over_limit = seen["total"], seen["over_limit"]
        for call in seen["calls"]:
            self._price(call)

    def _price(self, call: dict[str, Any]) -> None:
        security, at = self.universe.get(call["symbol"]), datetime.fromisoformat(call["time"])
        if security is not None and call["function"] == "GLOBAL_QUOTE":
            self.prices[call["symbol"], float(quote_at(security.walk, at).bar.close)].append(at)

    def _compare_price(self, symbol: str, price: float, fetched: str) -> None:
        """The provider sent it for that symbol, and at that time if the ledger's clock was true."""
        at, sent = datetime.fromisoformat(fetched), self.prices.get((symbol, price), [])
        if not (any(at - BEFORE <= call <= at + AFTER for call in sent) if self.observers.clock_is_true else sent):
            self.observers.record("wrong_price", f"{symbol} {price} of {fetched}; sent at {[*map(str, sent)]}")

    async def _compare_memories(self) -> None:
        """Every API soon answers with the quotes that Redis has now."""
        async with self.observers.cluster.open_redis() as redis:
            held = [quote for _, quote in await select_published(redis, "simulated", HOT_SYMBOLS)]
        await asyncio.gather(*(self._compare_memory(name, quote) for name in APIS for quote in held))

    async def _compare_memory(self, name: str, held: Quote) -> None:
        async def is_there() -> bool:
            status, body = await self.observers.request(name, "GET", f"/api/stock/{held.symbol}")
            return status == 200 and datetime.fromisoformat(body["fetched_at"]) >= held.fetched_at - MILLISECOND

        try:
            await eventually(
                is_there, within=MAX_LAG + MACHINE_DELAY, what=f"{name} has {held.symbol} of {held.fetched_at}"
            )
        except AssertionError as error:
            self.observers.record("behind", str(error))

    async def _compare_lists(self) -> None:
        """While no client changes a list."""
        async with AsyncExitStack() as still:
            for writing in self.observers.list_locks.values():
                await still.enter_async_context(writing)
            rows = await self.observers.cluster.execute(
                "SELECT username, symbol FROM users JOIN watchlist_items ON user_id = users.id"
            )
            for user, symbols in self.observers.lists.items():
                for symbol, expected in symbols.items():
                    if expected is not None and expected != ((user, symbol) in rows):
                        self.observers.record("lost_writes", f"{user} {symbol}: answered {expected}")

    async def _wait_for_orders(self) -> None:
        jobs, cluster = list(self.observers.jobs), self.observers.cluster
        open_ones = "SELECT count(*) FROM refresh_items WHERE job_id = ANY (%s) AND outcome IS NULL"
        known = "SELECT count(*) FROM refresh_jobs WHERE id = ANY (%s)"

        async def settled() -> bool:
            return [await cluster.execute(each, jobs) for each in (open_ones, known)] == [[(0,)], [(len(jobs),)]]

        try:
            await eventually(settled, within=ORDER_TIMEOUT, what="all orders are carried out")
        except AssertionError as error:
            self.observers.record("forgotten_orders", str(error))
        del self.observers.jobs[: len(jobs)]

    async def _count_slow(self, name: str) -> None:
        """By the process's own clock; a small share is the busy machine's fault."""
        total = await count_slow(self.observers.cluster, name)
        slow, self.slow[name] = total - self.slow.get(name, Counter()), total
        asked = slow.pop(ALL, 0)
        if name not in self.observers.cluster.not_timed and slow.total() > max(2, asked * MAX_SLOW_SHARE):
            self.observers.record("slow", f"{name}, of {asked}: {dict(slow)}")
