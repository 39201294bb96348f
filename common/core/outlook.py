"""What a process knows of the budget's state: why a stale quote was not refreshed yet, and when it should be. Estimates, said as such."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt

from common.core.closes import LAG
from common.core.gate import GATE_REASONS
from common.core.market_time import Calendar
from common.core.models import Quote
from common.core.outcomes import Outcome
from common.core.refresh import Policy


@dataclass(frozen=True, slots=True)
class Outlook:
    """The ledger's state as it was last seen: a hold, whether the provider fails, and the weights of wanted symbols."""

    held_for: str | None = None
    held_until: datetime | None = None
    provider_fails: bool = False
    quota_left: bool = True
    root_weights: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)


def reason(outlook: Outlook, calendar: Calendar, now: datetime) -> str:
    """Why a stale quote is still stale: `market_closed`, `quota_spent`, `provider_down` or, as mostly, `budget`."""
    held = outlook.held_until is not None and outlook.held_until > now
    if (held and outlook.held_for == Outcome.DAY_USED_UP) or not outlook.quota_left:
        return "quota_spent"
    if held and outlook.held_for in GATE_REASONS:
        return "provider_down"
    if not calendar.is_open(now):
        return "market_closed"
    return "provider_down" if outlook.provider_fails else "budget"


def next_refresh(outlook: Outlook, policy: Policy, calendar: Calendar, quote: Quote, now: datetime) -> datetime | None:
    """When the quote should be refreshed: by its symbol's period under the square-root law. None: nobody wants it."""
    weight = outlook.weights.get(quote.symbol)
    if weight is None:
        return None
    if not calendar.is_open(now):
        return _after_hours(calendar, quote, now, LAG[policy.data])
    period = policy.gap * (outlook.root_weights / sqrt(weight))
    due = max(quote.fetched_at + period, now + policy.gap)
    return due if outlook.held_until is None else max(due, outlook.held_until)


def _after_hours(calendar: Calendar, quote: Quote, now: datetime, lag: timedelta) -> datetime | None:
    """The sweep, if it is still to come for this quote; else the next open."""
    last = calendar.last_session(now)
    if last is not None and quote.fetched_at < last[1] and now < last[1] + lag:
        return last[1] + lag
    return calendar.next_open(now)
