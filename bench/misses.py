"""How long somebody waits who asks for a symbol that was never seen, at 5 calls a minute, while 100 others are kept fresh."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import fmean, quantiles

from bench.virtual import LATENCY, World, open_world
from common.core.budget.staleness import zipf
from common.core.models import CallClass, Function
from common.process.settings import Settings
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire

LIMITS = "5/1min"
BACKGROUND = 100  # symbols
MINUTE = timedelta(minutes=1)
HOURS = 12
START = datetime(2026, 3, 2, tzinfo=UTC)
WARM = timedelta(minutes=10)
STAY = timedelta(minutes=10)  # who waits asks again: his row does not expire
PATIENCE = timedelta(minutes=1)  # waits are exact: nobody but us changes the line


@dataclass(slots=True)
class Misses:
    """When each symbol was asked for, and how long it took, in seconds."""

    joined: dict[str, datetime] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    def answered(self, symbol: str, at: datetime) -> None:
        if (since := self.joined.pop(symbol, None)) is not None:
            self.waits.append((at - since).total_seconds())

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
    watched = {f"SIM{rank:04}": round(weight) for rank, weight in enumerate(zipf(BACKGROUND), 1)}
    misses = Misses()
    async with open_world(settings, watched, START) as world:
        await world.run_until(START + WARM, statement_timeout=PATIENCE, answered=misses.answered)
        for arrival in arrivals(random.Random(3)):  # nosec B311
            await world.run_until(arrival, statement_timeout=PATIENCE, answered=misses.answered)
            await _miss(world, misses)
        await world.run_until(world.now + STAY, statement_timeout=PATIENCE, answered=misses.answered)
    if misses.joined:
        raise RuntimeError(f"expected every miss to be answered within ten minutes, not {len(misses.joined)} never")
    return misses


async def _miss(world: World, misses: Misses) -> None:
    symbol = f"MISS{len(misses.joined) + len(misses.waits)}"
    async with acquire(world.resources.db) as connection:
        await enqueue(connection, world.resources.budget, Function.QUOTE, [symbol], CallClass.USER, ttl=STAY)
    misses.joined[symbol] = world.now


def ideal() -> tuple[float, float]:
    """Mean and p95 in seconds if a slot came free every fifth of a minute (and of the latency) and the eldest miss always took it."""
    chance, latency = random.Random(4), LATENCY.total_seconds()  # nosec B311
    apart = (60 + latency) / 5
    arrival = taken = 0.0
    waits = []
    for _ in range(60_000):
        arrival += chance.expovariate(1 / 60)
        taken = max(math.ceil(arrival / apart) * apart, taken + apart)
        waits.append(taken - arrival + latency)
    return fmean(waits), quantiles(waits, n=20)[-1]
