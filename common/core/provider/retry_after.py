"""The header `Retry-After`: seconds, or a date by the server's clock (RFC 9110, section 10.2.3)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from common.core.limits import DAY


def read_wait(text: str, now: datetime) -> timedelta | None:
    """How long to wait, from zero to a day; None if the header cannot be read. `now`: when the answer was sent."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]*)?", text):
        return _bounded(timedelta(seconds=min(float(text), DAY.total_seconds())))
    until = read_http_date(text)
    return None if until is None else _bounded(until - now)


def read_http_date(text: str) -> datetime | None:
    """A date in any of HTTP's three forms, aware, UTC; None if it cannot be read."""
    try:
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta()), DAY)
