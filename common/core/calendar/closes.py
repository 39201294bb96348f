"""When a price is final, and when it is behind. The provider gives a session's final price some time after the close, its lag.

A quote has the close of a session if it was fetched at or after close + lag and its trading day is that session's or a later one.
"""

from datetime import UTC, date, datetime, time, timedelta

from common.core.calendar.clock import Calendar

# From the close on: the closing auction, and the delay of the data.
LAG = {"realtime": timedelta(minutes=5), "delayed": timedelta(minutes=20), "end_of_day": timedelta(hours=1)}
# From the open on: when prices are of the day that has begun.
DELAY = {"realtime": timedelta(), "delayed": LAG["delayed"]}
FINAL = 0.001  # seconds of the market's clock by which a final price is younger than one that was fetched at the close itself
MAX_DAYS_CLOSED = timedelta(days=7)  # between two trading days of an exchange whose calendar is not known


def closes_out(calendar: Calendar, now: datetime, data: str) -> int:
    """How many sessions have a final price by `now`."""
    return calendar.last_closed(now - LAG[data]) or 0


def behind_from(calendar: Calendar, day: date, data: str) -> datetime | None:
    """When a price of this trading day is behind: the next session has begun, or where data are end-of-day its close is out.

    None: the calendar ends before.
    """
    if not calendar.sessions:
        return datetime.combine(day + MAX_DAYS_CLOSED, time(), UTC)
    following = calendar.sessions[calendar.sessions_until(day) :]
    if not following:
        return None
    opening, close = following[0]
    return close + LAG[data] if data == "end_of_day" else opening + DELAY[data]


def required_day(calendar: Calendar, now: datetime, data: str) -> date | None:
    """The trading day that a price must have at `now` not to be behind; None: any day will do."""
    if not calendar.sessions:
        return (now - MAX_DAYS_CLOSED).astimezone(UTC).date() + timedelta(days=1)
    if data == "end_of_day":
        out = closes_out(calendar, now, data)
        return calendar.sessions[out - 1][0].date() if out else None
    last = calendar.last_session(now - DELAY[data])
    return None if last is None else last[0].date()


def final_from(calendar: Calendar, day: date, data: str) -> datetime | None:
    """From when on a price of this trading day that is fetched is the final one; None: the day is of no session that is known."""
    known = calendar.sessions_until(day)
    return calendar.sessions[known - 1][1] + LAG[data] if known else None


def price_clock(calendar: Calendar, now: datetime, data: str) -> float:
    """The market's clock that a price of `now` is of. It goes on a little as a close comes out, so that a price which was fetched before
    is older than the final one."""
    return calendar.clock(now) + FINAL * closes_out(calendar, now, data)


def answered_clock(
    calendar: Calendar, day: date, fetched_at: datetime, data: str, *, newest: date | None = None
) -> float | None:
    """The market's clock that an answer is of. None: it lacks the close that is out, and the symbol stays due.

    While the market is open an answer of an older day counts too: there may have been no trade yet. Where prices are end-of-day a close is
    out once the provider has it for anybody: `newest` is the newest trading day of all quotes.
    """
    if not calendar.sessions:
        return fetched_at.timestamp()
    out, known = closes_out(calendar, fetched_at, data), calendar.sessions_until(day)
    if data == "end_of_day":
        lacks = known < min(out, calendar.sessions_until(newest))
        return None if lacks else calendar.clock_at_close(min(known, out))
    if known < out and not calendar.is_open(fetched_at):
        return None
    return price_clock(calendar, fetched_at, data)
