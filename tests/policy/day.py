"""A day of the market in virtual time: the real turn, grant and settlement on a real PostgreSQL whose ledger tells a set time.

Only the provider's answers are made up, and time passes exactly as the ledger tells to wait; nothing sleeps.
"""

import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from common.calls import permits, work
from common.calls.settle import settle
from common.core.budget.ledger_clock import LedgerClock
from common.core.budget.staleness import zipf
from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG, answered_clock
from common.core.calendar.trading_day import latest_day
from common.core.models import Bar, CallClass, Function, Price
from common.core.provider.outcomes import Outcome
from common.core.quotes.chart import Chart, Due, View, chart_due, reconcile
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.provider import Permit
from common.store.accounts.users import insert_user
from common.store.accounts.watchlists import insert_item
from common.store.budget import queue as rows
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import acquire
from common.store.market import bars, quotes
from tests.policy.record import Call, Record
from tests.store.conftest import Clock

LOOK = timedelta(seconds=work.POLL_INTERVAL)  # how soon a process that was told nothing looks again
GRAIN = timedelta(microseconds=1)
PRICES = (Decimal(100),) * 4  # of every bar
SCALE = 100  # watchers of the least wanted symbol: whole numbers that keep the weights' proportions

Provider = Callable[[Grant, datetime], Outcome]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def crowd(symbols: int) -> dict[str, int]:
    """Symbols S0001, S0002, ... and their watchers, Zipf(1) by rank."""
    return {f"S{rank:04}": round(SCALE * weight) for rank, weight in enumerate(zipf(symbols), 1)}


def knows_all(_grant: Grant, _now: datetime) -> Outcome:
    return Outcome.OK


def prices_of_today(calendar: Calendar, now: datetime) -> date:
    """The trading day of a price: prices move in the session."""
    session = calendar.last_session(now)
    return latest_day("S0001", now) if session is None else session[0].date()


class Unjumped(LedgerClock):
    """Virtual time jumps all day."""

    def jumped(self, **_: object) -> bool:
        return False


