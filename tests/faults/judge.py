"""What the simulator's log, the stores and the processes themselves say of a scenario, after it. It trusts nobody else."""

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
from tests.e2e.stack import eventually
from tests.faults.cluster import APIS, EXTRA
from tests.faults.metrics import ALL, count_slow
from tests.faults.witnesses import ACROSS, HOT, MACHINE, Witnesses

PATIENCE = 60.0  # seconds for orders that were taken; nothing may be forgotten
# A quote is stamped when its call is settled, or when the call's lease of 12 s ends if that is sooner; the rest is for the clocks.
BEFORE, AFTER = timedelta(seconds=14), timedelta(seconds=1)
MACHINES = 0.01  # of all requests, those that a busy machine may keep for longer than a second
MILLISECOND = timedelta(milliseconds=1)  # answers say no more


@dataclass
class Judge:
    """It goes on from where it was: only what is new is judged. `prices`: when the provider told such a price of such a symbol, once or
    more often, for it may come back to one."""

    witnesses: Witnesses
    calls: int = 0
    over_limit: int = 0
    prices: defaultdict[tuple[str, float], list[datetime]] = field(default_factory=lambda: defaultdict(list))
    slow: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.universe = load_universe(1, EXTRA)

    async def judge(self) -> None:
        self.witnesses.check()
        noted, self.witnesses.quotes = self.witnesses.quotes, set()  # before the calls: none is newer than they
        await self._count_calls()
        for each in noted:
            self._compare_price(*each)
        await self._compare_memories()
        await self._compare_lists()
        await self._wait_for_orders()
        for name in APIS:
            await self._count_slow(name)

    async def _count_calls(self) -> None:
        seen = await self.witnesses.cluster.calls(since=self.calls)
        for _ in range(seen["over_limit"] - self.over_limit):
            self.witnesses.blame("over_limit_calls", f"{seen['by_rule']}, {seen['max_in_window']}")
        self.calls, self.over_limit = seen["total"], seen["over_limit"]
        for call in seen["calls"]:
            self._price(call)

    def _price(self, call: dict[str, Any]) -> None:
        security, at = self.universe.get(call["symbol"]), datetime.fromisoformat(call["time"])
        if security is not None and call["function"] == "GLOBAL_QUOTE":
            self.prices[call["symbol"], float(quote_at(security.walk, at).bar.close)].append(at)

    def _compare_price(self, symbol: str, price: float, fetched: str) -> None:
        """It was the provider's for that symbol, and of that time where the ledger's clock was true."""
        at, told = datetime.fromisoformat(fetched), self.prices.get((symbol, price), [])
        if not (any(at - BEFORE <= call <= at + AFTER for call in told) if self.witnesses.clock_is_true else told):
            self.witnesses.blame("wrong_price", f"{symbol} {price} of {fetched}; told at {[*map(str, told)]}")

    async def _compare_memories(self) -> None:
        """What Redis holds now, every API answers soon."""
        async with self.witnesses.cluster.open_redis() as redis:
            held = [quote for _, quote in await select_published(redis, "simulated", HOT)]
        await asyncio.gather(*(self._compare_memory(name, quote) for name in APIS for quote in held))

    async def _compare_memory(self, name: str, held: Quote) -> None:
        async def is_there() -> bool:
            status, body = await self.witnesses.ask(name, "GET", f"/api/stock/{held.symbol}")
            return status == 200 and datetime.fromisoformat(body["fetched_at"]) >= held.fetched_at - MILLISECOND

        try:
            await eventually(is_there, within=ACROSS + MACHINE, what=f"{name} has {held.symbol} of {held.fetched_at}")
        except AssertionError as error:
            self.witnesses.blame("behind", str(error))

    async def _compare_lists(self) -> None:
        """While nobody changes one."""
        async with AsyncExitStack() as still:
            for writing in self.witnesses.writing.values():
                await still.enter_async_context(writing)
            rows = await self.witnesses.cluster.ask(
                "SELECT username, symbol FROM users JOIN watchlist_items ON user_id = users.id"
            )
            for user, symbols in self.witnesses.lists.items():
                for symbol, expected in symbols.items():
                    if expected is not None and expected != ((user, symbol) in rows):
                        self.witnesses.blame("lost_writes", f"{user} {symbol}: told {expected}")

    async def _wait_for_orders(self) -> None:
        jobs, cluster = list(self.witnesses.jobs), self.witnesses.cluster
        open_ones = "SELECT count(*) FROM refresh_items WHERE job_id = ANY (%s) AND outcome IS NULL"
        known = "SELECT count(*) FROM refresh_jobs WHERE id = ANY (%s)"

        async def settled() -> bool:
            return [await cluster.ask(each, jobs) for each in (open_ones, known)] == [[(0,)], [(len(jobs),)]]

        try:
            await eventually(settled, within=PATIENCE, what="all orders are carried out")
        except AssertionError as error:
            self.witnesses.blame("forgotten_orders", str(error))
        del self.witnesses.jobs[: len(jobs)]

    async def _count_slow(self, name: str) -> None:
        """By the clock of the process itself; a few of all are the machine's."""
        told = await count_slow(self.witnesses.cluster, name)
        slow, self.slow[name] = told - self.slow.get(name, Counter()), told
        asked = slow.pop(ALL, 0)
        if name not in self.witnesses.cluster.untimed and slow.total() > max(2, asked * MACHINES):
            self.witnesses.blame("slow", f"{name}, of {asked}: {dict(slow)}")
