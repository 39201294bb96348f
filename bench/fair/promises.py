"""How true the announced times are: whether a retry after `Retry-After` is answered, and when stale quotes are refreshed."""

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from statistics import fmean, median, quantiles
from typing import Any

from bench.fair.clients import Clients, Expectation, Reader
from bench.fair.market import OPEN, begin_standard, crowd
from bench.fair.windows import over_limit
from bench.virtual import MINUTE, Day, open_day
from common.core.limits import DAY
from common.core.provider.outcomes import Hold
from common.process.settings import Settings
from common.store.budget import gate, ledger
from common.store.connection.pool import transaction

START = OPEN + timedelta(minutes=30)
BURST, BURST_EACH = 30, 3  # symbols, all and of one account
BURSTS, APART = 6, timedelta(minutes=20, seconds=7)
HOLD = timedelta(minutes=10)
HELD_UP = 9  # accounts that ask during a hold
DAYS, PER_DAY = 2, 12  # accounts, of which each asks for two first quotes a day
WARM, LENGTH = timedelta(minutes=20), timedelta(hours=2, minutes=30)
MISSES = 5 / 3 / 60  # a second: a third of the calls


@dataclass(frozen=True, slots=True)
class Request:
    """An account asks for the first quote of a symbol; `account` counts from 0."""

    at: datetime
    symbol: str
    account: int


@dataclass(frozen=True, slots=True)
class Promises:
    """Of each `Retry-After`: whether it was `kept`, and the `ratios` of the announced time to the time it took. `errors` of the announced
    refreshes, in parts of the lead. `refused`: answers 429."""

    kept: tuple[bool, ...]
    ratios: tuple[float, ...]
    errors: tuple[float, ...]
    refused: int
    over: int


def _judge(day: Day, clients: Clients, seen: Sequence[Expectation]) -> Promises:
    answered: dict[str, list[datetime]] = {}
    for call in day.calls:
        for symbol in call.subjects:
            answered.setdefault(symbol, []).append(call.ended)
    ratios = tuple(
        each.after / (at - each.at).total_seconds()
        for each in clients.promises
        if (at := _first(answered, each.symbol, each.at)) is not None
    )
    errors = tuple(
        abs((at - one.promised) / (one.promised - one.at))
        for one in seen
        if (at := _first(answered, one.symbol, one.at)) is not None
    )
    kept = tuple(each.kept for each in clients.promises if each.kept is not None)
    return Promises(kept, ratios, errors, clients.refused, over_limit(day.resources.settings.limits, day.calls))


def _first(answered: dict[str, list[datetime]], symbol: str, after: datetime) -> datetime | None:
    return next((ended for ended in answered.get(symbol, ()) if ended > after), None)


async def _play(
    settings: Settings,
    *,
    start: datetime,
    end: datetime,
    requests: Sequence[Request],
    accounts: int,
    watchers: Mapping[str, int],
    holds: Sequence[datetime] = (),
    reads_from: datetime | None = None,
) -> Promises:
    """Requests for first quotes beside watched symbols, with an operator's `holds`; a client reads stale quotes from `reads_from` on."""
    async with open_day(settings, start) as day:
        listed = [request.symbol for request in requests]
        users = await begin_standard(day, watchers, listed=listed, accounts=accounts)
        clients, reader = Clients(day), Reader(day, list(watchers))
        if reads_from is not None:
            day.plan(start, reader.keep)
            day.plan(reads_from, reader.read)
        for moment in holds:
            day.plan(moment, partial(_hold, day))
        for request in requests:
            day.plan(request.at, partial(clients.ask, request.symbol, users[request.account]))
        await day.run(end)
        return _judge(day, clients, reader.seen)


async def measure_bursts(settings: Settings) -> Promises:
    """Thirty symbols without a quote, requested at once by ten accounts; six times, beside fifty watched ones."""
    requests = [
        Request(START + burst * APART, f"B{burst}N{n:02}", n // BURST_EACH)
        for burst in range(BURSTS)
        for n in range(BURST)
    ]
    end = START + BURSTS * APART
    return await _play(settings, start=OPEN, end=end, requests=requests, accounts=BURST // BURST_EACH, watchers=crowd())


async def measure_holds(settings: Settings) -> Promises:
    """An operator holds all calls for ten minutes; meanwhile nine accounts ask for a first quote each."""
    holds = [START + n * APART for n in range(BURSTS)]
    requests = [
        Request(begins + n * MINUTE, f"H{hold}N{n}", n) for hold, begins in enumerate(holds) for n in range(HELD_UP)
    ]
    end = START + BURSTS * APART
    return await _play(
        settings, start=OPEN, end=end, requests=requests, accounts=HELD_UP, watchers=crowd(), holds=holds
    )


async def _hold(day: Day) -> None:
    async with transaction(day.resources.db) as connection:
        until = await ledger.lock_ledger(connection) + HOLD
        await gate.upsert_hold(connection, day.resources.budget.account, Hold(until, "operator", probing=False))


async def measure_spent_days(settings: Settings) -> Promises:
    """A free key's day is spent, twice; twelve accounts ask for two first quotes each, seven minutes apart."""
    requests = [
        Request(START + n * DAY + m * 7 * MINUTE, f"D{n}N{m:02}", m % PER_DAY)
        for n in range(DAYS)
        for m in range(2 * PER_DAY)
    ]
    end = START + (DAYS + 2) * DAY
    return await _play(settings, start=START, end=end, requests=requests, accounts=PER_DAY, watchers={})


async def measure_session(settings: Settings, *, misses: float) -> Promises:
    """A session of two hours and a half with fifty watched symbols; `misses` a second of symbols that nobody has asked for."""
    chance = random.Random(11)  # nosec B311
    end, at = OPEN + LENGTH, OPEN + WARM
    moments: list[datetime] = []
    while misses and (at := at + timedelta(seconds=chance.expovariate(misses))) < end:
        moments.append(at)
    requests = [Request(moment, f"M{n:04}", chance.randrange(40)) for n, moment in enumerate(moments)]
    return await _play(
        settings, start=OPEN, end=end, requests=requests, accounts=40, watchers=crowd(), reads_from=OPEN + 2 * WARM
    )


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
