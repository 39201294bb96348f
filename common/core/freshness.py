"""How old a quote is, what that makes of it, and how it reads to a client. Amounts go out as JSON numbers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from common.core.market_time import Calendar, fresh_until
from common.core.models import Quote
from common.core.outlook import Outlook, next_refresh, reason
from common.core.refresh import LAG, Policy

AHEAD = timedelta(seconds=30)  # the database's clock and ours may differ by so much


@dataclass(frozen=True, slots=True)
class Freshness:
    """The verdict on a quote at one moment. For a stale one: why it was not refreshed yet, and an estimate of when it will be."""

    until: datetime
    stale: bool
    reason: str | None = None
    next_refresh: datetime | None = None


def judge(
    quote: Quote, calendar: Calendar, now: datetime, *, ttl: timedelta, policy: Policy, outlook: Outlook
) -> Freshness:
    """Fresh or stale, by the market's time. One from the future was stamped by a clock that was set back since: nobody knows its age."""
    until = now if quote.fetched_at > now + AHEAD else _until(quote, calendar, ttl, policy.data)
    if now < until:
        return Freshness(until, stale=False)
    expected = next_refresh(outlook, quote, now)
    return Freshness(until, stale=True, reason=reason(outlook, calendar, quote.symbol, now), next_refresh=expected)


def _until(quote: Quote, calendar: Calendar, ttl: timedelta, data: str) -> datetime:
    """An end-of-day price is fresh until the next close may be out; any other by its time of fetch."""
    if data != "end_of_day" or not calendar.sessions:
        return fresh_until(calendar, quote.fetched_at, ttl, LAG[data])
    following = calendar.sessions[calendar.sessions_until(quote.price.trading_day) :]
    return following[0][1] + LAG[data] if following else quote.fetched_at + ttl


def shape(quote: Quote, freshness: Freshness) -> dict[str, object]:
    """The answer of `GET /api/stock/{symbol}`."""
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
        "fetched_at": _time(quote.fetched_at),
        "fresh_until": _time(freshness.until),
        "stale": freshness.stale,
        "source": quote.source,
    }
    if freshness.stale:
        expected = freshness.next_refresh
        body |= {"reason": freshness.reason, "next_refresh_at": None if expected is None else _time(expected)}
    return body


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value) or 0.0


def _text(value: Decimal | None) -> str | None:
    """Without an exponent, and without a sign that means nothing."""
    return None if value is None else format(value or value.copy_abs(), "f")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
