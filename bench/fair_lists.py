"""Lists against lists, at five calls a minute: how old the others' prices get while new accounts add nonsense, and how long a small list
waits beside a large one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from statistics import fmean

from bench.ages import by_symbol, observed, read_weighted
from bench.fair_day import MINUTE, Day, open_day
from bench.fair_judge import Call, over_limit
from bench.fair_people import add_to_list, ask_live, clear_list, count_queued, list_symbols, open_accounts, quote, watch
from bench.fair_strangers import knows_listed
from common.core.budget.staleness import lower_bound, zipf
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings

PER_MINUTE = 5
START = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)  # Monday's open
WATCHED = 50
WARM, LENGTH = timedelta(minutes=30), timedelta(hours=3)
NEWCOMERS, ADDED = 60, 50
IMPORTED, SMALL = 500, 3
PAUSES = (
    timedelta(),
    timedelta(seconds=30),
    timedelta(minutes=10),
)  # between the import, or a small list, and the next
LONGEST = timedelta(hours=2)
EACH, AFTER_ADDING = timedelta(minutes=10), timedelta(seconds=1)  # of a reader's misses


def crowd() -> dict[str, int]:
    """Symbols and their watchers, Zipf(1) by rank."""
    return {f"W{rank:03}": round(10 * weight) for rank, weight in enumerate(zipf(WATCHED), 1)}


def age_ratio(
    calls: list[Call], weights: Mapping[str, int], *, start: datetime, warm: timedelta, per_minute: float
) -> float:
    """The read-weighted mean age since the last response, from the end of the warm-up to the last call, over the bound. All were
    refreshed at `start`."""
    answered = [call for call in calls if call.outcome is Outcome.OK]
    times = by_symbol(((symbol, call.ended.timestamp()) for call in answered for symbol in call.subjects), weights)
    end = max(call.at for call in calls).timestamp()
    begin = start.timestamp()
    ages = {symbol: observed(begin, times[symbol], begin + warm.total_seconds(), end) / 60 for symbol in weights}
    floats = {symbol: float(weight) for symbol, weight in weights.items()}
    return read_weighted(floats, ages) / lower_bound(list(floats.values()), per_minute)


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
    async with open_day(settings, START) as day:
        day.provider = knows_listed
        await list_symbols(day, [*weights, *(f"M{n:03}" for n in range(LENGTH // EACH))])
        await watch(day, weights)
        await quote(day, list(weights))
        *users, reader = await open_accounts(day, NEWCOMERS + 1)
        asked = dict[str, tuple[str, datetime]]()
        for n in range(LENGTH // EACH):
            day.plan(START + n * EACH + AFTER_ADDING, partial(_miss, day, reader, f"M{n:03}", asked))
        for minute in range(LENGTH // MINUTE):
            moment = START + minute * MINUTE
            day.plan(moment, partial(_add_nonsense, day, users[minute % NEWCOMERS], minute))
        await day.run(START + LENGTH)
        ratio = age_ratio(day.calls, weights, start=START, warm=WARM, per_minute=PER_MINUTE)
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
    async with open_day(settings, START) as day:
        await list_symbols(day, [*weights, *large, *(symbol for symbols in small for symbol in symbols)])
        await watch(day, weights)
        await quote(day, list(weights))
        importer, *others = await open_accounts(day, 1 + len(small))
        await day.run(START + (WARM if busy else timedelta()))
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
    while day.now < since + LONGEST:
        await day.run(day.now + timedelta(seconds=1))
        missing = set(wanted)
        for n, call in enumerate(day.calls[begun:], 1):
            missing -= set(call.subjects)
            if not missing:
                return n
    raise RuntimeError(f"expected {wanted} to be fetched within {LONGEST}, not all but {missing}")
