"""Whether a chart has anything new to ask for. It knows when closes come out; it fetches nothing."""

from datetime import date, datetime, timedelta

from common.core.closes import LAG
from common.core.market_time import Calendar


def bars_due(
    calendar: Calendar,
    data: str,
    fetched_at: datetime | None,
    now: datetime,
    ttl: timedelta,
    *,
    newest: date | None = None,
) -> bool:
    """Whether a fetch at `now` can bring what the one at `fetched_at` (None: there was none) did not.

    A chart that was fetched since the last close came out holds it; while the market is open its newest row is a partial day, due
    again after `ttl` of market time. End-of-day data have no partial day, but the hour of their close is not known: where `newest`,
    the chart's last day, lacks it, it is asked for once more when the market opens.
    """
    if fetched_at is None:
        return True
    if not calendar.sessions:
        return now - fetched_at >= ttl
    closed = calendar.last_closed(now - LAG[data]) or 0
    if closed and fetched_at < calendar.sessions[closed - 1][1] + LAG[data]:
        return True
    if data != "end_of_day":
        return calendar.clock(now) - calendar.clock(fetched_at) >= ttl.total_seconds()
    last = calendar.last_session(now)
    return newest is not None and calendar.sessions_until(newest) < closed and last is not None and fetched_at < last[0]
