"""A chart as clients see it: its bars with the newest quote merged in, its freshness, and whether fetching it again is worthwhile.

Bars and quotes are merged only here.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from itertools import takewhile

from common.core.calendar.clock import Calendar, fresh_until
from common.core.calendar.closes import DELAY, LAG, behind_from, closes_out
from common.core.calendar.trading_day import is_abroad, latest_day
from common.core.models import Bar, Quote
from common.core.quotes.freshness import AHEAD, PROVIDER_BEHIND, Freshness
from common.core.quotes.outlook import Outlook, reason

RETRY_DELAY = timedelta(hours=1)  # after a fetch that lacked a published day; doubles with each further one


@dataclass(frozen=True, slots=True)
class Chart:
    """A symbol's bars, oldest first, at least one, all fetched at `fetched_at`, the ledger's time of the response."""

    symbol: str
    source: str
    bars: tuple[Bar, ...]
    fetched_at: datetime

    @property
    def newest(self) -> date:
        return self.bars[-1].day


@dataclass(frozen=True, slots=True)
class View:
    """A chart with the quote merged in. `as_of`: when the newest bar was fetched; `quoted`: whether that bar comes from the quote.

    `partial`: days whose close was not final yet when they were fetched.
    """

    bars: tuple[Bar, ...]
    partial: frozenset[date]
    as_of: datetime
    quoted: bool

    @property
    def is_whole(self) -> bool:
        """Whether every day but the newest has its final price."""
        return self.partial <= {self.bars[-1].day}


class Due(Enum):
    """What fetching a chart again would bring: a day that has closed, or a newer state of the current one."""

    CLOSED_DAY = "closed_day"
    RUNNING_DAY = "running_day"


def reconcile(chart: Chart, quote: Quote | None, calendar: Calendar, lag: timedelta) -> View:
    """Merge the quote into the chart: a newer quote of the newest bar's day updates that bar, one of a later day adds a bar.

    A quote older than the chart or of another source changes nothing. `lag`: how long after a close its price is final.
    """
    newest = None if quote is None else _quoted_bar(chart, quote, calendar)
    open_days = takewhile(
        lambda bar: not _is_final(calendar, chart.symbol, bar.day, chart.fetched_at, lag), reversed(chart.bars)
    )
    partial = {bar.day for bar in open_days}
    if quote is None or newest is None:
        return View(chart.bars, frozenset(partial), chart.fetched_at, quoted=False)
    others = chart.bars[:-1] if newest.day == chart.newest else chart.bars
    partial.discard(newest.day)
    if not _is_final(calendar, chart.symbol, newest.day, quote.fetched_at, lag):
        partial.add(newest.day)
    return View((*others, newest), frozenset(partial), quote.fetched_at, quoted=True)


def _quoted_bar(chart: Chart, quote: Quote, calendar: Calendar) -> Bar | None:
    """The newest bar according to the quote; None if the quote does not change the chart."""
    price, last = quote.price, chart.bars[-1]
    if quote.source != chart.source or quote.fetched_at <= chart.fetched_at or price.trading_day < last.day:
        return None
    if price.trading_day == last.day:
        highs = [last.high, price.price, *([] if price.high is None else [price.high])]
        lows = [last.low, price.price, *([] if price.low is None else [price.low])]
        volume = last.volume if price.volume is None else price.volume
        return Bar(last.day, last.open, max(highs), min(lows), price.price, volume)
    if price.open is None or price.high is None or price.low is None:
        return None
    if calendar.sessions and not is_abroad(chart.symbol) and _session_on(calendar, price.trading_day) is None:
        return None
    amounts = (price.open, price.high, price.low, price.price)
    return Bar(price.trading_day, price.open, max(amounts), min(amounts), price.price, price.volume)


def _is_final(calendar: Calendar, symbol: str, day: date, at: datetime, lag: timedelta) -> bool:
    """Whether a bar fetched at `at` is final. On a day without a known session: once the day is over."""
    close = _session_on(calendar, day)
    if close is not None:
        return at >= close + lag
    return latest_day(symbol, at) > day if calendar.sessions else _is_over(symbol, day, at)


def _is_over(symbol: str, day: date, now: datetime) -> bool:
    """Whether a day is over where the market never closes: once the next one begins, so Friday lasts over the weekend."""
    following = day + timedelta(days=max(1, 7 - day.weekday()) if day.weekday() >= 4 else 1)
    return latest_day(symbol, now) >= following


def _session_on(calendar: Calendar, day: date) -> datetime | None:
    """The close of a day's session; None if it has none."""
    index = calendar.sessions_until(day)
    if index == 0 or calendar.sessions[index - 1][0].date() != day:
        return None
    return calendar.sessions[index - 1][1]


