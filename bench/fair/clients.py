"""Clients of a virtual day that keep to the times in answers: `Retry-After` of a refusal, and `next_refresh` of a stale quote.

The code is the API's own: `Live.obtain` for a first quote, `judge` by the outlook that a process renews every five seconds.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from api.accounts.requesters import Requester
from api.quotes.misses import FetchRequest, Misses
from api.quotes.outlook import PERIOD
from bench.fair.people import ask_live
from bench.virtual import MINUTE, Day
from common.calls.dispatcher import Dispatcher
from common.calls.forecasts import Watched
from common.core.forecast.promises import forecast
from common.core.models import CallClass, Function, Quote
from common.core.quotes.freshness import judge
from common.core.quotes.outlook import Outlook
from common.errors import NotNow
from common.store.connection.pool import acquire
from common.store.market import quotes

READ_PERIOD = timedelta(seconds=23)
READ_QUOTES = 3  # each time


@dataclass(slots=True)
class Promise:
    """An answer with `Retry-After: after` [s]; `kept`: a retry at that moment was answered, None if the run ended before."""

    symbol: str
    at: datetime
    after: float
    kept: bool | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A reader saw a stale quote and when it was expected to be refreshed."""

    symbol: str
    at: datetime
    promised: datetime


@dataclass(slots=True)
class Clients:
    """Each asks for a first quote, waits as long as the setting says, and retries exactly after `Retry-After`. No time passes within
    `obtain`, so it is called when the wait is over."""

    day: Day
    promises: list[Promise] = field(default_factory=list)
    refused: int = 0
    _live: Misses = field(init=False)

    def __post_init__(self) -> None:
        self._live = Misses(self.day.resources, Dispatcher(self.day.resources))

    async def ask(self, symbol: str, account: int) -> None:
        """Join the line, and look again when the wait is over: by then `obtain` finds an answer, or tells when to come back."""
        if await ask_live(self.day, Function.QUOTE, symbol, CallClass.USER, f"user:{account}", tells=False) == "unfair":
            self.refused += 1
            self.day.plan(self.day.now + MINUTE, partial(self.ask, symbol, account))
        else:
            self.day.plan(
                self.day.now + self.day.resources.settings.miss_wait, partial(self._come, symbol, account, None)
            )

    async def _come(self, symbol: str, account: int, last: Promise | None) -> None:
        try:
            await self._obtain(symbol, account)
        except NotNow as error:
            promise = Promise(symbol, self.day.now, error.retry_after)
            self.promises.append(promise)
            self.day.plan(
                self.day.now + timedelta(seconds=promise.after), partial(self._come, symbol, account, promise)
            )
            if last is not None:
                last.kept = False
            return
        if last is not None:
            last.kept = True

    async def _obtain(self, symbol: str, account: int) -> None:
        fetch = FetchRequest(Function.QUOTE, symbol, Requester(f"user:{account}", account), 0.0)
        await self._live.obtain(fetch, look=partial(self._look, symbol), unknown=_never)

    async def _look(self, symbol: str) -> Quote | None:
        resources = self.day.resources
        async with acquire(resources.db) as connection:
            found = await quotes.select_quotes(connection, resources.settings.source, [symbol])
        return found[0] if found else None


async def _never() -> bool:
    return False


@dataclass(slots=True)
class Reader:
    """A process that renews its outlook every five seconds, and a client that reads stale quotes of it."""

    day: Day
    symbols: list[str]
    seen: list[Expectation] = field(default_factory=list)
    _outlook: Outlook = field(default_factory=Outlook)
    _watched: Watched | None = None
    _chance: random.Random = field(default_factory=lambda: random.Random(5))  # nosec B311

    async def keep(self) -> None:
        resources = self.day.resources
        if self._watched is None:
            self._watched = Watched(lambda: self.day.now.timestamp())  # noqa: PLW0108
        async with acquire(resources.db) as connection:
            outlook, situation = await self._watched.look(connection, resources)
        self._outlook = replace(outlook, forecast=forecast(situation))
        self.day.plan(self.day.now + timedelta(seconds=PERIOD), self.keep)

    async def read(self) -> None:
        resources, now = self.day.resources, self.day.now
        async with acquire(resources.db) as connection:
            found = await quotes.select_quotes(connection, resources.settings.source, self.symbols)
        for each in self._chance.sample(found, READ_QUOTES):
            verdict = judge(
                each,
                self.day.calendar,
                now,
                ttl=resources.settings.quote_ttl,
                policy=resources.policy,
                outlook=self._outlook,
            )
            if verdict.stale and verdict.next_refresh is not None:
                self.seen.append(Expectation(each.symbol, now, verdict.next_refresh))
        self.day.plan(now + READ_PERIOD, self.read)