@dataclass(slots=True)
class Day:
    """Runs from one moment to the next. `cap` bounds how long nobody asks, `latency` is the least and the most a call takes [s],
    `late` how long a symbol's prices stay behind those of the others."""

    resources: Resources
    clock: Clock
    provider: Provider = knows_all
    trading_day: Callable[[Calendar, datetime], date] = prices_of_today
    cap: timedelta = timedelta(minutes=1)
    latency: tuple[float, float] = (0.1, 0.5)
    late: Mapping[str, timedelta] = field(default_factory=dict)
    record: Record = field(default_factory=Record)
    _random: random.Random = field(default_factory=lambda: random.Random(7))
    _planned: list[tuple[datetime, int, Callable[[], Awaitable[None]]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    @property
    def now(self) -> datetime:
        return self.clock.now

    @property
    def calendar(self) -> Calendar:
        return open_calendar(self.resources.settings.market_hours, self.now)

    async def watch(self, watchers: Mapping[str, int]) -> None:
        """Symbols that are watched, and refreshed just now: as after a full sweep."""
        newest, data = self.trading_day(self.calendar, self.now), self.resources.policy.data
        self.record.weights |= watchers
        self.record.since = self.calendar.clock(self.now)
        async with acquire(self.resources.db) as connection:
            await connection.execute(
                """
                INSERT INTO symbols (symbol, watchers, source, clock)
                SELECT symbol, watchers, $3, $4 FROM unnest($1::text[], $2::int[]) AS watched (symbol, watchers)
                """,
                list(watchers),
                list(watchers.values()),
                self.resources.settings.source,
                answered_clock(self.calendar, newest, self.now, data),
            )
            await connection.execute(
                """
                INSERT INTO quotes (symbol, source, price, trading_day, fetched_at)
                SELECT unnest($1::text[]), $2, 100, unnest($3::date[]), ledger_now()
                """,
                list(watchers),
                self.resources.settings.source,
                [self._day_of(symbol) for symbol in watchers],
            )

    async def add(self, symbol: str) -> None:
        """Somebody watches a symbol that has no quote."""
        async with acquire(self.resources.db) as connection:
            user = await insert_user(connection, f"u{symbol}", f"{symbol}@example.com", "hash", "scheme")
            await connection.execute(
                "INSERT INTO listings (symbol, source, name, exchange, asset_type, listed_on) VALUES ($1, $2, '', '', '', NULL)",
                symbol,
                self.resources.settings.source,
            )
            await insert_item(connection, user.id, symbol, most=1)

    async def miss(self, symbol: str, *, ttl: timedelta = rows.QUEUE_TTL) -> None:
        """Somebody waits for a symbol."""
        async with acquire(self.resources.db) as connection:
            told = await rows.enqueue(
                connection, self.resources.budget, Function.QUOTE, [symbol], CallClass.USER, ttl=ttl
            )
        assert told in ("joined", "held")

    async def keep_chart(self, symbol: str) -> None:
        """Its chart was fetched just now."""
        source = self.resources.settings.source
        async with acquire(self.resources.db) as connection:
            day = self.trading_day(self.calendar, self.now)
            await bars.upsert_bars(connection, source, symbol, [Bar(day, *PRICES, volume=None)])
            await bars.upsert_bars_fetched(connection, source, symbol, self.now)

    async def chart(self, symbol: str) -> tuple[Chart, View]:
        """Its chart as it would be shown now."""
        source = self.resources.settings.source
        async with acquire(self.resources.db) as connection:
            fetched_at = await bars.select_bars_fetched(connection, source, symbol)
            assert fetched_at is not None
            kept = Chart(
                symbol, source, tuple(await bars.select_bars(connection, source, symbol, most=100)), fetched_at
            )
            quoted = await quotes.select_quotes(connection, source, [symbol])
        return kept, reconcile(kept, quoted[0] if quoted else None, self.calendar, LAG[self.resources.policy.data])

    async def read_chart(self, symbol: str) -> None:
        """Somebody reads its chart, and nobody waits for a newer one (api/quotes/charts.py)."""
        kept, view = await self.chart(symbol)
        data, ttl = self.resources.policy.data, self.resources.settings.chart_ttl
        due = chart_due(kept, view, self.calendar, self.now, data=data, ttl=ttl)
        if due is not None:
            lacks = due is Due.CLOSED_DAY
            ttl = timedelta(days=1) if lacks else rows.QUEUE_TTL
            async with acquire(self.resources.db) as connection:
                await bars.insert_refresh(connection, symbol, closed_day=lacks, ttl=ttl)

    def plan(self, moment: datetime, act: Callable[[], Awaitable[None]]) -> None:
        """Do something when its time has come."""
        heapq.heappush(self._planned, (moment, next(self._order), act))

    async def run(self, until: datetime) -> None:
        """Work the line until then as workers do: ask, wait exactly as told, ask again; calls end while others begin."""
        while True:
            while self._planned and self._planned[0][0] <= self.now:
                await heapq.heappop(self._planned)[2]()
            if self.now >= until:
                return
            answer = await permits.obtain_permit(self.resources)
            if isinstance(answer, Permit):
                self._send(answer.grant)
            else:
                self.clock.set(min(until, self._next_look(answer)))

    def _next_look(self, told: Wait) -> datetime:
        """The end of what was told, or what may change the answer before."""
        wait = self.cap if told.wait is None else min(self.cap, max(told.wait, GRAIN))
        return min(self.now + wait, *self._turning_points(), *(moment for moment, *_ in self._planned[:1]))

    def _turning_points(self) -> list[datetime]:
        """When the policy's mind may change: a session's open and close, the final price's time; and the next look after each."""
        last, following = self.calendar.last_session(self.now), self.calendar.next_open(self.now)
        points = [following] if following else []
        points += [*last, last[1] + LAG[self.resources.policy.data]] if last else []
        return [look for point in points for look in (point, point + LOOK) if look > self.now] or [
            datetime.max.replace(tzinfo=UTC)
        ]

    def _send(self, grant: Grant) -> None:
        outcome = self.provider(grant, self.now)
        ended = self.now + timedelta(milliseconds=round(1000 * self._random.uniform(*self.latency)))
        self.record.calls.append(Call(self.now, ended, grant.function, grant.subjects, grant.call_class, outcome))

        async def end() -> None:
            prices = [Price(symbol, Decimal(100), self._day_of(symbol)) for symbol in grant.subjects]
            bar = Bar(self._day_of(grant.subjects[0]), *PRICES, volume=None)
            answer = (bar,) if grant.function is Function.DAILY else tuple(prices)
            await settle(self.resources, grant, outcome, answer if outcome is Outcome.OK else ())

        self.plan(ended, end)

    def _day_of(self, symbol: str) -> date:
        return self.trading_day(self.calendar, self.now - self.late.get(symbol, timedelta()))
