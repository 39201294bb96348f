"""How old prices were while they could be read, from the times at which they came. Pure; one unit of time throughout."""

import random
from collections.abc import Iterable, Mapping
from math import fsum

from common.core.budget.staleness import mean_age


def stationary(weights: Mapping[str, float], per_unit: float, chance: random.Random) -> dict[str, float]:
    """An age for each symbol as the square-root law leaves it: anything up to the time between two of its refreshes."""
    values = list(weights.values())
    return {symbol: chance.uniform(0, 2 * mean_age(weight, values, per_unit)) for symbol, weight in weights.items()}


def observed(last: float, arrivals: Iterable[float], start: float, end: float) -> float:
    """The mean over [start, end] of the time since the newest arrival; `last` came before all of them, in order."""
    area, since = 0.0, start
    for arrival in arrivals:
        if arrival >= end:
            break
        if arrival > start:
            area += _trapezoid(since - last, arrival - last)
            since = arrival
        last = arrival
    return (area + _trapezoid(since - last, end - last)) / (end - start)


def mean_read_age(
    weights: Mapping[str, float],
    responses: Iterable[tuple[str, float]],
    before: Mapping[str, float],
    start: float,
    end: float,
) -> float:
    """The mean age of a price as it is read in [start, end]: of each symbol's responses, the first of which was at `before`."""
    times: dict[str, list[float]] = {symbol: [] for symbol in weights}
    for symbol, at in responses:
        if symbol in times:
            times[symbol].append(at)
    ages = {symbol: observed(before[symbol], sorted(times[symbol]), start, end) for symbol in weights}
    return fsum(weight * ages[symbol] for symbol, weight in weights.items()) / fsum(weights.values())


def _trapezoid(young: float, old: float) -> float:
    return (old * old - young * young) / 2
