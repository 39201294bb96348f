"""A virtual day for whom it may concern: the real turn, grant and settlement, and people who ask as the API lets them.

Only the provider's answers are made up. Each account's worker looks again exactly as it was told, after `cap` at the latest, and at
once when somebody has asked. It decides nothing itself.
"""

import heapq
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import asyncpg

from bench.fair_judge import Call
from bench.virtual import HANDS, StillClock
from common.calls import permits, work
from common.calls.settle import settle
from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG
from common.core.models import Bar, Function, Price
from common.core.provider.alpha_vantage import Answer
from common.core.provider.outcomes import Outcome
from common.market_calendar import open_calendar
from common.process.resources import Resources, open_resources
from common.process.settings import Settings
from common.provider import Permit
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import acquire

Act = Callable[[], Awaitable[None]]
Provider = Callable[[Grant, datetime], Outcome]

MINUTE = timedelta(minutes=1)
LATENCY = 0.1, 0.5  # seconds a call takes, at least and at most
LOOK = timedelta(seconds=work.POLL_INTERVAL)
GRAIN = timedelta(microseconds=1)


def knows_all(_grant: Grant, _now: datetime) -> Outcome:
    return Outcome.OK


def trades_now(_calendar: Calendar, now: datetime) -> date:
    return now.date()


@dataclass(slots=True)
class Worker:
    """Works the line for one account; `look_at` is when it asks the ledger again."""

    resources: Resources
    look_at: datetime


@dataclass(slots=True)
class Day:
    """Time, workers, what is planned, and the calls so far. `trading_day`: of a price that is fetched at a moment."""

    workers: list[Worker]
    now: datetime
    provider: Provider = knows_all
    trading_day: Callable[[Calendar, datetime], date] = trades_now
    cap: timedelta = MINUTE
    calls: list[Call] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))  # nosec B311
    _planned: list[tuple[datetime, int, Act]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    @property
    def resources(self) -> Resources:
        return self.workers[0].resources

    @property
    def calendar(self) -> Calendar:
        return open_calendar(self.resources.settings.market_hours, self.now)

    async def set_time(self, now: datetime) -> None:
        self.now = now
        async with acquire(self.resources.db) as connection:
            await connection.execute("UPDATE bench_clock SET at = $1", now)

    def plan(self, moment: datetime, act: Act) -> None:
        heapq.heappush(self._planned, (moment, next(self._order), act))

    def wake(self) -> None:
        """Somebody has asked: workers look now."""
        for worker in self.workers:
            worker.look_at = min(worker.look_at, self.now)

    async def run(self, until: datetime) -> None:
        """Do what is planned and work the line until then."""
        while True:
            while self._planned and self._planned[0][0] <= self.now:
                await heapq.heappop(self._planned)[2]()
            if self.now >= until:
                return
            for worker in self.workers:
                if worker.look_at <= self.now:
                    await self._look(worker)
            following = [worker.look_at for worker in self.workers] + [moment for moment, *_ in self._planned[:1]]
            if (moment := min(until, *following)) > self.now:
                await self.set_time(moment)

    async def _look(self, worker: Worker) -> None:
        while isinstance(answer := await permits.obtain_permit(worker.resources), Permit):
            self._send(worker, answer.grant)
        worker.look_at = self._next_look(answer)

    def _next_look(self, told: Wait) -> datetime:
        wait = self.cap if told.wait is None else min(self.cap, max(told.wait, GRAIN))
        return min(self.now + wait, *self._turning_points())

    def _turning_points(self) -> list[datetime]:
        """When the policy's mind may change: a session's open and close, the final price's time; and the next look after each."""
        last, following = self.calendar.last_session(self.now), self.calendar.next_open(self.now)
        points = [following] if following else []
        points += [*last, last[1] + LAG[self.resources.policy.data]] if last else []
        looks = [look for point in points for look in (point, point + LOOK) if look > self.now]
        return looks or [self.now + self.cap]

    def _send(self, worker: Worker, grant: Grant) -> None:
        outcome = self.provider(grant, self.now)
        ended = self.now + timedelta(milliseconds=round(1000 * self._chance.uniform(*LATENCY)))
        account = worker.resources.budget.account
        self.calls.append(Call(account, self.now, ended, grant.function, grant.subjects, grant.call_class, outcome))

        async def end() -> None:
            day = self.trading_day(self.calendar, self.now)
            await settle(worker.resources, grant, outcome, _answer(grant, day) if outcome is Outcome.OK else ())
            self.wake()

        self.plan(ended, end)


def _answer(grant: Grant, day: date) -> Answer:
    if grant.function is Function.DAILY:
        one = Decimal(1)
        return (Bar(day, one, one, one, one, None),)
    if grant.function is Function.SEARCH:
        return ()
    return tuple(Price(symbol, Decimal(1), day) for symbol in grant.subjects)


async def _keep(_connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, and resetting it costs a round trip."""


@asynccontextmanager
async def open_day(settings: Settings, start: datetime, *, keys: Sequence[str] = ("one",)) -> AsyncIterator[Day]:
    """A day that begins at `start` on the settings' own database, with a worker for each of the keys."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(settings.database_url, min_size=1, max_size=2, reset=_keep)
        )
        workers = []
        for key in keys:
            opened = await stack.enter_async_context(
                open_resources(replace(settings, provider_key=key), name="bench", statement_timeout=30)
            )
            workers.append(Worker(replace(opened, db=pool, clock=StillClock()), start))
        async with acquire(pool) as connection:
            await connection.execute(HANDS)
        day = Day(workers, start)
        await day.set_time(start)
        yield day
