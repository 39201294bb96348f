"""Hours of the real ledger and the real policy in seconds: PostgreSQL's `ledger_now()` reads a table, and we move its hands.

No process runs: one loop asks for calls as a worker does, and answers each after a fixed latency. It decides nothing itself.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from common.calls.permits import obtain_permit
from common.calls.settle import settle
from common.core.budget.ledger_clock import LedgerClock
from common.core.calendar.trading_day import latest_day
from common.core.models import Price
from common.core.provider.outcomes import Outcome
from common.process.resources import Resources, open_resources
from common.process.settings import Settings
from common.provider import Permit
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import acquire

LATENCY = timedelta(seconds=0.3)  # from the grant to the response
HANDS = """
    CREATE UNLOGGED TABLE bench_clock (at timestamptz NOT NULL);
    INSERT INTO bench_clock VALUES ('epoch');
    CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM bench_clock'
"""
INSERT_WATCHED = """
    INSERT INTO symbols (symbol, watchers, source)
    SELECT symbol, watchers, $3 FROM unnest($1::text[], $2::int[]) AS watched (symbol, watchers)
"""


class StillClock(LedgerClock):
    """The ledger's time is moved by hand here: it runs ahead of the monotonic clock all the time."""

    def jumped(self, *, now: datetime, heard: float) -> bool:  # noqa: ARG002
        return False


@dataclass(slots=True)
class World:
    """The time, and the calls under way: (response, grant), in order, for all take the same time."""

    resources: Resources
    now: datetime
    under_way: list[tuple[datetime, Grant]] = field(default_factory=list)

    async def set_time(self, now: datetime) -> None:
        self.now = now
        async with acquire(self.resources.db) as connection:
            await connection.execute("UPDATE bench_clock SET at = $1", now)

    async def run_until(
        self, end: datetime, *, statement_timeout: timedelta, answered: Callable[[str, datetime], None]
    ) -> None:
        """Grant and answer until `end`; a process looks at the line again after `patience` at the latest.

        `answered` hears the symbol and the time of each response.
        """
        while True:
            answer = await obtain_permit(self.resources)
            if isinstance(answer, Permit):
                self.under_way.append((self.now + LATENCY, answer.grant))
                continue
            next_look = self._next_look(answer, statement_timeout)
            if next_look >= end:
                break
            await self.set_time(next_look)
            await self._answer_due(answered)
        await self.set_time(end)
        await self._answer_due(answered)

    def _next_look(self, told: Wait, statement_timeout: timedelta) -> datetime:
        look = self.now + min(statement_timeout, told.wait or statement_timeout)
        return min(look, self.under_way[0][0]) if self.under_way else look

    async def _answer_due(self, answered: Callable[[str, datetime], None]) -> None:
        while self.under_way and self.under_way[0][0] <= self.now:
            _, grant = self.under_way.pop(0)
            prices = tuple(Price(symbol, Decimal(1), latest_day(symbol, self.now)) for symbol in grant.subjects)
            await settle(self.resources, grant, Outcome.OK, prices)
            for symbol in grant.subjects:
                answered(symbol, self.now)


@asynccontextmanager
async def open_world(settings: Settings, watched: Mapping[str, int], start: datetime) -> AsyncIterator[World]:
    """A migrated database of its own, with these symbols and their watchers; the time is `start`."""
    async with open_resources(settings, name="bench", statement_timeout=30) as opened:
        world = World(replace(opened, clock=StillClock()), start)
        async with acquire(opened.db) as connection:
            await connection.execute(HANDS)
            await connection.execute(INSERT_WATCHED, list(watched), list(watched.values()), settings.source)
        await world.set_time(start)
        yield world
