"""Whether every watched symbol gets its close, whatever fails at that hour: a call, the provider for a while, or a reader's haste."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.fair.market import WATCHED, begin_free, begin_standard, prices_of_the_evening, watched_symbols
from bench.fair.people import ask_live
from bench.fair.windows import over_limit
from bench.virtual import MINUTE, Call, Day, open_day
from common.core.calendar.closes import LAG
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire

CLOSE = datetime(2026, 11, 20, 21, tzinfo=UTC)  # a Friday: what is lacking now is lacking for a weekend
HOUR = timedelta(hours=1)
LATER = timedelta(hours=8)  # midnight in New York

LACKING = """
    SELECT count(*) FROM unnest($1::text[]) AS wanted (symbol) LEFT JOIN quotes USING (symbol)
    WHERE NOT coalesce(fetched_at >= $2 AND trading_day = $3, false)
"""

WATCH_ONE = "INSERT INTO symbols (symbol, watchers) VALUES ($1, 1) ON CONFLICT (symbol) DO UPDATE SET watchers = 1"

Trouble = Callable[[Grant, datetime], Outcome]


@dataclass(frozen=True, slots=True)
class Closes:
    """Watched symbols without the final price, eight hours after the close."""

    missing: int
    over: int
    calls: list[Call]


def one_fails() -> Trouble:
    """The third call of the sweep."""
    made = iter(range(1_000_000))
    return lambda _grant, now: Outcome.UNAVAILABLE if now >= CLOSE and next(made) == 2 else Outcome.OK


def away(since: timedelta, lasts: timedelta) -> Trouble:
    """Every call within `lasts`, from so long after the close on."""
    return lambda _grant, now: Outcome.UNAVAILABLE if since <= now - CLOSE < since + lasts else Outcome.OK


async def measure(settings: Settings, trouble: str) -> Closes:
    """`failed`, `outage` (20 min at the close), `hasty` (each symbol is asked for within the lag), `free` (14 min of a free key)."""
    watched = watched_symbols(WATCHED)
    async with open_day(settings, CLOSE - HOUR) as day:
        if trouble == "free":
            await begin_free(day, watched, 5)
            day.trading_day, day.provider = prices_of_the_evening, away(3 * HOUR, 14 * MINUTE)
        else:
            begin = watched if trouble != "hasty" else watched[: WATCHED // 2]
            await begin_standard(day, dict.fromkeys(begin, 1), listed=watched[len(begin) :], accounts=1)
            day.provider = {"failed": one_fails(), "outage": away(-MINUTE, 21 * MINUTE)}.get(trouble, day.provider)
        if trouble == "hasty":
            for n, symbol in enumerate(watched[WATCHED // 2 :]):
                day.plan(CLOSE + timedelta(seconds=30 * n), partial(_add, day, symbol))
        await day.run(CLOSE + LATER)
        async with acquire(day.resources.db) as connection:
            final = CLOSE + LAG[settings.provider_data]
            missing = await connection.fetchval(LACKING, watched, final, CLOSE.date())
        return Closes(int(missing), over_limit(settings.limits, day.calls), day.calls)


async def _add(day: Day, symbol: str) -> None:
    """Somebody looks at it in the minutes after the close, and then watches it."""
    await ask_live(day, Function.QUOTE, symbol, CallClass.USER, "user:1")
    async with acquire(day.resources.db) as connection:
        await connection.execute(WATCH_ONE, symbol)
