"""How old a quote is, what that makes of it, and how it reads to a client. Amounts go out as JSON numbers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from common.core.market_time import Calendar, fresh_until
from common.core.models import Quote

LAG = {"realtime": timedelta(0), "delayed": timedelta(minutes=15), "end_of_day": timedelta(0)}


@dataclass(frozen=True, slots=True)
class Freshness:
    """The verdict on a quote at one moment; `reason` says why a stale one was not refreshed yet."""

    until: datetime
    stale: bool
    reason: str | None


def judge(quote: Quote, calendar: Calendar, now: datetime, *, ttl: timedelta, data: str) -> Freshness:
    """Fresh or stale, by the market's time."""
    until = fresh_until(calendar, quote.fetched_at, ttl, LAG[data])
    if now < until:
        return Freshness(until, stale=False, reason=None)
    return Freshness(until, stale=True, reason="budget" if calendar.is_open(now) else "market_closed")


def shape(quote: Quote, freshness: Freshness) -> dict[str, object]:
    """The answer of `GET /api/stock/{symbol}`."""
    price = quote.price
    body: dict[str, object] = {
        "symbol": price.symbol,
        "price": float(price.price),
        "change": _number(price.change),
        "change_percent": None if price.change_percent is None else str(price.change_percent),
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
    return body | ({"reason": freshness.reason} if freshness.stale else {})


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
