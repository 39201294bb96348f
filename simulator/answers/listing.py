"""LISTING_STATUS: what is listed, what no longer is, and what was on a day of the past. CSV only.

Securities of the simulator are listed since one invented day. The delisted ones are real, with dates near the truth and without prices.
"""

from datetime import date
from functools import cache
from typing import NamedTuple

from simulator.answers.answer import Answer, Table
from simulator.answers.query import Query
from simulator.market.packaged import read_rows
from simulator.market.universe import US

LISTING_COLUMNS = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
_LAST_DATE_WITHOUT_LISTING = date(2010, 1, 1)
_IPO = "2000-01-03"


class Delisted(NamedTuple):
    """A row of `delisted.csv`; dates are ISO."""

    symbol: str
    name: str
    exchange: str
    kind: str
    ipo: str
    gone: str


def listing_status(query: Query) -> Answer:
    """An unknown `state` is `active`, as the provider has it. What it answers to a wrong date is not recorded: `{}` here."""
    text = query.params.get("date", "")
    on = _date(text)
    if text and (on is None or on <= _LAST_DATE_WITHOUT_LISTING):
        return Answer("no_data", {})
    day = on.isoformat() if on else None
    gone = query.params.get("state") == "delisted"
    return Answer("ok", _listing(_delisted_rows(day) if gone else _active_rows(query, day)))


def spell_over_columns(field: str) -> Table:
    """How a CSV-only function refuses: a good header, then the field of the notice, one letter a column."""
    return _listing([tuple(field[: len(LISTING_COLUMNS)])])


def _listing(rows: list[tuple[str, ...]]) -> Table:
    return Table.of("listing_status", LISTING_COLUMNS, rows)


def _active_rows(query: Query, day: str | None) -> list[tuple[str, ...]]:
    """All that trade now; on a day of the past also what has gone since."""
    american = [s for s in query.provider.universe.values() if s.region == US]
    rows = [(s.symbol, s.name, s.exchange, s.kind, _IPO, "null", "Active") for s in american]
    traded = [row for row in delisted() if day and row.ipo <= day < row.gone]
    return sorted(rows + [(*row[:-1], "null", "Active") for row in traded])


def _delisted_rows(day: str | None) -> list[tuple[str, ...]]:
    return [(*row, "Delisted") for row in delisted() if day is None or row.gone <= day]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@cache
def delisted() -> tuple[Delisted, ...]:
    """By symbol."""
    return tuple(sorted(Delisted(*row) for row in read_rows("delisted.csv")))
