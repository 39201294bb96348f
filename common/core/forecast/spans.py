"""Background's future pace as spans: the session, the closing sweep, the next session; with end-of-day data, one close after the other."""

from datetime import datetime, timedelta

from common.core.budget.policy import CLOSING_POWER, NO_POWER, OPEN_POWER, PROBE_INTERVAL, Pace, Policy
from common.core.budget.staleness import session_rate
from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG, price_clock
from common.core.forecast.situation import Span


def background_spans(
    pace: Pace, policy: Policy, calendar: Calendar, now: datetime, *, tracked: int
) -> tuple[Span, ...]:
    """The spans from `now`, with `pace`, to the end of the next session or to the close after the next. `tracked`: symbols with a quote."""
    if not calendar.sessions:
        return (Span(now, None, pace.gap, pace.power, pace.clock, runs=True),)
    if policy.data == "end_of_day":
        return _closes(pace, policy, calendar, now)
    return _sessions(pace, policy, calendar, now, tracked)


def _sessions(pace: Pace, policy: Policy, calendar: Calendar, now: datetime, tracked: int) -> tuple[Span, ...]:
    """Between a close and its final prices nothing is refreshed; after that each symbol is, until it has its final price."""
    last, opens = calendar.last_session(now), calendar.next_open(now)
    spans, data = [], policy.data
    lag = LAG[data]
    if last is not None and now < last[1]:
        spans.append(Span(now, last[1], pace.gap, pace.power, pace.clock, runs=True))
    if last is not None and now < last[1] + lag:
        at = max(now, last[1])
        spans.append(Span(at, last[1] + lag, policy.gap, NO_POWER, price_clock(calendar, at, data), runs=False))
    if last is not None:
        at = max(now, last[1] + lag)
        power = CLOSING_POWER if at > now else pace.power
        spans.append(Span(at, opens, policy.gap, power, price_clock(calendar, at, data), runs=False))
    if opens is not None:
        close = calendar.last_session(opens)
        rate = session_rate(policy.limits, max(1, tracked), policy.interactive_share)
        power = OPEN_POWER if rate > 0 else NO_POWER
        gap = timedelta(minutes=1 / rate) if rate > 0 else policy.gap
        spans.append(
            Span(opens, close[1] if close else None, gap, power, price_clock(calendar, opens, data), runs=True)
        )
    return tuple(spans)


def _closes(pace: Pace, policy: Policy, calendar: Calendar, now: datetime) -> tuple[Span, ...]:
    """Each close makes every symbol due once, from the probe that finds it: an hour after the close, then at the times of `probe_due`."""
    due = calendar.last_closed(now - PROBE_INTERVAL)
    clock = pace.clock if due is None else calendar.clock(calendar.sessions[due - 1][1])
    spans = []
    if due is not None and pace.clock < clock:  # the close should be published and is not
        close = calendar.sessions[due - 1][1]
        step = max(PROBE_INTERVAL, (now - close) / 2)
        begins = close + ((now - close) // step + 1) * step
        spans.append((begins, clock))
    following = due or 0
    if following < len(calendar.sessions):
        close = calendar.sessions[following][1]
        spans.append((close + PROBE_INTERVAL, calendar.clock(close)))
    ends = [begins for begins, _ in spans] + [None]
    first = Span(now, ends[0], policy.gap, pace.power, pace.clock, runs=False)
    return (
        first,
        *(
            Span(begins, until, policy.gap, CLOSING_POWER, at, runs=False)
            for (begins, at), until in zip(spans, ends[1:], strict=True)
        ),
    )
