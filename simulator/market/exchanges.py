"""The markets of the world and whether each is open, from `exchanges.csv`. It knows New York's holidays and no others."""

from dataclasses import dataclass
from datetime import datetime, time
from functools import cache
from zoneinfo import ZoneInfo

from simulator.market.packaged import read_rows
from simulator.market.sessions import is_trading_day
from simulator.market.universe import US

_FRIDAY_1600 = 4 * 24 + 16  # hours since Monday
_SUNDAY_1700 = 6 * 24 + 17


@dataclass(frozen=True, slots=True)
class Market:
    """`opens` and `closes` are ISO times in `zone`; `kind` is Equity, Forex or Cryptocurrency."""

    kind: str
    region: str
    exchanges: str
    opens: str
    closes: str
    zone: str
    notes: str

    def is_open(self, now: datetime) -> bool:
        local = now.astimezone(ZoneInfo(self.zone))
        if self.kind == "Cryptocurrency":
            return True
        if self.kind == "Forex":
            return not _FRIDAY_1600 <= local.weekday() * 24 + local.hour < _SUNDAY_1700
        trades = is_trading_day(local.date()) if self.region == US else local.weekday() < 5
        return trades and time.fromisoformat(self.opens) <= local.time() < time.fromisoformat(self.closes)


@cache
def markets() -> tuple[Market, ...]:
    return tuple(Market(*row) for row in read_rows("exchanges.csv"))
