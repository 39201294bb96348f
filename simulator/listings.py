"""LISTING_STATUS: what is listed, what no longer is, and what was on a day of the past.

Securities that trade in the simulator are listed since one made-up day. The delisted ones are real, with dates near the truth, and
without prices.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from simulator.tables import to_csv
from simulator.universe import Security

LISTING_COLUMNS = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
SINCE = date(2010, 1, 1)  # the provider's listings of the past begin after it
_IPO = date(2000, 1, 3)


@dataclass(frozen=True, slots=True)
class Delisted:
    symbol: str
    name: str
    exchange: str
    kind: str
    ipo: date
    gone: date


def active_listing(securities: Iterable[Security], on: date | None) -> str:
    """All that trade now; on a day of the past also what has gone since."""
    rows = [(s.symbol, s.name, s.exchange, s.kind, _IPO, "null", "Active") for s in securities]
    if on is not None:
        rows += [(d.symbol, d.name, d.exchange, d.kind, d.ipo, "null", "Active") for d in _trading(on)]
    return to_csv(LISTING_COLUMNS, sorted(rows))


def delisted_listing(on: date | None) -> str:
    gone = [d for d in delisted() if on is None or d.gone <= on]
    return to_csv(LISTING_COLUMNS, [(d.symbol, d.name, d.exchange, d.kind, d.ipo, d.gone, "Delisted") for d in gone])


def lettered_listing(word: str) -> str:
    """How a CSV-only function says no: a good header, then the notice's field spelt one letter a column."""
    return to_csv(LISTING_COLUMNS, [word[: len(LISTING_COLUMNS)]])


def _trading(on: date) -> Iterator[Delisted]:
    return (d for d in delisted() if d.ipo <= on < d.gone)


@cache
def delisted() -> tuple[Delisted, ...]:
    """By symbol."""
    lines = files("simulator").joinpath("delisted.csv").read_text(encoding="utf-8").splitlines()
    rows = (
        Delisted(symbol, name, exchange, kind, date.fromisoformat(ipo), date.fromisoformat(gone))
        for symbol, name, exchange, kind, ipo, gone in list(csv.reader(lines))[1:]
    )
    return tuple(sorted(rows, key=lambda row: row.symbol))
