"""When a price is final, and when it is behind. The provider publishes a session's final price a lag after the close.

A quote has a session's close if it was fetched at or after close + lag and its trading day is that session's or later.
"""

from datetime import UTC, date, datetime, time, timedelta

from common.core.calendar.clock import Calendar

# From the close until its final price: the closing auction and the data's delay.
LAG = {"realtime": timedelta(minutes=5), "delayed": timedelta(minutes=20), "end_of_day": timedelta(hours=1)}
# From the open until prices are of the new day.
DELAY = {"realtime": timedelta(), "delayed": LAG["delayed"]}
FINAL = 0.001  # market-clock seconds by which a final price is younger than one fetched at the close itself
MAX_DAYS_CLOSED = timedelta(days=7)  # the longest time between two trading days, where the calendar is unknown


def closes_out(calendar: Calendar, now: datetime, data: str) -> int:
    """The number of sessions whose final price is published by `now`."""
    return calendar.last_closed(now - LAG[data]) or 0


def behind_from(calendar: Calendar, day: date, data: str) -> datetime | None:
    """From when a price of this trading day is behind: from the next session's start, or with end-of-day data from its published close.

    None if the calendar ends before.
    """
    if not calendar.sessions:
        return datetime.combine(day + MAX_DAYS_CLOSED, time(), UTC)
    following = calendar.sessions[calendar.sessions_until(day) :]
    if not following:
        return None
    opening, close = following[0]
    return close + LAG[data] if data == "end_of_day" else opening + DELAY[data]


def required_day(calendar: Calendar, now: datetime, data: str) -> date | None:
    """The oldest trading day that is not behind at `now`; None if any day will do."""
    if not calendar.sessions:
        return (now - MAX_DAYS_CLOSED).astimezone(UTC).date() + timedelta(days=1)
    if data == "end_of_day":
        out = closes_out(calendar, now, data)
        return calendar.sessions[out - 1][0].date() if out else None
    last = calendar.last_session(now - DELAY[data])
    return None if last is None else last[0].date()


def final_from(calendar: Calendar, day: date, data: str) -> datetime | None:
    """From when a fetched price of this trading day is final; None if no known session is that early."""
    known = calendar.sessions_until(day)
    return calendar.sessions[known - 1][1] + LAG[data] if known else None


def price_clock(calendar: Calendar, now: datetime, data: str) -> float:
    """The market clock of a price fetched at `now`. It advances a little when a close is published, so that a price fetched before is older
    than the final one."""
    return calendar.clock(now) + FINAL * closes_out(calendar, now, data)


def answered_clock(
    calendar: Calendar, day: date, fetched_at: datetime, data: str, *, newest: date | None = None
) -> float | None:
    """The market clock of an answer. None if it lacks a published close, so that the symbol stays due.

    While the market is open an answer of an older day counts too: there may have been no trade yet. End-of-day closes are published once
    any quote has them: `newest` is the newest trading day of all quotes.
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
