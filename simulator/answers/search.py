"""SYMBOL_SEARCH. Alpha Vantage's own ranking is not known; this one is merely plausible."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from simulator.answers.answer import Answer, Table
from simulator.answers.query import Query
from simulator.market.universe import US, Security, Universe

MAX_MATCHES = 10
_COLUMNS = ("symbol", "name", "type", "region", "marketOpen", "marketClose", "timezone", "currency", "matchScore")
# A search names regions in its own way, and closes New York at 16:00 where MARKET_STATUS says 16:15.
_HOURS = {
    US: ("09:30", "16:00", "America/New_York"),
    "United Kingdom": ("08:00", "16:30", "Europe/London"),
    "Toronto": ("09:30", "16:00", "America/Toronto"),
    "XETRA": ("09:00", "17:30", "Europe/Berlin"),
    "Shanghai": ("09:30", "15:00", "Asia/Shanghai"),
    "Shenzhen": ("09:30", "15:00", "Asia/Shanghai"),
    "India/Bombay": ("09:15", "15:30", "Asia/Kolkata"),
}


def symbol_search(query: Query) -> Answer:
    if not query.params.get("keywords"):
        return query.invalid()
    found = search(query.provider.universe, query.params["keywords"])
    matches = [_match(security, score, query.now) for security, score in found]
    table = Table.of("symbol_search", _COLUMNS, (match.values() for match in matches))
    return Answer("ok" if matches else "no_data", {"bestMatches": matches}, table)


def search(universe: Universe, keywords: str) -> list[tuple[Security, float]]:
    """The best ten with their scores, from above 0 to 1, best first."""
    text = keywords.strip().casefold()
    scored = [(security, _score(security, text)) for security in universe.values()] if text else []
    hits = [(security, score) for security, score in scored if score > 0]
    return sorted(hits, key=lambda hit: (-hit[1], hit[0].symbol))[:MAX_MATCHES]


def _score(security: Security, text: str) -> float:
    symbol, name = security.symbol.casefold(), security.name.casefold()
    if symbol == text:
        return 1.0
    if symbol.startswith(text):
        return 0.5 + 0.49 * len(text) / len(symbol)
    if name.startswith(text):
        return 0.5 + 0.45 * len(text) / len(name)
    return 0.5 * len(text) / len(name) if f" {text}" in name else 0.0


def _match(security: Security, score: float, now: datetime) -> Mapping[str, str]:
    opens, closes, zone = _HOURS[security.region]
    return {
        "1. symbol": security.symbol,
        "2. name": security.name,
        "3. type": "ETF" if security.kind == "ETF" else "Equity",
        "4. region": security.region,
        "5. marketOpen": opens,
        "6. marketClose": closes,
        "7. timezone": _offset(now.astimezone(ZoneInfo(zone))),
        "8. currency": security.currency,
        "9. matchScore": f"{score:.4f}",
    }


def _offset(local: datetime) -> str:
    """The distance from UTC in Alpha Vantage's spelling: `UTC-04`, `UTC+5.5`."""
    offset = local.utcoffset()
    hours = offset.total_seconds() / 3600 if offset else 0.0
    return f"UTC{int(hours):+03d}" if hours == int(hours) else f"UTC{hours:+.1f}"
