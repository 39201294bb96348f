"""Classify rows of the listing by kind of security: by symbol, venue and name."""

import re
from collections.abc import Iterable
from enum import IntEnum

from common.core.models import Listed

FUND_VENUES = frozenset({"NYSE ARCA", "BATS"})
_FUND = re.compile(r"\b(?:ETFS?|ETNS?|FUND|[1-3](?:\.\d+)?X)\b", re.I)
_LESSER_SYMBOL = re.compile(r"[:/^+=]|-P(?:-?[A-Z]+)?$|-(?:WS|W|U|UN|R|WD|WI|V)(?:-[A-Z])?$|-R-W$|TEST")
_LESSER_NAME = re.compile(
    r"\b(?:warrants?|wts?|rights?|notes?|debentures?|units?$|units each|preferred (?:stock|shares|units)|pfd|prf"
    r"|depositary shares|when ?(?:distributed|issued)|test (?:stock|symbol)|listed test|symbology test)\b|\bunits \(",
    re.I,
)


class Kind(IntEnum):
    """In the order in which people usually mean them."""

    COMMON = 0
    FUND = 1
    LESSER = 2  # preferreds, warrants, units, rights, notes, when-issued and test symbols, duplicates


def kind_of(row: Listed) -> Kind:
    """The kind by the row alone; duplicates are found by `duplicates`."""
    if _LESSER_SYMBOL.search(row.symbol) or not row.name.strip():
        return Kind.LESSER
    if row.asset_type == "ETF" or row.exchange in FUND_VENUES or _FUND.search(row.name):
        return Kind.FUND
    return Kind.LESSER if _LESSER_NAME.search(row.name) else Kind.COMMON


def duplicates(rows: Iterable[Listed]) -> set[str]:
    """Symbols whose name is that of a shorter symbol too: a share's second venue, or another security of the company."""
    first: dict[str, str] = {}
    found: set[str] = set()
    for row in sorted(rows, key=lambda row: (len(row.symbol), row.symbol)):
        name = row.name.upper().strip()
        if name and first.setdefault(name, row.symbol) != row.symbol:
            found.add(row.symbol)
    return found
