"""The NYSE's regular sessions as a `Calendar`: holidays, half days, New York time. It reads no clock."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import holidays
from holidays.constants import HALF_DAY, PUBLIC

from common.core.calendar.clock import ALWAYS, Calendar, Session
from common.core.calendar.trading_day import NEW_YORK

FIRST_YEAR = 2024
OPEN, CLOSE, EARLY_CLOSE = time(9, 30), time(16), time(13)


def open_calendar(market_hours: str, now: datetime) -> Calendar:
    """The calendar for the setting `MARKET_HOURS`, good from 2024 to the end of the year after `now`."""
    return ALWAYS if market_hours == "always" else nyse(now.year + 1)


@lru_cache(maxsize=4)
def nyse(last_year: int) -> Calendar:
    """Regular sessions from 2024 to the end of `last_year`. The first year is fixed because the market clock counts from there."""
    years = range(FIRST_YEAR, last_year + 1)
    closed = holidays.financial_holidays("NYSE", years=years, categories=PUBLIC)
    half = holidays.financial_holidays("NYSE", years=years, categories=HALF_DAY)
    days = (date(FIRST_YEAR, 1, 1) + timedelta(days=n) for n in range((last_year - FIRST_YEAR + 1) * 366))
    return Calendar(
        tuple(
            _session(day, EARLY_CLOSE if day in half else CLOSE)
            for day in days
            if day.year <= last_year and day.weekday() < 5 and day not in closed
        )
    )


def can_trade(day: date, *, abroad: bool) -> bool:
    """Whether an exchange can have traded that day. For exchanges abroad only weekends are known."""
    return day.weekday() < 5 and (abroad or day not in _holidays(day.year))


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.financial_holidays("NYSE", years=year, categories=PUBLIC))


def _session(day: date, close: time) -> Session:
    return _at(day, OPEN), _at(day, close)


def _at(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, NEW_YORK).astimezone(UTC)
