"""Lists against lists, at five calls a minute: how old the others' prices get while new accounts add nonsense, and how long a small list
waits beside a large one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from math import inf
from statistics import fmean

from bench.fair.market import OPEN, age_ratio, begin_standard, crowd, knows_listed
from bench.fair.people import add_to_list, ask_live, clear_list, count_queued
from bench.fair.windows import over_limit
from bench.virtual import MINUTE, Call, Day, open_day
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings

PER_MINUTE = 5
WARM, LENGTH = timedelta(minutes=30), timedelta(hours=3)
NEWCOMERS, ADDED = 60, 50
IMPORTED, SMALL = 500, 3
PAUSES = (
    timedelta(),
    timedelta(seconds=30),
    timedelta(minutes=10),
)  # between the import, or a small list, and the next
MAX_WAIT = timedelta(hours=2)
MISS_PERIOD = timedelta(minutes=10)
MISS_DELAY = timedelta(seconds=1)  # after an account has added its symbols


@dataclass(frozen=True, slots=True)
class Newcomers:
    """`ratio`: the others' age over the bound. `nonsense`: the part of the calls that went to symbols that do not exist. `misses` of one
    more account, one each ten minutes, right after an adding: how many were `refused`, and the mean `wait` of the others [s]."""

    ratio: float
    nonsense: float
    misses: int
    refused: int
    wait: float
    over: int


async def measure_newcomers(settings: Settings) -> Newcomers:
    weights = crowd()
    async with open_day(settings, OPEN) as day:
        day.provider = knows_listed
        missed = [f"M{n:03}" for n in range(LENGTH // MISS_PERIOD)]
        *users, reader = await begin_standard(day, weights, listed=missed, accounts=NEWCOMERS + 1)
        asked = dict[str, tuple[str, datetime]]()
        for n, symbol in enumerate(missed):
            day.plan(OPEN + n * MISS_PERIOD + MISS_DELAY, partial(_miss, day, reader, symbol, asked))
        for minute in range(LENGTH // MINUTE):
            moment = OPEN + minute * MINUTE
            day.plan(moment, partial(_add_nonsense, day, users[minute % NEWCOMERS], minute))
        await day.run(OPEN + LENGTH)
        ratio = age_ratio(day.calls, weights, start=OPEN, warm=WARM, per_minute=PER_MINUTE)
        nonsense = sum(call.outcome is Outcome.NO_DATA for call in day.calls) / len(day.calls)
        return Newcomers(ratio, nonsense, *_misses(day.calls, asked), over_limit(settings.limits, day.calls))


async def _miss(day: Day, reader: int, symbol: str, asked: dict[str, tuple[str, datetime]]) -> None:
    verdict = await ask_live(day, Function.QUOTE, symbol, CallClass.USER, f"user:{reader}")
    asked[symbol] = verdict, day.now


def _misses(calls: list[Call], asked: Mapping[str, tuple[str, datetime]]) -> tuple[int, int, float]:
    """How many there were, how many the line did not take, and the mean wait of those that were answered [s]."""
    answered = {symbol: call.ended for call in calls for symbol in call.subjects if symbol in asked}
    waits = [(answered[symbol] - since).total_seconds() for symbol, (_, since) in asked.items() if symbol in answered]
    return len(asked), sum(verdict != "joined" for verdict, _ in asked.values()), fmean(waits) if waits else inf


async def _add_nonsense(day: Day, user: int, minute: int) -> None:
    """An account whose list is full clears it first."""
    await clear_list(day, user)
    for n in range(ADDED):
        await add_to_list(day, user, f"X{minute:03}{n:02}")


@dataclass(frozen=True, slots=True)
class SmallUsers:
    """`turns`: calls of any class until a small list's last symbol had been fetched, for each small list in turn. `queued`: symbols of
    the import that the line took as a user's."""

    turns: tuple[int, ...]
    queued: int
    over: int
    calls: list[Call]


async def measure_small_users(settings: Settings, *, busy: bool) -> SmallUsers:
    """One account imports 500 listed symbols; then others, one after the other, add three each. `busy`: refreshes are due all the time."""
    weights = crowd() if busy else {}
    large = [f"A{n:03}" for n in range(IMPORTED)]
    small = [[f"Z{user}{n}" for n in range(SMALL)] for user in range(len(PAUSES))]
    turns = []
    async with open_day(settings, OPEN) as day:
        listed = [*large, *chain.from_iterable(small)]
        importer, *others = await begin_standard(day, weights, listed=listed, accounts=1 + len(small))
        await day.run(OPEN + (WARM if busy else timedelta()))
        for symbol in large:
            await add_to_list(day, importer, symbol)
        queued = await count_queued(day, CallClass.USER)
        for user, wanted, pause in zip(others, small, PAUSES, strict=True):
            await day.run(day.now + pause)
            turns.append(await _turns_until(day, user, wanted))
        return SmallUsers(tuple(turns), queued, over_limit(settings.limits, day.calls), day.calls)


async def _turns_until(day: Day, user: int, wanted: list[str]) -> int:
    """Calls from the adding until the last of these symbols has been fetched."""
    begun, since = len(day.calls), day.now
    for symbol in wanted:
        await add_to_list(day, user, symbol)
    while day.now < since + MAX_WAIT:
        await day.run(day.now + timedelta(seconds=1))
        missing = set(wanted)
        for n, call in enumerate(day.calls[begun:], 1):
            missing -= set(call.subjects)
            if not missing:
                return n
    raise RuntimeError(f"expected {wanted} to be fetched within {MAX_WAIT}, not all but {missing}")
