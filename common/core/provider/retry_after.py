"""The header `Retry-After`: seconds, or the time of an answer's clock. RFC 9110, section 10.2.3. It asks no clock."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from common.core.limits import DAY


def read_wait(text: str, now: datetime) -> timedelta | None:
    """How long to wait, from nothing to a day; None where the header says nothing that can be read. `now`: when the answer was sent."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]*)?", text):
        return _bounded(timedelta(seconds=min(float(text), DAY.total_seconds())))
    until = read_http_date(text)
    return None if until is None else _bounded(until - now)


def read_http_date(text: str) -> datetime | None:
    """A time in any of HTTP's three forms, aware."""
    try:
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta()), DAY)