def judge_chart(
    chart: Chart,
    view: View,
    quoted: Freshness | None,
    calendar: Calendar,
    now: datetime,
    *,
    data: str,
    ttl: timedelta,
    outlook: Outlook,
) -> Freshness:
    """A chart's freshness. It is fresh for its TTL; if its newest bar comes from the quote, also as long as the quote (`quoted`) is fresh.

    But it is stale if it lacks a published session, or lacks the current session's day although it was fetched after that session began.
    """
    covered = _sessions_covered(chart, view, calendar)
    until = _fresh_until(chart, view, calendar, covered, data, ttl)
    mending = quoted if view.is_whole else None  # the quote can complete only the newest day
    if view.quoted and mending is not None:
        until = max(until, mending.until)
    if chart.fetched_at > now + AHEAD:
        until = now
    fills = covered == calendar.sessions_until(view.bars[-1].day)
    known = view.as_of if fills else chart.fetched_at  # when the provider could last have sent what is missing
    lacking = _lacking(view, known, calendar, now, covered, data)
    if lacking is not None:
        until = min(until, max(lacking, known), now)
    if now < until:
        return Freshness(until, stale=False)
    if lacking is not None and known >= lacking:
        return Freshness(until, stale=True, reason=PROVIDER_BEHIND)
    return Freshness(
        until,
        stale=True,
        reason=reason(outlook, calendar, chart.symbol, now),
        next_refresh=_next_refresh(mending, calendar, now, covered, data),
    )


def _sessions_covered(chart: Chart, view: View, calendar: Calendar) -> int:
    """The number of sessions without a missing close: a quote days ahead of the bars does not fill the gap between."""
    fetched = calendar.sessions_until(chart.newest)
    shown = calendar.sessions_until(view.bars[-1].day)
    if not view.is_whole:
        return max(0, fetched - 1)
    return shown if shown <= fetched + 1 else fetched


def _fresh_until(chart: Chart, view: View, calendar: Calendar, covered: int, data: str, ttl: timedelta) -> datetime:
    """Until when a chart is fresh by time alone: with end-of-day data until the next close may be published."""
    if data != "end_of_day" or not calendar.sessions:
        return fresh_until(calendar, chart.fetched_at, ttl, LAG[data])
    known = covered - 1 if view.bars[-1].day in view.partial and covered else covered
    following = calendar.sessions[known:]
    return following[0][1] + LAG[data] if following else chart.fetched_at + ttl


def _lacking(
    view: View, known: datetime, calendar: Calendar, now: datetime, covered: int, data: str
) -> datetime | None:
    """Since when the newest missing session could have been fetched; None if none is missing."""
    if not calendar.sessions:
        behind = behind_from(calendar, view.bars[-1].day, data)
        return behind if behind is not None and behind <= now else None
    out = closes_out(calendar, now, data)
    if covered < out:
        return calendar.sessions[out - 1][1] + LAG[data]
    last = None if data == "end_of_day" else calendar.last_session(now - DELAY[data])
    if last is None or calendar.sessions_until(last[0].date()) <= covered:
        return None
    begun = last[0] + DELAY[data]
    return begun if known >= begun else None


def _next_refresh(
    quoted: Freshness | None, calendar: Calendar, now: datetime, covered: int, data: str
) -> datetime | None:
    """When a newer quote will complete the chart, if it lacks at most one day. When the chart itself is fetched again is unknown."""
    last = calendar.last_session(now)
    needed = 0 if last is None else calendar.sessions_until(last[0].date())
    if data == "end_of_day":
        needed = closes_out(calendar, now, data)
    return quoted.next_refresh if quoted is not None and needed <= covered + 1 else None


def chart_due(chart: Chart, view: View, calendar: Calendar, now: datetime, *, data: str, ttl: timedelta) -> Due | None:
    """What a fetch at `now` may bring; None if nothing. The current day is kept up to date by the quote if there is one."""
    if not bars_due(calendar, data, chart.fetched_at, now, ttl, newest=chart.newest):
        return None
    if not calendar.sessions:
        closed = _is_over(chart.symbol, chart.newest, now)
    else:
        out = closes_out(calendar, now, data)
        since = calendar.sessions[out - 1][1] + LAG[data] if out else chart.fetched_at
        closed = chart.fetched_at < since or calendar.sessions_until(chart.newest) < out
    if closed:
        return Due.CLOSED_DAY
    return None if view.quoted else Due.RUNNING_DAY


def bars_due(
    calendar: Calendar,
    data: str,
    fetched_at: datetime | None,
    now: datetime,
    ttl: timedelta,
    *,
    newest: date | None = None,
) -> bool:
    """Whether a fetch at `now` can bring what the one at `fetched_at` did not (None: there was none).

    A chart fetched after the last final close is complete. While the market is open its last row is partial and expires after `ttl` of
    market time. If `newest`, the chart's last day, lacks a published close, it is fetched again after an hour, two, four and so on.
    End-of-day data have no partial day, but the hour of their close is unknown: if `newest` lacks it, it is fetched once more when the
    market opens.
    """
    if fetched_at is None:
        return True
    if not calendar.sessions:
        return now - fetched_at >= ttl
    closed = closes_out(calendar, now, data)
    out = calendar.sessions[closed - 1][1] + LAG[data] if closed else fetched_at
    if fetched_at < out:
        return True
    behind = newest is not None and calendar.sessions_until(newest) < closed
    if data != "end_of_day":
        if behind:
            return now - fetched_at >= max(RETRY_DELAY, fetched_at - out)
        return calendar.clock(now) - calendar.clock(fetched_at) >= ttl.total_seconds()
    last = calendar.last_session(now)
    return behind and last is not None and fetched_at < last[0]
