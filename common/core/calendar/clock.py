"""The market clock, which counts open seconds. It takes the sessions as a value.

Ages and lifetimes of quotes are differences on this clock, so a quote does not age while the market is closed.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import accumulate

Session = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions as (open, close) pairs, aware, UTC, in order, not overlapping. Without any the market never closes."""

    sessions: tuple[Session, ...] = ()
    _opens: tuple[datetime, ...] = field(init=False, repr=False, compare=False)
    _before: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lengths = ((close - opening).total_seconds() for opening, close in self.sessions)
        object.__setattr__(self, "_opens", tuple(opening for opening, _ in self.sessions))
        object.__setattr__(self, "_before", tuple(accumulate(lengths, initial=0.0)))

    def clock(self, now: datetime) -> float:
        """Open seconds from the calendar's first open to `now`; unix seconds where the market never closes."""
        if not self.sessions:
            return now.timestamp()
        index = bisect_right(self._opens, now)
        if index == 0:
            return 0.0
        opening, close = self.sessions[index - 1]
        return self._before[index - 1] + (min(now, close) - opening).total_seconds()

    def session(self, now: datetime) -> Session | None:
        """The session that `now` lies in: open <= now < close."""
        last = self.last_session(now)
        return last if last is not None and now < last[1] else None

    def last_session(self, now: datetime) -> Session | None:
        """The newest session that has opened."""
        index = bisect_right(self._opens, now)
        return self.sessions[index - 1] if index else None

    def next_open(self, now: datetime) -> datetime | None:
        index = bisect_right(self._opens, now)
        return self._opens[index] if index < len(self._opens) else None

    def last_closed(self, now: datetime) -> int | None:
        """How many sessions have closed by `now`; None before the first."""
        index = bisect_right(self._opens, now)
        closed = index - 1 if index and now < self.sessions[index - 1][1] else index
        return closed or None

    def sessions_until(self, day: date | None) -> int:
        """The number of sessions up to and including a trading day. A session's day is that of its open, in UTC."""
        return 0 if day is None else bisect_right(self._opens, day, key=lambda opening: opening.date())

    def clock_at_close(self, sessions: int) -> float:
        """The market clock at the close of the session with this number, counted from 1."""
        return self._before[sessions]

    def is_open(self, now: datetime) -> bool:
        return not self.sessions or self.session(now) is not None


ALWAYS = Calendar()


def fresh_until(calendar: Calendar, fetched_at: datetime, ttl: timedelta, lag: timedelta) -> datetime:
    """When a quote stops being fresh: within a session after its TTL, and at the close at the latest.

    A quote fetched `lag` or more after the close has the final price: it is fresh until the next open.
    """
    if not calendar.sessions:
        return fetched_at + ttl
    session = calendar.session(fetched_at) or calendar.session(fetched_at - lag)
    if session is not None:
        return min(fetched_at + ttl, max(session[1], fetched_at))
    return calendar.next_open(fetched_at) or fetched_at + ttl
