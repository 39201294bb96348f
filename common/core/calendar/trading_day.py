"""The latest day that an exchange can have traded, by its time zone only."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
EASTERNMOST = timedelta(hours=14)  # from UTC: where a day begins first
ABROAD = r"^.+\.[A-Z]+$"  # of a symbol; PostgreSQL reads it alike


def is_abroad(symbol: str) -> bool:
    """Whether a symbol names a foreign exchange: `TSCO.LON`, `600104.SHH`. All others trade in New York, `GAB-P-G:BAT` too."""
    return re.match(ABROAD, symbol) is not None


def latest_day(symbol: str, now: datetime) -> date:
    """The latest possible trading day: today in New York; for a foreign exchange, whose zone is unknown, the latest on earth."""
    return (now.astimezone(UTC) + EASTERNMOST if is_abroad(symbol) else now.astimezone(NEW_YORK)).date()
