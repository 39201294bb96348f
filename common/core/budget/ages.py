"""Ages of all quotes at once: what an SQL statement over all symbols needs of the calendar, and what its sums mean.

A quote's age is the market-clock time since its fetch; it is stale as in common/core/quotes/freshness.py.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt

from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG, final_from, required_day

SESSIONS = 300  # a quote older than this counts as this old
INSTANT = timedelta(microseconds=1)
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Marks:
    """The last sessions up to a moment: their opens, closes, and the market clock at each open. `clock`: that of the moment."""

    clock: float
    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    clocks: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A quote is stale if fetched at or before `fetched`, or if its trading day is before `day`."""

    fetched: datetime | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over symbols: of weights and of their square roots; over those with a quote: of weights, and of weight times age in seconds."""

    weights: float
    roots: float
    quoted_weights: float
    weighted_ages: float

    @property
    def mean_age(self) -> float | None:
        """The read-weighted mean age in seconds; None without quotes."""
        return self.weighted_ages / self.quoted_weights if self.quoted_weights else None

    def bound(self, per_minute: float) -> float | None:
        """`staleness.lower_bound` from sums, in seconds; None without calls or weights."""
        return 30 * self.roots**2 / (per_minute * self.weights) if per_minute and self.weights else None

    def target(self, weight: float, per_minute: float) -> float | None:
        """`staleness.mean_age` of one symbol from sums, in seconds; None without calls."""
        return 30 * self.roots / (per_minute * sqrt(weight)) if per_minute else None


def marks(calendar: Calendar, now: datetime) -> Marks:
    """The marks of a moment. A market that never closes has one session, since 1970."""
    if not calendar.sessions:
        return Marks(now.timestamp(), EVER[:1], EVER[1:], (0.0,))
    begun = [session for session in calendar.sessions if session[0] <= now][-SESSIONS:]
    return Marks(
        calendar.clock(now),
        tuple(opening for opening, _ in begun),
        tuple(close for _, close in begun),
        tuple(calendar.clock(opening) for opening, _ in begun),
    )


def deadline(calendar: Calendar, now: datetime, *, ttl: timedelta, data: str) -> Deadline:
    """Which quotes are stale at `now`."""
    day = required_day(calendar, now, data)
    if not calendar.sessions:
        return Deadline(now - ttl, day)
    if data == "end_of_day":
        final = None if day is None else final_from(calendar, day, data)
    elif (last := calendar.last_session(now)) is None:
        return Deadline()
    elif now < last[1]:
        return Deadline(max(last[0] - INSTANT, now - ttl), day)
    else:
        final = last[1] + LAG[data]
    return Deadline(None if final is None else final - INSTANT, day)
