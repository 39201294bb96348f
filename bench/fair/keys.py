"""What a key's calls are used for: a free key's over a week with more symbols than calls, and two keys' that share one database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.fair.market import ACCOUNTS, DAY_CALLS, OPEN, age_ratio, begin_free, crowd, watched_symbols
from bench.fair.people import days_behind, quote
from bench.fair.windows import over_limit
from bench.virtual import Call, open_day, watch
from common.core.limits import DAY
from common.core.models import CallClass
from common.market_calendar import nyse
from common.process.settings import Settings

WATCHED = 30
FRIDAY = datetime(2026, 11, 13, 21, tzinfo=UTC)  # the close of the warm-up's day
MONDAY, SATURDAY = datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 21, 17, tzinfo=UTC)  # noon in New York
HOUR = timedelta(hours=1)
WARM, LENGTH = timedelta(hours=1), timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Week:
    """`used`: calls in each window from an hour after a close to an hour after the next, the last one up to Saturday's noon in New York;
    `saturday`: in 24 hours of that one. `behind`: the most closes that any symbol lacks
    an hour before the next."""

    used: tuple[int, ...]
    saturday: int
    behind: int
    over: int
    calls: list[Call]

    @property
    def share(self) -> float:
        return sum(self.used) / (DAY_CALLS * len(self.used))

    @property
    def share_of_days(self) -> float:
        return (sum(self.used[:-1]) + self.saturday) / (DAY_CALLS * len(self.used))


async def measure_week(settings: Settings) -> Week:
    watched = watched_symbols(WATCHED)
    closes = [close for _, close in nyse(MONDAY.year).sessions if MONDAY < close < SATURDAY]
    ends = [*(close + HOUR for close in closes[1:]), SATURDAY]
    behind = []
    async with open_day(settings, FRIDAY) as day:
        await begin_free(day, watched, ACCOUNTS)
        for end in ends:
            await day.run(end - 2 * HOUR)  # before the next close
            behind.append(max((await days_behind(day, watched)).values()))
        await day.run(closes[-1] + HOUR + DAY)
        over = over_limit(settings.limits, day.calls)
        windows = zip(closes, ends, strict=True)
        used = tuple(_made(day.calls, close + HOUR, end) for close, end in windows)
        return Week(used, _made(day.calls, closes[-1] + HOUR, day.now), max(behind), over, day.calls)


def _made(calls: Sequence[Call], since: datetime, until: datetime) -> int:
    return sum(since <= call.at < until for call in calls)


@dataclass(frozen=True, slots=True)
class TwoKeys:
    """`ratio`: age over the bound of both keys' calls together. `calls`: what each key made a minute."""

    ratio: float
    calls: tuple[float, ...]
    over: int


async def measure_two(settings: Settings) -> TwoKeys:
    weights = crowd()
    async with open_day(settings, OPEN, keys=("one", "two")) as day:
        await watch(day, weights)
        await quote(day, list(weights))
        await day.run(OPEN + LENGTH)
        ratio = age_ratio(day.calls, weights, start=OPEN, warm=WARM, per_minute=10)
        accounts = [worker.resources.budget.account for worker in day.workers]
        minutes = LENGTH / timedelta(minutes=1)
        each = tuple(sum(call.account == account for call in day.calls) / minutes for account in accounts)
        background = all(call.call_class is CallClass.REFRESH for call in day.calls)
        if not background:
            raise RuntimeError("expected nothing but refreshes")
        return TwoKeys(ratio, each, over_limit(settings.limits, day.calls))
