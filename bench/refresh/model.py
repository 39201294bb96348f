"""The policies without any machinery: one call a time unit, no failures, exact times. It says what the order alone is worth."""

import random
from math import fsum

from common.core.budget.staleness import lower_bound, zipf

SIZES = (20, 100, 500, 2000)

# Next is the highest weight**power * age; w*age**2 is the order of sqrt(w)*age. Each refreshes in proportion to weight**power.
POLICIES = {"oldest-first": 0.0, "w*age": 1.0, "w*age^2 (ours)": 0.5}


def ratio_round_robin(symbols: int) -> float:
    """Every symbol every N units: exact, whatever the weights."""
    return symbols / 2 / lower_bound(zipf(symbols), 1)


def ratio(power: float, symbols: int) -> float:
    """Read-weighted age over the bound, measured for the longest time between two refreshes of one symbol, after half of it."""
    weights = zipf(symbols)
    speeds = [weight**power for weight in weights]
    longest = fsum(speeds) / min(speeds)
    chance = random.Random(1)  # nosec B311
    last = [-chance.uniform(0, fsum(speeds) / speed) for speed in speeds]
    start, end = int(longest / 2), int(longest * 1.5) + 1
    area = 0.0
    for now in range(end):
        index = [speed * (now - at) for speed, at in zip(speeds, last, strict=True)]
        top = index.index(max(index))
        if now >= start:
            area += _area(weights[top], now - last[top], max(0.0, start - last[top]))
        last[top] = now
    area += fsum(_area(weight, end - at, max(0.0, start - at)) for weight, at in zip(weights, last, strict=True))
    return area / (end - start) / fsum(weights) / lower_bound(weights, 1)


def _area(weight: float, old: float, young: float) -> float:
    """What one symbol's age adds while it grows from `young` to `old`."""
    return weight * (old * old - young * young) / 2
