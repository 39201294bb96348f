"""Which symbol next, and when: the policy as values. The choice itself is made in SQL with what stands here.

Theory and figures: the square-root law says that refreshing the highest `weight * age**2` minimises the mean age of a price
as it is read (Kadota et al., ToN 26(6), 2018). Ages are on the market's clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.limits import Rule, slowest
from common.core.market_time import Calendar

OPEN_POWER = 2
CLOSING_POWER = 1
READS_HALF_LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """What background may do now: one call every `gap`; symbols ordered by weight * age**power at `clock` (open seconds).

    Power 0 leaves only symbols that have no quote at all.
    """

    gap: timedelta
    clock: float
    power: int


def turn(limits: tuple[Rule, ...], calendar: Calendar, now: datetime) -> Turn:
    """The policy at `now`: while the market is open the square-root law, after the close each symbol once by weight and age."""
    gap = timedelta(minutes=1 / slowest(limits).per_minute)
    return Turn(gap, calendar.clock(now), OPEN_POWER if calendar.is_open(now) else CLOSING_POWER)
