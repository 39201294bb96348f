"""The JSON of a quote between Quotewell's processes, the same in Redis's key and stream."""

import json
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from common.core.models import Price, Quote

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AMOUNTS = ("price", "change", "change_percent", "open", "high", "low", "previous_close")


def version(quote: Quote) -> int:
    """Microseconds since 1970. It orders a symbol's quotes, and is exact as a double in Redis's Lua."""
    return (quote.fetched_at - EPOCH) // timedelta(microseconds=1)


def encode(quote: Quote) -> str:
    """Amounts as strings, so that nothing rounds them."""
    price = {field.name: getattr(quote.price, field.name) for field in fields(Price)}
    return json.dumps({"source": quote.source, "version": version(quote), **price}, default=str)


def decode(text: str | bytes) -> Quote:
    """What `encode` wrote."""
    content = json.loads(text)
    source, micros = content.pop("source"), content.pop("version")
    amounts = {name: Decimal(content[name]) for name in AMOUNTS if content[name] is not None}
    price = Price(**{**content, **amounts, "trading_day": date.fromisoformat(content["trading_day"])})
    return Quote(price, source, EPOCH + timedelta(microseconds=micros))
