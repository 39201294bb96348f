"""Which days an exchange can have traded by now: its calendar is not known here, its clock is."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
EASTERNMOST = timedelta(hours=14)  # of UTC: where on earth a day begins first
_ABROAD = re.compile(r".+\.[A-Z]+")


def is_abroad(symbol: str) -> bool:
    """Whether a symbol names its exchange: `TSCO.LON`, `600104.SHH`. What names none is traded in New York; so is `GAB-P-G:BAT`."""
    return _ABROAD.fullmatch(symbol) is not None


def latest_day(symbol: str, now: datetime) -> date:
    """The last day that a price can be of: New York's, or for another exchange, whose zone is not known, the latest on earth."""
    return (now.astimezone(UTC) + EASTERNMOST if is_abroad(symbol) else now.astimezone(NEW_YORK)).date()
