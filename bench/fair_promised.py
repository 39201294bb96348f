"""People who are told times in a virtual day: who comes back exactly when told, and who reads when stale quotes are expected.

The real API code: `Misses.obtain` for who waits for a first quote, `judge` by the outlook that a process looks up every five seconds.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from api.accounts.requesters import Requester
from api.quotes.misses import FetchRequest, Misses
from api.quotes.outlook import PERIOD
from bench.fair_day import MINUTE, Day
from bench.fair_people import ask_live
from common.calls.dispatcher import Dispatcher
from common.calls.forecasts import Watched
from common.core.forecast.promises import forecast
from common.core.models import CallClass, Function, Quote
from common.core.quotes.freshness import judge
from common.core.quotes.outlook import Outlook
from common.errors import NotNow
from common.store.connection.pool import acquire
from common.store.market import quotes

LOOKS = timedelta(seconds=23)  # between two looks of a reader at some stale quotes
LOOKED_AT = 3  # quotes


@dataclass(slots=True)
class Told:
    """Somebody was told to come back after `after` seconds; `kept`: and was answered then. None: the run ended before."""

    symbol: str
    at: datetime
    after: float
    kept: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A reader saw a stale quote and when it was expected to be refreshed."""

    symbol: str
    at: datetime
    promised: datetime


@dataclass(slots=True)
class People:
    """Whoever asks for a first quote waits as long as the setting says, and comes back exactly when told. No time passes within `obtain`,
    so it is called when the wait is over."""

    day: Day
    live: Misses
    accounts: list[int]
    told: list[Told] = field(default_factory=list)
    refused: int = 0

    async def ask(self, symbol: str, account: int) -> None:
        """Join the line, and look again when the wait is over: by then `obtain` finds an answer, or tells when to come back."""
        if await ask_live(self.day, Function.QUOTE, symbol, CallClass.USER, f"user:{account}", tells=False) == "unfair":
            self.refused += 1
            self.day.plan(self.day.now + MINUTE, partial(self.ask, symbol, account))
        else:
            self.day.plan(
                self.day.now + self.day.resources.settings.miss_wait, partial(self._come, symbol, account, None)
            )

    async def _come(self, symbol: str, account: int, last: Told | None) -> None:
        try:
            await self._obtain(symbol, account)
        except NotNow as error:
            told = Told(symbol, self.day.now, error.retry_after)
            self.told.append(told)
            self.day.plan(self.day.now + timedelta(seconds=told.after), partial(self._come, symbol, account, told))
            if last is not None:
                last.kept = False
            return
        if last is not None:
            last.kept = True

    async def _obtain(self, symbol: str, account: int) -> None:
        fetch = FetchRequest(Function.QUOTE, symbol, Requester(f"user:{account}", account), 0.0)
        await self.live.obtain(fetch, look=partial(self._look, symbol), unknown=_never)

    async def _look(self, symbol: str) -> Quote | None:
        resources = self.day.resources
        async with acquire(resources.db) as connection:
            found = await quotes.select_quotes(connection, resources.settings.source, [symbol])
        return found[0] if found else None


async def _never() -> bool:
    return False


@contextmanager
def people(day: Day, accounts: list[int]) -> Iterator[People]:
    yield People(day, Misses(day.resources, Dispatcher(day.resources)), accounts)


@dataclass(slots=True)
class Reader:
    """A process that looks at the budget every five seconds, and somebody who reads stale quotes there."""

    day: Day
    symbols: list[str]
    seen: list[Seen] = field(default_factory=list)
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
        for each in self._chance.sample(found, LOOKED_AT):
            verdict = judge(
                each,
                self.day.calendar,
                now,
                ttl=resources.settings.quote_ttl,
                policy=resources.policy,
                outlook=self._outlook,
            )
            if verdict.stale and verdict.next_refresh is not None:
                self.seen.append(Seen(each.symbol, now, verdict.next_refresh))
        self.day.plan(now + LOOKS, self.read)
