"""Whether a quote is fresh, and its JSON for clients. Amounts are JSON numbers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from common.core.budget.policy import Policy
from common.core.calendar.clock import Calendar, fresh_until
from common.core.calendar.closes import LAG, behind_from, final_from
from common.core.models import Quote
from common.core.quotes.outlook import Outlook, next_refresh, reason

PROVIDER_BEHIND = "provider_behind"
AHEAD = timedelta(seconds=30)  # the database's clock and this process's may differ by this


@dataclass(frozen=True, slots=True)
class Freshness:
    """A quote's freshness at one moment. If stale: why, and when a refresh is expected."""

    until: datetime
    stale: bool
    reason: str | None = None
    next_refresh: datetime | None = None


def judge(
    quote: Quote, calendar: Calendar, now: datetime, *, ttl: timedelta, policy: Policy, outlook: Outlook
) -> Freshness:
    """Whether a quote is fresh, by the market clock.

    A quote from the future is stale: its clock was set back since, so its age is unknown.
    """
    behind = behind_from(calendar, quote.price.trading_day, policy.data)
    until = now if quote.fetched_at > now + AHEAD else _until(quote, calendar, ttl, policy.data, behind)
    if now < until:
        return Freshness(until, stale=False)
    behind_provider = behind is not None and behind <= quote.fetched_at
    why = PROVIDER_BEHIND if behind_provider else reason(outlook, calendar, quote.symbol, now)
    return Freshness(until, stale=True, reason=why, next_refresh=next_refresh(outlook, quote, now))


def _until(quote: Quote, calendar: Calendar, ttl: timedelta, data: str, behind: datetime | None) -> datetime:
    """Until when a quote is fresh: by its fetch time, or with end-of-day data until its close is final; never after its day is behind."""
    if data != "end_of_day" or not calendar.sessions:
        until = fresh_until(calendar, quote.fetched_at, ttl, LAG[data])
        return until if behind is None else min(until, behind)
    final = final_from(calendar, quote.price.trading_day, data)
    if final is not None and quote.fetched_at < final:
        return final
    return quote.fetched_at + ttl if behind is None else behind


def shape(quote: Quote, freshness: Freshness) -> dict[str, object]:
    """The JSON of `GET /api/stock/{symbol}`."""
    price = quote.price
    body: dict[str, object] = {
        "symbol": price.symbol,
        "price": float(price.price),
        "change": _number(price.change),
        "change_percent": _text(price.change_percent),
        "volume": price.volume,
        "timestamp": price.trading_day.isoformat(),
        "open": _number(price.open),
        "high": _number(price.high),
        "low": _number(price.low),
        "previous_close": _number(price.previous_close),
        "fetched_at": time_of(quote.fetched_at),
        "fresh_until": time_of(freshness.until),
        "stale": freshness.stale,
        "source": quote.source,
    }
    if freshness.stale:
        expected = freshness.next_refresh
        body |= {"reason": freshness.reason, "next_refresh_at": None if expected is None else time_of(expected)}
    return body


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value) or 0.0


def _text(value: Decimal | None) -> str | None:
    """A decimal without an exponent or a negative zero."""
    return None if value is None else format(value or value.copy_abs(), "f")


def time_of(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
