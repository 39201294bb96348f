"""The mean age of a price when it is read: the lower bound of any policy, and what common policies reach. In minutes.

With weights w and B refreshes a minute the read-weighted mean age is at least (sum sqrt w)**2 / (2 B sum w), reached where each
symbol is refreshed in proportion to sqrt(w): the algebra of Kadota et al., ToN 26(6), 2018. Round robin reaches N / 2B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import fsum, sqrt

from common.core.budget.policy import Policy, sweep_share
from common.core.limits import Rule

SESSION = timedelta(hours=6, minutes=30)


def lower_bound(weights: Sequence[float], per_minute: float) -> float:
    """The lowest read-weighted mean age that any order of refreshes can reach."""
    return fsum(map(sqrt, weights)) ** 2 / (2 * per_minute * fsum(weights))


def round_robin(weights: Sequence[float], per_minute: float) -> float:
    return len(weights) / (2 * per_minute)


def mean_age(weight: float, weights: Sequence[float], per_minute: float) -> float:
    """The mean age of one symbol under the square-root law: half the time between two of its refreshes."""
    return fsum(map(sqrt, weights)) / (2 * per_minute * sqrt(weight))


def zipf(symbols: int, exponent: float = 1.0) -> list[float]:
    """Zipf weights of symbols by rank; the last is 1."""
    return [(symbols / rank) ** exponent for rank in range(1, symbols + 1)]


def session_rate(limits: tuple[Rule, ...], symbols: int, interactive_share: float) -> float:
    """Background calls a minute in a regular session: the pace of the limits, or what the quota leaves."""
    policy = Policy(limits, "realtime", interactive_share)
    pace = 60 / policy.gap.total_seconds()
    if (quota := policy.quota) is None:
        return pace
    days = quota.period / timedelta(days=1)
    spare = quota.calls / days * (1 - interactive_share) - sweep_share(quota.calls, symbols) / days
    return min(pace, max(spare, 0.0) / (SESSION / timedelta(minutes=1)))


@dataclass(frozen=True, slots=True)
class WeightClass:
    """The ranks `first` to `last`, their share of all reads, and the mean age of their prices in minutes."""

    name: str
    first: int
    last: int
    reads: float
    age: float


def weight_classes(weights: Sequence[float], per_minute: float) -> list[WeightClass]:
    """The classes of the heaviest twentieth, the next fifth, and the rest."""
    bounds = sorted({0, max(1, len(weights) // 20), max(1, len(weights) // 4), len(weights)})
    names = ("most wanted", "wanted", "rest")
    total = fsum(weights)
    return [
        WeightClass(name, low + 1, high, fsum(part) / total, _weighted_age(part, weights, per_minute))
        for name, low, high in zip(names, bounds, bounds[1:], strict=False)
        if (part := weights[low:high])
    ]


def _weighted_age(part: Sequence[float], weights: Sequence[float], per_minute: float) -> float:
    """The weighted mean of `mean_age`, in linear time."""
    return fsum(map(sqrt, part)) * fsum(map(sqrt, weights)) / (2 * per_minute * fsum(part))
