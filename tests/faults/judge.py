"""What the simulator's log and the database say of a scenario, after it. It trusts nobody else."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.prices import quote_at
from simulator.universe import load_universe
from tests.e2e.stack import eventually
from tests.faults.cluster import EXTRA
from tests.faults.witnesses import Witnesses

PATIENCE = 60.0  # seconds for orders that were taken; nothing may be forgotten


@dataclass
class Judge:
    """It goes on from where it was: only what is new is judged."""

    witnesses: Witnesses
    calls: int = 0
    over_limit: int = 0
    prices: set[tuple[str, float]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.universe = load_universe(1, EXTRA)

    async def judge(self) -> None:
        await self._count_calls()
        self._compare_prices()
        await self._compare_lists()
        await self._wait_for_orders()

    async def _count_calls(self) -> None:
        cluster = self.witnesses.cluster
        async with cluster.stack.http.get(f"{cluster.stack.simulator}/_calls?since={self.calls}") as answer:
            seen = await answer.json()
        for _ in range(seen["over_limit"] - self.over_limit):
            self.witnesses.blame("over_limit_calls", f"{seen['by_rule']}, {seen['max_in_window']}")
        self.calls, self.over_limit = seen["total"], seen["over_limit"]
        self.prices.update(price for call in seen["calls"] if (price := self._price_of(call)))

    def _price_of(self, call: dict[str, Any]) -> tuple[str, float] | None:
        security = self.universe.get(call["symbol"])
        if security is None or call["function"] != "GLOBAL_QUOTE":
            return None
        return call["symbol"], float(quote_at(security.walk, datetime.fromisoformat(call["time"])).bar.close)

    def _compare_prices(self) -> None:
        """Each price that somebody read was the provider's, for that symbol."""
        for symbol, price in self.witnesses.quotes - self.prices:
            self.witnesses.blame("wrong_price", f"{symbol} {price}")
        self.witnesses.quotes.clear()

    async def _compare_lists(self) -> None:
        """While nobody changes one."""
        async with AsyncExitStack() as still:
            for writing in self.witnesses.writing.values():
                await still.enter_async_context(writing)
            await asyncio.to_thread(self._compare_rows)

    def _compare_rows(self) -> None:
        rows = self.witnesses.cluster.ask(
            "SELECT username, array_agg(symbol) FROM users JOIN watchlist_items ON user_id = users.id GROUP BY username"
        )
        there = {user: set(symbols) for user, symbols in rows}
        for user, symbols in self.witnesses.lists.items():
            for symbol, expected in list(symbols.items()):
                if expected is not None and expected != (symbol in there.get(user, ())):
                    self.witnesses.blame("lost_writes", f"{user} {symbol}: told {expected}")

    async def _wait_for_orders(self) -> None:
        jobs, cluster = list(self.witnesses.jobs), self.witnesses.cluster

        async def settled() -> bool:
            open_ones = "SELECT count(*) FROM refresh_items WHERE job_id = ANY (%s) AND outcome IS NULL"
            known = "SELECT count(*) FROM refresh_jobs WHERE id = ANY (%s)"
            (left,), (kept,) = [(await asyncio.to_thread(cluster.ask, each, jobs))[0] for each in (open_ones, known)]
            return bool(left == 0 and kept == len(jobs))

        try:
            await eventually(settled, within=PATIENCE, what="all orders are carried out")
        except AssertionError as error:
            self.witnesses.blame("forgotten_orders", str(error))
        del self.witnesses.jobs[: len(jobs)]
