"""How long the first quote of a symbol takes at 5 calls a minute, while 100 others are kept fresh."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import fmean, quantiles

from bench.virtual import MINUTE, Day, open_day, trades_last, watch
from common.core.budget.staleness import zipf
from common.core.models import CallClass, Function
from common.process.settings import Settings
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire

LIMITS = "5/1min"
BACKGROUND = 100  # symbols
HOURS = 12
START = datetime(2026, 3, 2, tzinfo=UTC)
WARM = timedelta(minutes=10)
STAY = timedelta(minutes=10)  # in the queue; longer than any wait
LATENCY = 0.3, 0.3  # seconds from the grant to the response, at least and at most


@dataclass(frozen=True, slots=True)
class Misses:
    """How long each took, in seconds."""

    waits: Sequence[float]

    @property
    def mean(self) -> float:
        return fmean(self.waits)

    @property
    def p95(self) -> float:
        return quantiles(self.waits, n=20)[-1]


def once_a_minute(chance: random.Random) -> Iterator[datetime]:
    """One miss in every minute, at a random point of it."""
    for minute in range(60 * HOURS):
        yield START + WARM + minute * MINUTE + chance.random() * MINUTE


def poisson(chance: random.Random) -> Iterator[datetime]:
    """One miss a minute on average, at any time: some come together."""
    at = START + WARM
    while at < START + WARM + timedelta(hours=HOURS):
        at += chance.expovariate(1) * MINUTE
        yield at


async def measure(settings: Settings, arrivals: Callable[[random.Random], Iterator[datetime]]) -> Misses:
    """Hours of misses; `RuntimeError` if one was never answered."""
    watchers = {f"SIM{rank:04}": round(weight) for rank, weight in enumerate(zipf(BACKGROUND), 1)}
    joined = {f"MISS{n}": moment for n, moment in enumerate(arrivals(random.Random(3)))}  # nosec B311
    async with open_day(settings, START) as day:
        day.trading_day, day.latency = trades_last, LATENCY
        await watch(day, watchers)
        for symbol, moment in joined.items():
            day.plan(moment, partial(_miss, day, symbol))
        await day.run(max(joined.values()) + STAY)
    answered = {symbol: call.ended for call in reversed(day.calls) for symbol in call.subjects}
    if missing := joined.keys() - answered.keys():
        raise RuntimeError(f"expected every miss to be answered within ten minutes, not {len(missing)} never")
    return Misses([(answered[symbol] - moment).total_seconds() for symbol, moment in joined.items()])


async def _miss(day: Day, symbol: str) -> None:
    async with acquire(day.resources.db) as connection:
        await enqueue(connection, day.resources.budget, Function.QUOTE, [symbol], CallClass.USER, ttl=STAY)
    day.wake()


def ideal() -> tuple[float, float]:
    """Mean and p95 in seconds if a slot came free every fifth of a minute (and of the latency) and the eldest miss always took it."""
    chance, latency = random.Random(4), LATENCY[0]  # nosec B311
    apart = (60 + latency) / 5
    arrival = taken = 0.0
    waits = []
    for _ in range(60_000):
        arrival += chance.expovariate(1 / 60)
        taken = max(math.ceil(arrival / apart) * apart, taken + apart)
        waits.append(taken - arrival + latency)
    return fmean(waits), quantiles(waits, n=20)[-1]
