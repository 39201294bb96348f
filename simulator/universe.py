"""Which securities exist: real names with made-up prices, from `universe.csv`. It knows no answer's shape."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from simulator.noise import key_of
from simulator.prices import Walk

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
    """All securities by symbol: the packaged ones, `extra` synthetic ones (`SIM0001`...) and the dead ones."""
    doomed = frozenset(dead)
    rows = {row[0]: row for row in (*_packaged(), *map(_synthetic, range(1, extra + 1)))}
    rows |= {symbol: _delisted(symbol) for symbol in doomed if symbol not in rows}
    return {symbol: _security(rows[symbol], seed, symbol in doomed) for symbol in sorted(rows)}


def _packaged() -> Iterator[list[str]]:
    lines = files("simulator").joinpath("universe.csv").read_text(encoding="utf-8").splitlines()
    return iter(list(csv.reader(lines))[1:])


def _synthetic(number: int) -> list[str]:
    symbol = f"SIM{number:04}"
    return [symbol, f"Simulated Holdings {number}", "NYSE", "Stock", US, "USD", str(10 + number % 490), "0.30"]


def _delisted(symbol: str) -> list[str]:
    return [symbol, f"{symbol} Shell Corp", "NYSE", "Stock", US, "USD", "1", "0.10"]


def _security(row: list[str], seed: int, dead: bool) -> Security:
    symbol, name, exchange, kind, region, currency, price, volatility = row
    walk = Walk(key_of(seed, symbol), float(price), float(volatility))
    return Security(symbol, name, exchange, kind, region, currency, walk, dead)
