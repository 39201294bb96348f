"""The days on which New York trades, and the time for which each day stands. It knows no hours: the simulated market never sleeps.

A session runs from its own midnight in New York to the next trading day's midnight, so that Friday's price still moves on a Sunday.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

NEW_YORK = ZoneInfo("America/New_York")
_CLOSED = holidays.financial_holidays("NYSE")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day and the seconds since 1970 for which it is the latest one: `start` inclusive, `end` exclusive."""

    day: date
    start: int
    end: int


def is_trading_day(day: date) -> bool:
    return day.weekday() < 5 and day not in _CLOSED


@lru_cache(maxsize=4096)
def trading_day_before(day: date) -> date:
    day -= _DAY
    while not is_trading_day(day):
        day -= _DAY
    return day


@lru_cache(maxsize=4096)
def session_on(day: date) -> Session:
    """The session of a trading day."""
    after = day + _DAY
    while not is_trading_day(after):
        after += _DAY
    return Session(day, _midnight(day), _midnight(after))


def session_at(now: datetime) -> Session:
    """The session that stands at `now`."""
    return _session_standing_on(now.astimezone(NEW_YORK).date())


@lru_cache(maxsize=4096)
def _session_standing_on(day: date) -> Session:
    return session_on(day if is_trading_day(day) else trading_day_before(day))


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp())
