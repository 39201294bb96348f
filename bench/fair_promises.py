"""What a promise is worth: who comes back exactly when told, and when stale quotes are refreshed, against what was told."""

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from statistics import fmean, median, quantiles
from typing import Any

from bench.fair_day import MINUTE, Day, open_day
from bench.fair_judge import over_limit
from bench.fair_lists import crowd
from bench.fair_people import list_symbols, open_accounts, quote, watch
from bench.fair_promised import Reader, Seen, Told, people
from common.core.limits import DAY
from common.core.provider.outcomes import Hold
from common.process.settings import Settings
from common.store.budget import gate, ledger
from common.store.connection.pool import transaction

OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)  # Monday's open
START = OPEN + timedelta(minutes=30)
BURST, EACH = 30, 3  # symbols, of one account
BURSTS, APART = 6, timedelta(minutes=20, seconds=7)
HOLD = timedelta(minutes=10)
DAYS, PER_DAY = 2, 12  # a day's calls are spent; then so many first quotes are asked for
WARM, LENGTH = timedelta(minutes=20), timedelta(hours=2, minutes=30)
MISSES = 5 / 3 / 60  # a second: a third of the calls


@dataclass(frozen=True, slots=True)
class Promises:
    """Of those who were told to come back: was it `kept`, and `ratios` of the time that was told to the time that it took. `errors` of what
    was said of stale quotes, in parts of the lead. `refused`: 429."""

    kept: tuple[bool, ...]
    ratios: tuple[float, ...]
    errors: tuple[float, ...]
    refused: int
    over: int


def _judge(day: Day, told: list[Told], seen: list[Seen], refused: int) -> Promises:
    answered: dict[str, list[datetime]] = {}
    for call in day.calls:
        for symbol in call.subjects:
            answered.setdefault(symbol, []).append(call.ended)
    ratios = tuple(
        each.after / (at - each.at).total_seconds()
        for each in told
        if (at := _first(answered, each.symbol, each.at)) is not None
    )
    errors = tuple(
        abs((at - one.promised) / (one.promised - one.at))
        for one in seen
        if (at := _first(answered, one.symbol, one.at)) is not None
    )
    kept = tuple(each.kept for each in told if each.kept is not None)
    return Promises(kept, ratios, errors, refused, over_limit(day.resources.settings.limits, day.calls))


def _first(answered: dict[str, list[datetime]], symbol: str, after: datetime) -> datetime | None:
    return next((ended for ended in answered.get(symbol, ()) if ended > after), None)


