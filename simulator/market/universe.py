"""Which securities exist: real names with invented prices, from `universe.csv`. It knows no answer's shape."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulator.market.noise import key_of
from simulator.market.packaged import read_rows
from simulator.market.prices import Walk

US = "United States"


@dataclass(frozen=True, slots=True)
class Security:
    """One listing. `kind` is Stock or ETF; `walk` says how its price moves; a dead one is listed but has no data."""

    symbol: str
    name: str
    exchange: str
    kind: str
    region: str
    currency: str
    walk: Walk
    dead: bool = False


Universe = Mapping[str, Security]


def load_universe(seed: int, extra: int = 0, dead: Iterable[str] = ()) -> Universe:
    """All securities by symbol, in its order: the packaged ones, `extra` synthetic ones (`SIM0001`...) and the dead ones."""
    dead = frozenset(dead)
    rows = {row[0]: row for row in (*read_rows("universe.csv"), *map(_synthetic, range(1, extra + 1)))}
    rows |= {symbol: _shell(symbol) for symbol in dead - rows.keys()}
    return {symbol: _security(rows[symbol], seed, symbol in dead) for symbol in sorted(rows)}


def _synthetic(number: int) -> list[str]:
    symbol = f"SIM{number:04}"
    return [symbol, f"Simulated Holdings {number}", "NYSE", "Stock", US, "USD", str(10 + number % 490), "0.30"]


def _shell(symbol: str) -> list[str]:
    return [symbol, f"{symbol} Shell Corp", "NYSE", "Stock", US, "USD", "1", "0.10"]


def _security(row: list[str], seed: int, dead: bool) -> Security:
    symbol, name, exchange, kind, region, currency, base_price, volatility = row
    walk = Walk(key_of(seed, symbol), float(base_price), float(volatility))
    return Security(symbol, name, exchange, kind, region, currency, walk, dead)
