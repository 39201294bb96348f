"""Symbols in requests. Any spelling is accepted and normalized to the provider's."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from api.quotes.listing import LISTING
from common.core.symbols import normalize_symbol

MAX_SYMBOLS = 100

Symbol = Annotated[
    str,  # only documented here; normalize_symbol checks it, because its error has its own code
    Meta(
        title="a symbol of 1 to 20 characters such as AAPL, BRK-B or TSCO.LON",
        description="In any case; BRK.B, BRK/B and BRK-B are one where the provider lists BRK-B.",
        examples=["AAPL"],
        extra_json_schema={"pattern": "^[A-Za-z0-9^][A-Za-z0-9.&^+:=/-]{0,19}$"},
    ),
]
Symbols = Annotated[
    list[Symbol],
    Meta(
        title=f"1 to {MAX_SYMBOLS} symbols",
        description="Separated by commas, or each in a parameter of its own: `symbols=A&symbols=B`, `symbols[]=A&symbols[]=B`.",
        min_length=1,
        max_length=MAX_SYMBOLS,
    ),
]


class SymbolsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Many symbols at once."""

    symbols: Symbols

    def wanted(self, request: web.Request) -> list[str]:
        """Each once, in the provider's spelling; raise `InvalidSymbol`."""
        return list(dict.fromkeys(normalize(request, symbol) for symbol in self.symbols))


def normalize(request: web.Request, text: str) -> str:
    """A symbol as this process's copy of the listing spells it; raise `InvalidSymbol`."""
    return normalize_symbol(text, request.app[LISTING].known)


def symbol_of(request: web.Request) -> str:
    """The symbol in a path."""
    return normalize(request, request.match_info["symbol"])