async def measure_bursts(settings: Settings) -> Promises:
    """Thirty symbols that nobody has asked for, at once, of ten accounts; again and again, beside fifty watched ones."""
    weights = crowd()
    cold = [[f"B{burst}N{n:02}" for n in range(BURST)] for burst in range(BURSTS)]
    async with open_day(settings, OPEN) as day:
        await list_symbols(day, [*weights, *(symbol for symbols in cold for symbol in symbols)])
        await watch(day, weights)
        await quote(day, list(weights))
        with people(day, await open_accounts(day, BURST // EACH)) as crowd_:
            for burst, symbols in enumerate(cold):
                for n, symbol in enumerate(symbols):
                    account = crowd_.accounts[n // EACH]
                    day.plan(START + burst * APART, partial(crowd_.ask, symbol, account))
            await day.run(START + BURSTS * APART)
            return _judge(day, crowd_.told, [], crowd_.refused)


async def measure_holds(settings: Settings) -> Promises:
    """An operator holds all calls for ten minutes; meanwhile first quotes are asked for."""
    weights = crowd()
    cold = [[f"H{hold}N{n}" for n in range(9)] for hold in range(BURSTS)]
    async with open_day(settings, OPEN) as day:
        await list_symbols(day, [*weights, *(symbol for symbols in cold for symbol in symbols)])
        await watch(day, weights)
        await quote(day, list(weights))
        with people(day, await open_accounts(day, 9)) as crowd_:
            for hold, symbols in enumerate(cold):
                begins = START + hold * APART
                day.plan(begins, partial(_hold, day))
                for n, symbol in enumerate(symbols):
                    day.plan(begins + n * MINUTE, partial(crowd_.ask, symbol, crowd_.accounts[n]))
            await day.run(START + BURSTS * APART)
            return _judge(day, crowd_.told, [], crowd_.refused)


async def _hold(day: Day) -> None:
    async with transaction(day.resources.db) as connection:
        until = await ledger.lock_ledger(connection) + HOLD
        await gate.upsert_hold(connection, day.resources.budget.account, Hold(until, "operator", probing=False))


async def measure_spent_days(settings: Settings) -> Promises:
    """A free key whose day is spent, each afternoon; then twelve accounts ask for a first quote each, some minutes apart."""
    cold = [[f"D{n}N{m:02}" for m in range(2 * PER_DAY)] for n in range(DAYS)]
    async with open_day(settings, START) as day:
        await list_symbols(day, [symbol for symbols in cold for symbol in symbols])
        with people(day, await open_accounts(day, PER_DAY)) as crowd_:
            for n, symbols in enumerate(cold):
                for m, symbol in enumerate(symbols):
                    account = crowd_.accounts[m % PER_DAY]
                    day.plan(START + n * DAY + m * 7 * MINUTE, partial(crowd_.ask, symbol, account))
            await day.run(START + (DAYS + 2) * DAY)
            return _judge(day, crowd_.told, [], crowd_.refused)


async def measure_session(settings: Settings, *, misses: float) -> Promises:
    """A session of two hours and a half with fifty watched symbols; `misses` a second of symbols that nobody has asked for."""
    weights, chance = crowd(), random.Random(11)  # nosec B311
    moments: list[datetime] = []
    at = OPEN + WARM
    while misses and (at := at + timedelta(seconds=chance.expovariate(misses))) < OPEN + LENGTH:
        moments.append(at)
    async with open_day(settings, OPEN) as day:
        await list_symbols(day, [*weights, *(f"M{n:04}" for n in range(len(moments)))])
        await watch(day, weights)
        await quote(day, list(weights))
        reader = Reader(day, list(weights))
        day.plan(OPEN, reader.keep)
        day.plan(OPEN + 2 * WARM, reader.read)
        with people(day, await open_accounts(day, 40)) as crowd_:
            for n, moment in zip(count(), moments, strict=False):
                account = chance.choice(crowd_.accounts)
                day.plan(moment, partial(crowd_.ask, f"M{n:04}", account))
            await day.run(OPEN + LENGTH)
            return _judge(day, crowd_.told, reader.seen, crowd_.refused)


SESSIONS: Mapping[str, Callable[[Settings], Coroutine[Any, Any, Promises]]] = {
    "promises_quiet": partial(measure_session, misses=0.0),
    "promises_misses": partial(measure_session, misses=MISSES),
    "promises_bursts": measure_bursts,
    "promises_holds": measure_holds,
}
TOLD = ("promises_bursts", "promises_spent", "promises_holds", "promises_misses")


def show(found: Mapping[str, Any]) -> None:
    for name in TOLD:
        seen = found[name]
        ratio = f"{median(seen.ratios):.2f}" if seen.ratios else "-"
        print(
            f"{name.replace('_', ', ')}: {sum(seen.kept)} of {len(seen.kept)} who came back when told were answered; told / true {ratio};"
            f" {seen.refused} were refused"
        )


def figures(found: Mapping[str, Any]) -> dict[str, object]:
    """The worst scene's part of those who were answered, the worst median of told / true, and [median, p95] of the errors."""
    return {
        "retry_after_kept": round(min(fmean(found[name].kept) for name in TOLD), 3),
        "retry_after_told_to_true": round(max(median(found[name].ratios) for name in TOLD), 2),
        "next_refresh_error": {
            "undisturbed": _spread(found["promises_quiet"].errors),
            "with_misses": _spread(found["promises_misses"].errors),
        },
    }


def _spread(errors: Sequence[float]) -> list[float]:
    return [round(median(errors), 3), round(quantiles(errors, n=20)[-1], 3)]
