"""An API process's view of the budget: why refreshes are paused, why a quote is stale, when it will be refreshed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from typing import Literal, get_args

from common.core.calendar.clock import Calendar
from common.core.forecast.promises import Forecast
from common.core.forecast.situation import Gate
from common.core.models import Quote
from common.core.provider.outcomes import RETRY_AFTER, Outcome

Pause = Literal["store_down", "key_refused", "provider_down", "held", "quota_spent", "market_closed"]
Reason = Literal[Pause, "no_data", "provider_behind", "budget"]
REASONS: tuple[Reason, ...] = get_args(Reason)
BY_ORDER = ("operator", "clock_jump", RETRY_AFTER)  # holds that are not caused by a failing provider
LATE = timedelta(seconds=1)  # an estimate that has passed becomes this long from now


@dataclass(frozen=True, slots=True)
class Outlook:
    """The ledger's state as last read: the gate, whether the quota has calls left, quarantines and their ends, the weights of tracked
    symbols, the forecast.

    `store_down`: it cannot be read now.
    """

    gate: Gate = field(default_factory=Gate)
    quota_left: bool = True
    store_down: bool = False
    resting: Mapping[str, datetime] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    forecast: Forecast | None = None


def pause(outlook: Outlook, calendar: Calendar, now: datetime) -> Pause | None:
    """Why background is paused; None if it is not. Quotes, health and status use these same words."""
    gate = outlook.gate
    on_hold = gate.held_until is not None and gate.held_until > now
    if outlook.store_down:
        return "store_down"
    if gate.held_for == Outcome.BAD_KEY and (on_hold or gate.probing):
        return "key_refused"
    if ((on_hold or gate.probing) and gate.held_for == Outcome.DAY_USED_UP) or not outlook.quota_left:
        return "quota_spent"
    if gate.closed:
        return "provider_down"
    if on_hold and gate.held_for in BY_ORDER:
        return "held"
    return None if calendar.is_open(now) else "market_closed"


def reason(outlook: Outlook, calendar: Calendar, symbol: str, now: datetime) -> Reason:
    """Why a quote is stale; usually `budget`: it waits for its turn."""
    why = pause(outlook, calendar, now)
    if why in (None, "market_closed") and outlook.resting.get(symbol, now) > now:
        return "no_data"
    return why or "budget"


def next_refresh(outlook: Outlook, quote: Quote, now: datetime) -> datetime | None:
    """When the quote is expected to be refreshed: after any hold and quarantine. None if it is not tracked, or unknown."""
    seen = outlook.forecast
    if outlook.store_down or outlook.gate.closed or seen is None:
        return None
    at = seen.refreshed.get(quote.symbol)
    if at is None or at <= quote.fetched_at:
        at = _by_weight(outlook, seen, quote)
    if at is None:
        return None
    ends = (outlook.gate.held_until, outlook.resting.get(quote.symbol))
    return max([at, now + LATE, *(end for end in ends if end is not None)])


def _by_weight(outlook: Outlook, seen: Forecast, quote: Quote) -> datetime | None:
    """The time by the square-root law, if the forecast is older than the quote or ends before its turn."""
    weight = outlook.weights.get(quote.symbol)
    if weight is None or not seen.period:
        return None
    return quote.fetched_at + timedelta(seconds=seen.period / sqrt(weight))
