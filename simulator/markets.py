"""The exchanges of the world: when each trades, in its own time. It knows New York's holidays and nobody else's."""

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from simulator.sessions import is_trading_day
from simulator.universe import US

_FOREX = "The forex market is open 24 hours a day, EXCEPT between 16:00 EST on Friday and 17:00 EST on Sunday"


@dataclass(frozen=True, slots=True)
class Market:
    region: str
    exchanges: str
    opens: str
    closes: str
    zone: str
    notes: str = ""
    kind: str = "Equity"


MARKETS = (
    Market(US, "NASDAQ, NYSE, AMEX, BATS", "09:30", "16:15", "America/New_York"),
    Market("Canada", "Toronto, Toronto Ventures", "09:30", "16:00", "America/Toronto"),
    Market("United Kingdom", "London", "08:00", "16:30", "Europe/London"),
    Market("Germany", "XETRA, Berlin, Frankfurt, Munich, Stuttgart", "08:00", "20:00", "Europe/Berlin"),
    Market("France", "Paris", "09:00", "17:30", "Europe/Paris"),
    Market("Spain", "Barcelona, Madrid", "09:00", "17:30", "Europe/Madrid"),
    Market("Portugal", "Lisbon", "08:00", "16:30", "Europe/Lisbon"),
    Market("Japan", "Tokyo", "09:00", "15:00", "Asia/Tokyo", "Noon trading break from 11:30 to 12:30 local time"),
    Market("India", "NSE, BSE", "09:15", "15:30", "Asia/Kolkata"),
    Market(
        "Mainland China",
        "Shanghai, Shenzhen",
        "09:30",
        "15:00",
        "Asia/Shanghai",
        "Noon trading break from 11:30 to 13:00 local time",
    ),
    Market(
        "Hong Kong",
        "Hong Kong",
        "09:30",
        "16:00",
        "Asia/Hong_Kong",
        "Noon trading break from 12:00 to 13:00 local time",
    ),
    Market("Brazil", "Sao Paolo", "10:00", "17:30", "America/Sao_Paulo"),
    Market("Mexico", "Mexico", "08:30", "15:00", "America/Mexico_City"),
    Market("South Africa", "Johannesburg", "09:00", "17:00", "Africa/Johannesburg"),
    Market("Global", "Global", "00:00", "23:59", "America/New_York", _FOREX, "Forex"),
    Market(
        "Global",
        "Global",
        "00:00",
        "23:59",
        "UTC",
        "The cryptocurrency market is open 24 hours a day",
        "Cryptocurrency",
    ),
)

# Search names regions in its own way, and closes New York at 16:00 where the status says 16:15.
_SEARCH_REGIONS = {
    US: ("09:30", "16:00", "America/New_York"),
    "United Kingdom": ("08:00", "16:30", "Europe/London"),
    "Toronto": ("09:30", "16:00", "America/Toronto"),
    "XETRA": ("09:00", "17:30", "Europe/Berlin"),
    "Shanghai": ("09:30", "15:00", "Asia/Shanghai"),
    "Shenzhen": ("09:30", "15:00", "Asia/Shanghai"),
    "India/Bombay": ("09:15", "15:30", "Asia/Kolkata"),
}


def hours_of(region: str) -> tuple[str, str]:
    """Opening and closing time of a search region, local."""
    opens, closes, _ = _SEARCH_REGIONS[region]
    return opens, closes


def offset_of(region: str, now: datetime) -> str:
    """The region's distance from UTC at `now` in Alpha Vantage's spelling: `UTC-04`, `UTC+5.5`."""
    offset = now.astimezone(ZoneInfo(_SEARCH_REGIONS[region][2])).utcoffset()
    hours = offset.total_seconds() / 3600 if offset else 0.0
    return f"UTC{int(hours):+03d}" if hours == int(hours) else f"UTC{hours:+.1f}"


def market_status(now: datetime) -> dict[str, object]:
    return {"endpoint": "Global Market Open & Close Status", "markets": [_status(market, now) for market in MARKETS]}


def _status(market: Market, now: datetime) -> dict[str, str]:
    return {
        "market_type": market.kind,
        "region": market.region,
        "primary_exchanges": market.exchanges,
        "local_open": market.opens,
        "local_close": market.closes,
        "current_status": "open" if _is_open(market, now.astimezone(ZoneInfo(market.zone))) else "closed",
        "notes": market.notes,
    }


def _is_open(market: Market, local: datetime) -> bool:
    if market.kind == "Cryptocurrency":
        return True
    if market.kind == "Forex":
        return not 4 * 24 + 16 <= local.weekday() * 24 + local.hour < 6 * 24 + 17  # hours since Monday
    trades = is_trading_day(local.date()) if market.region == US else local.weekday() < 5
    return trades and time.fromisoformat(market.opens) <= local.time() < time.fromisoformat(market.closes)
