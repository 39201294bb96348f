"""A free key whose provider does not answer for six hours from an evening's sweep on: what it costs, and how soon calls go on."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.fair.market import ACCOUNTS, DAY_CALLS, LISTED, WATCHED, begin_free, knows_listed, watched_symbols
from bench.fair.people import ask_live, days_behind
from bench.fair.windows import failed, most_a_day, over_limit
from bench.virtual import MINUTE, Call, Day, open_day
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings
from common.store.budget.ledger import Grant

START = datetime(2026, 11, 16, 15, tzinfo=UTC)  # Monday, in the session
PROBED = datetime(2026, 11, 16, 22, tzinfo=UTC)  # an hour after the close: the first probe
SWEPT = datetime(2026, 11, 17, 0, 0, 30, tzinfo=UTC)  # the close is out, and the sweep has begun
LENGTH = timedelta(hours=6)
AFTERMATH = timedelta(hours=24)


@dataclass(slots=True)
class Readers:
    """Every minute an account asks for a listed symbol that nobody has asked for."""

    users: Sequence[int]
    _turn: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, day: Day) -> None:
        turn = next(self._turn)
        user = self.users[turn % len(self.users)]
        await ask_live(day, Function.QUOTE, f"L{turn % LISTED:04}", CallClass.USER, f"user:{user}")
        day.plan(day.now + MINUTE, partial(self.ask, day))


@dataclass(frozen=True, slots=True)
class Outage:
    """`cost`: failed calls of the worst 24 hours, of a day's. `recovery`: from the provider's return to the first answer. `interval`:
    between the last failed call's response and the next grant. `behind`: watched symbols without Monday's close a day later."""

    cost: float
    recovery: timedelta
    interval: timedelta
    behind: int
    over: int
    calls: list[Call]


async def measure(settings: Settings, begins: datetime, outcome: Outcome) -> Outage:
    """All calls end as `outcome` for six hours."""
    back = begins + LENGTH

    def fails(grant: Grant, now: datetime) -> Outcome:
        return outcome if begins <= now < back else knows_listed(grant, now)

    watched = watched_symbols(WATCHED)
    async with open_day(settings, START) as day:
        users = await begin_free(day, watched, ACCOUNTS)
        day.provider = fails
        day.plan(START, partial(Readers(users).ask, day))
        await day.run(back + AFTERMATH)
        behind = await days_behind(day, watched)
        return _figures(settings, day.calls, back, sum(lag > 1 for lag in behind.values()))


def _figures(settings: Settings, calls: list[Call], back: datetime, behind: int) -> Outage:
    first = next(call for call in calls if call.at >= back and call.outcome is Outcome.OK)
    before = max(call.ended for call in calls if call.at < back)
    cost = most_a_day(failed(calls)) / DAY_CALLS
    return Outage(cost, first.ended - back, first.at - before, behind, over_limit(settings.limits, calls), calls)
