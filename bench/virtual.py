"""Hours of the real policy, ledger and settlement in seconds: PostgreSQL's `ledger_now()` reads a table that the bench sets.

No other process runs, and only the provider's answers are made up. Each key's worker asks the ledger again after the wait that it
returned, after `cap` at the latest, and at once when a request has joined the queue. Nothing is decided here.
"""

import heapq
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import asyncpg

from common.calls import permits, work
from common.calls.settle import settle
from common.core.budget.ledger_clock import LedgerClock
from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG
from common.core.calendar.trading_day import latest_day
from common.core.limits import slot_time
from common.core.models import Bar, CallClass, Function, Price
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
CLOCK = """
    CREATE UNLOGGED TABLE bench_clock (at timestamptz NOT NULL);
    INSERT INTO bench_clock VALUES ('epoch');
    CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM bench_clock'
"""
INSERT_WATCHED = """
    INSERT INTO symbols (symbol, watchers, source)
    SELECT symbol, watchers, $3 FROM unnest($1::text[], $2::int[]) AS watched (symbol, watchers)
"""
WORKER_POLL = timedelta(seconds=work.POLL_INTERVAL)
MIN_WAIT = timedelta(microseconds=1)


def knows_all(_grant: Grant, _now: datetime) -> Outcome:
    return Outcome.OK


def trades_last(_calendar: Calendar, now: datetime) -> date:
    """The last weekday with a session, as the simulator has it."""
    return latest_day("SIM0001", now)


def trades_now(_calendar: Calendar, now: datetime) -> date:
    return now.date()


class StillClock(LedgerClock):
    """The ledger's time is set by the bench: it runs ahead of the monotonic clock all the time."""

    def jumped(self, *, now: datetime, heard: float) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the provider saw it between `at`, its grant, and `ended`, its response."""

    account: str
    at: datetime
    ended: datetime
    function: Function
    subjects: tuple[str, ...]
    call_class: CallClass
    outcome: Outcome


@dataclass(slots=True)
class Worker:
    """Makes the calls of one key; `look_at` is when it asks the ledger again."""

    resources: Resources
    look_at: datetime


@dataclass(slots=True)
class Day:
    """Time, workers, what is planned, and the calls so far. `trading_day`: of a price that is fetched at a moment; `latency`: seconds."""

    workers: list[Worker]
    now: datetime
    provider: Provider = knows_all
    trading_day: Callable[[Calendar, datetime], date] = trades_now
    cap: timedelta = MINUTE
    latency: tuple[float, float] = LATENCY
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
        """Let the workers ask the ledger now, for the queue has changed."""
        for worker in self.workers:
            worker.look_at = min(worker.look_at, self.now)

    async def run(self, until: datetime) -> None:
        """Do what is planned and make the calls that are granted until then."""
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

    def _next_look(self, answer: Wait) -> datetime:
        wait = self.cap if answer.wait is None else min(self.cap, max(answer.wait, MIN_WAIT))
        return min(self.now + wait, *self._turning_points())

    def _turning_points(self) -> list[datetime]:
        """When the policy may decide otherwise: a session's open and close, the final price's time; and the next look after each."""
        last, following = self.calendar.last_session(self.now), self.calendar.next_open(self.now)
        points = [following] if following else []
        points += [*last, last[1] + LAG[self.resources.policy.data]] if last else []
        looks = [look for point in points for look in (point, point + WORKER_POLL) if look > self.now]
        return looks or [self.now + self.cap]

    def _send(self, worker: Worker, grant: Grant) -> None:
        outcome = self.provider(grant, self.now)
        ended = self.now + timedelta(milliseconds=round(1000 * self._chance.uniform(*self.latency)))
        account = worker.resources.budget.account
        self.calls.append(Call(account, self.now, ended, grant.function, grant.subjects, grant.call_class, outcome))

        async def end() -> None:
            day = self.trading_day(self.calendar, self.now)
            await settle(worker.resources, grant, outcome, _answer(grant, day) if outcome is Outcome.OK else ())
            self.wake()

        self.plan(ended, end)


async def watch(day: Day, watchers: Mapping[str, int]) -> None:
    """Insert symbols with their numbers of watchers."""
    async with acquire(day.resources.db) as connection:
        await connection.execute(INSERT_WATCHED, list(watchers), list(watchers.values()), day.resources.settings.source)


def _answer(grant: Grant, day: date) -> Answer:
    if grant.function is Function.DAILY:
        one = Decimal(1)
        return (Bar(day, one, one, one, one, None),)
    if grant.function is Function.SEARCH:
        return ()
    return tuple(Price(symbol, Decimal(1), day) for symbol in grant.subjects)


async def _keep_state(_connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, and resetting it costs a round trip."""


@asynccontextmanager
async def open_day(settings: Settings, start: datetime, *, keys: Sequence[str] = ("one",)) -> AsyncIterator[Day]:
    """A day that begins at `start` on the settings' own database, with a worker for each of the keys."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(settings.database_url, min_size=1, max_size=2, reset=_keep_state)
        )
        workers = []
        for key in keys:
            opened = await stack.enter_async_context(
                open_resources(replace(settings, provider_key=key), name="bench", statement_timeout=30)
            )
            workers.append(Worker(replace(opened, db=pool, clock=StillClock(slot_time(opened.budget.limits))), start))
        async with acquire(pool) as connection:
            await connection.execute(CLOCK)
        day = Day(workers, start)
        await day.set_time(start)
        yield day
