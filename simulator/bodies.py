"""The shapes of Alpha Vantage's good answers. Pure: securities and quotes in, JSON out; numbers become strings here."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from simulator.markets import hours_of, offset_of
from simulator.notices import ARTIFICIAL
from simulator.prices import Quote
from simulator.sessions import NEW_YORK
from simulator.universe import Security

DELAYED = " - DATA DELAYED BY 15 MINUTES"
_ROW = (
    *("symbol", "timestamp", "open", "high", "low", "close", "volume", "previous_close", "change", "change_percent"),
    *("extended_hours_quote", "extended_hours_change", "extended_hours_change_percent"),
)
_ARTIFICIAL_ROWS = (
    "MSFT|2024-10-18 19:59:55.291|417.61|419.649|416.2601|418.16|17145307|416.72|1.44|0.3456|418.1|-0.06|-0.01435",
    "AAPL|2024-10-18 19:59:50.451|236.0|236.05|234.02|235.0|46431470|232.15|2.85|1.2277|234.83|-0.17|-0.07234",
    "IBM|2024-10-18 19:54:00.879|231.29|232.6499|230.17|232.22|4715482|232.88|-0.66|-0.2834|232.37|0.15|0.06459",
)

Body = dict[str, object]


def global_quote(symbol: str, quote: Quote, *, delayed: bool = False) -> Body:
    bar = quote.bar
    return {
        "Global Quote" + DELAYED * delayed: {
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
    }


def best_matches(matches: Iterable[tuple[Security, float]], now: datetime) -> Body:
    return {"bestMatches": [_match(security, score, now) for security, score in matches]}


def _match(security: Security, score: float, now: datetime) -> Mapping[str, str]:
    opens, closes = hours_of(security.region)
    return {
        "1. symbol": security.symbol,
        "2. name": security.name,
        "3. type": "ETF" if security.kind == "ETF" else "Equity",
        "4. region": security.region,
        "5. marketOpen": opens,
        "6. marketClose": closes,
        "7. timezone": offset_of(security.region, now),
        "8. currency": security.currency,
        "9. matchScore": f"{score:.4f}",
    }


def bulk_quotes(quotes: Iterable[tuple[str, Quote]], now: datetime) -> Body:
    """The time has no zone; it is New York's, of the last trade: the close, where the day is over."""
    data = [_bulk_row(symbol, quote, _traded_at(quote, now)) for symbol, quote in quotes]
    return {"endpoint": "Realtime Bulk Quotes", "message": "success", "data": data}


def _traded_at(quote: Quote, now: datetime) -> str:
    local = now.astimezone(NEW_YORK)
    running = quote.bar.day == local.date()
    return local.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if running else f"{quote.bar.day} 16:00:00.000"


def _bulk_row(symbol: str, quote: Quote, stamp: str) -> Mapping[str, str]:
    bar = quote.bar
    prices = (bar.open, bar.high, bar.low, bar.close, bar.volume, quote.previous_close, quote.change)
    values = (symbol, stamp, *map(str, prices), str(quote.change_percent), "", "", "")
    return dict(zip(_ROW, values, strict=True))


def artificial_quotes() -> Body:
    """What a key without the right gets: the same shape, plausible and false."""
    data = [dict(zip(_ROW, row.split("|"), strict=True)) for row in _ARTIFICIAL_ROWS]
    return {"endpoint": "Realtime Bulk Quotes", "message": ARTIFICIAL, "data": data}


def no_events(symbol: str) -> Body:
    """Splits or dividends of a security: it never had any."""
    return {"symbol": symbol, "data": []}
