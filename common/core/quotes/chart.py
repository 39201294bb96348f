"""A chart as it is shown: whether it has anything new to ask for, its newest day beside the quote, and how fresh that makes it.

This is the one place where a bar and a quote meet. It knows when closes come out; it fetches nothing.
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

RETRY = timedelta(hours=1)  # after a fetch that lacked a day that is out; each further one waits for twice as long


@dataclass(frozen=True, slots=True)
class Chart:
    """The provider's bars of a symbol, oldest first, at least one; `fetched_at`, the ledger's time of the response, is of all of them."""

    symbol: str
    source: str
    bars: tuple[Bar, ...]
    fetched_at: datetime

    @property
    def newest(self) -> date:
        return self.bars[-1].day


@dataclass(frozen=True, slots=True)
class View:
    """A chart with the quote worked into its newest day. `as_of`: when the newest bar was known; `quoted`: it is the quote's.

    `partial`: days whose last price was not out yet when they were fetched.
    """

    bars: tuple[Bar, ...]
    partial: frozenset[date]
    as_of: datetime
    quoted: bool

    @property
    def is_whole(self) -> bool:
        """Whether every day but the newest has its last price."""
        return self.partial <= {self.bars[-1].day}


class Due(Enum):
    """What a refresh of a chart would bring: a day that has closed, or a newer state of the running one."""

    CLOSED_DAY = "closed_day"
    RUNNING_DAY = "running_day"


def reconcile(chart: Chart, quote: Quote | None, calendar: Calendar, lag: timedelta) -> View:
    """The chart with the quote worked in: a newer quote of the newest bar's day closes that bar, one of a later day adds its own.

    A quote that is older than the chart, or of another source, changes nothing. `lag`: how long after a close its price is final.
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
    """The newest bar as the quote has it; None where the quote does not change the chart."""
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
    """Whether a bar that was known at a time is the day's last word. Where no session is known it is once the day is over."""
    close = _session_on(calendar, day)
    if close is not None:
        return at >= close + lag
    return latest_day(symbol, at) > day if calendar.sessions else _is_over(symbol, day, at)


def _is_over(symbol: str, day: date, now: datetime) -> bool:
    """Where the market never closes a day lasts until the next one begins: Friday's over the weekend."""
    following = day + timedelta(days=max(1, 7 - day.weekday()) if day.weekday() >= 4 else 1)
    return latest_day(symbol, now) >= following


def _session_on(calendar: Calendar, day: date) -> datetime | None:
    """The close of a day's session."""
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
    """Fresh or stale. A chart is fresh for its TTL, and where its newest bar is the quote's, for as long as the quote (`quoted`) is.

    It is stale all the same if it lacks a session that is out, or, fetched in the running session or after it, that session's day.
    """
    covered = _sessions_covered(chart, view, calendar)
    until = _fresh_until(chart, view, calendar, covered, data, ttl)
    mending = quoted if view.is_whole else None  # the quote is of the newest day alone
    if view.quoted and mending is not None:
        until = max(until, mending.until)
    if chart.fetched_at > now + AHEAD:
        until = now
    fills = covered == calendar.sessions_until(view.bars[-1].day)
    known = view.as_of if fills else chart.fetched_at  # when the provider last could have given what is lacking
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
    """The sessions up to the newest one before which no close is missing: where the quote is days ahead of the bars, it fills no gap."""
    fetched = calendar.sessions_until(chart.newest)
    shown = calendar.sessions_until(view.bars[-1].day)
    if not view.is_whole:
        return max(0, fetched - 1)
    return shown if shown <= fetched + 1 else fetched


def _fresh_until(chart: Chart, view: View, calendar: Calendar, covered: int, data: str, ttl: timedelta) -> datetime:
    """By time alone. End-of-day bars are fresh until the next close may be out."""
    if data != "end_of_day" or not calendar.sessions:
        return fresh_until(calendar, chart.fetched_at, ttl, LAG[data])
    known = covered - 1 if view.bars[-1].day in view.partial and covered else covered
    following = calendar.sessions[known:]
    return following[0][1] + LAG[data] if following else chart.fetched_at + ttl


def _lacking(
    view: View, known: datetime, calendar: Calendar, now: datetime, covered: int, data: str
) -> datetime | None:
    """Since when the newest session that should be there could have been fetched, if it is not there."""
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
    """A newer quote mends a chart that lacks one day at most; when a chart itself is asked for again cannot be said."""
    last = calendar.last_session(now)
    wanted = 0 if last is None else calendar.sessions_until(last[0].date())
    if data == "end_of_day":
        wanted = closes_out(calendar, now, data)
    return quoted.next_refresh if quoted is not None and wanted <= covered + 1 else None


def chart_due(chart: Chart, view: View, calendar: Calendar, now: datetime, *, data: str, ttl: timedelta) -> Due | None:
    """What a fetch at `now` may bring; None: nothing. The quote keeps the running day up to date where there is one."""
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
    """Whether a fetch at `now` can bring what the one at `fetched_at` (None: there was none) did not.

    A chart that was fetched since the last close came out holds it; while the market is open its newest row is a partial day, due
    again after `ttl` of market time. Where `newest`, the chart's last day, lacks a close that was out, it is asked for again after an
    hour, two, four and so on. End-of-day data have no partial day, but the hour of their close is not known: where `newest` lacks it,
    it is asked for once more when the market opens.
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
            return now - fetched_at >= max(RETRY, fetched_at - out)
        return calendar.clock(now) - calendar.clock(fetched_at) >= ttl.total_seconds()
    last = calendar.last_session(now)
    return behind and last is not None and fetched_at < last[0]
