"""GLOBAL_QUOTE and REALTIME_BULK_QUOTES."""

from collections.abc import Mapping
from datetime import datetime

from simulator.answers.answer import Answer, Table
from simulator.answers.notices import ARTIFICIAL
from simulator.answers.query import Query
from simulator.market.bars import Quote
from simulator.market.sessions import NEW_YORK
from simulator.market.universe import US

MAX_BULK_SYMBOLS = 100  # the provider ignores the rest
_DELAYED = " - DATA DELAYED BY 15 MINUTES"
_COLUMNS = ("symbol", "open", "high", "low", "price", "volume", "latestDay", "previousClose", "change", "changePercent")
_BULK_FIELDS = (
    *("symbol", "timestamp", "open", "high", "low", "close", "volume", "previous_close", "change", "change_percent"),
    *("extended_hours_quote", "extended_hours_change", "extended_hours_change_percent"),
)
_ARTIFICIAL_ROWS = (
    "MSFT|2024-10-18 19:59:55.291|417.61|419.649|416.2601|418.16|17145307|416.72|1.44|0.3456|418.1|-0.06|-0.01435",
    "AAPL|2024-10-18 19:59:50.451|236.0|236.05|234.02|235.0|46431470|232.15|2.85|1.2277|234.83|-0.17|-0.07234",
    "IBM|2024-10-18 19:54:00.879|231.29|232.6499|230.17|232.22|4715482|232.88|-0.66|-0.2834|232.37|0.15|0.06459",
)


def global_quote(query: Query) -> Answer:
    if not query.symbol:
        return query.invalid()
    security = query.security()
    if security is None:
        return _unknown_symbol(query)
    fields = _quote_fields(security.symbol, query.quote(security))
    heading = "Global Quote" + (_DELAYED if query.params.get("entitlement") == "delayed" else "")
    return Answer("ok", {heading: fields}, Table.of(f"global_quote_{security.symbol}", _COLUMNS, [fields.values()]))


def _unknown_symbol(query: Query) -> Answer:
    """In the form that the setting names. How the provider denies a symbol in CSV is not recorded: JSON here."""
    if query.provider.unknown == "error_message":
        return query.no_such_symbol()
    return Answer("no_data", {"Global Quote": {}} if query.provider.unknown == "empty_quote" else {})


def _quote_fields(symbol: str, quote: Quote) -> Mapping[str, str]:
    bar = quote.bar
    return {
        "01. symbol": symbol,
        "02. open": str(bar.open),
        "03. high": str(bar.high),
        "04. low": str(bar.low),
        "05. price": str(bar.close),
        "06. volume": str(bar.volume),
        "07. latest trading day": bar.day.isoformat(),
        "08. previous close": str(quote.previous_close),
        "09. change": str(quote.change),
        "10. change percent": f"{quote.change_percent}%",
    }


def bulk_quotes(query: Query) -> Answer:
    """A key without the right gets the provider's sample: the same shape with plausible but false prices."""
    if not query.provider.entitled:
        sample = [_bulk_row(row.split("|")) for row in _ARTIFICIAL_ROWS]
        return Answer("notice:not_entitled", _bulk_body(ARTIFICIAL, sample))
    symbols = [symbol for symbol in query.symbol.split(",") if symbol]
    if not symbols:
        return query.invalid()
    securities = [query.security(symbol) for symbol in symbols[:MAX_BULK_SYMBOLS]]
    rows = [
        _bulk_row(_bulk_values(security.symbol, query.quote(security), query.now))
        for security in securities
        if security and security.region == US
    ]
    return Answer("ok" if rows else "no_data", _bulk_body("success", rows))


def _bulk_body(message: str, rows: list[Mapping[str, str]]) -> Mapping[str, object]:
    return {"endpoint": "Realtime Bulk Quotes", "message": message, "data": rows}


def _bulk_row(values: list[str]) -> Mapping[str, str]:
    return dict(zip(_BULK_FIELDS, values, strict=True))


def _bulk_values(symbol: str, quote: Quote, now: datetime) -> list[str]:
    bar = quote.bar
    prices = (bar.open, bar.high, bar.low, bar.close, bar.volume, quote.previous_close, quote.change)
    return [symbol, _traded_at(quote, now), *map(str, prices), str(quote.change_percent), "", "", ""]


def _traded_at(quote: Quote, now: datetime) -> str:
    """The time of the last trade in New York, without its zone: the close, if the day is over."""
    local = now.astimezone(NEW_YORK)
    running = quote.bar.day == local.date()
    return local.isoformat(" ", "milliseconds")[:23] if running else f"{quote.bar.day} 16:00:00.000"
