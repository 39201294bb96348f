"""How a symbol is spelt. Callers pass the listing, to say which symbols exist."""

import re
from collections.abc import Container

from common.errors import InvalidSymbol

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.&^+:=/-]{0,19}")
_CLASS_SHARE = re.compile(r"([A-Z]{1,4})\.([A-Z])")
_SEPARATED = re.compile(r"[A-Z0-9]+(?:(?:[./-]| +)[A-Z0-9]+)+")
_SEPARATOR = re.compile(r"[./-]| +")


def normalize_symbol(text: str, known: Container[str] | None = None) -> str:
    """The provider's spelling: `brk.b`, `brk/b` and `brk b` become BRK-B, if that is `known` and the typed text is not.

    `known`: the listing's symbols; None: there is no listing yet, so a dot before a single letter is taken for a class share's. Raise
    `InvalidSymbol` for a text that cannot be a symbol.
    """
    symbol = text.strip(" ").upper()
    if known is None:
        symbol = _CLASS_SHARE.sub(r"\1-\2", symbol) if _CLASS_SHARE.fullmatch(symbol) else symbol
    elif symbol not in known and (dashed := _dashed(symbol)) in known:
        symbol = dashed
    if not text.isascii() or not is_symbol(symbol):
        raise InvalidSymbol(
            f"expected a symbol of 1 to 20 characters such as AAPL, BRK-B or TSCO.LON, not {text[:40]!r}"
        )
    return symbol


def is_symbol(text: str) -> bool:
    """Whether a text is a valid symbol as it is."""
    return _SYMBOL.fullmatch(text) is not None


def spellings(text: str) -> list[str]:
    """The valid symbols that a typed text may mean: look these up for `known`."""
    symbol = text.strip(" ").upper()
    return [spelt for spelt in dict.fromkeys((symbol, _dashed(symbol))) if is_symbol(spelt)]


def stored_spellings(text: str, known: Container[str] | None = None) -> list[str]:
    """The spellings under which a typed symbol may be stored: as typed, today's, then earlier ones that are not another listed symbol's.

    Raise `InvalidSymbol`.
    """
    symbol = normalize_symbol(text, known)
    separated = [_SEPARATOR.sub(sign, symbol) for sign in "-/."] if _SEPARATED.fullmatch(symbol) else []
    earlier = (spelt for spelt in separated if known is None or spelt not in known)
    return list(dict.fromkeys((text.strip(" ").upper(), symbol, *earlier)))


def stored_as(text: str, stored: Container[str], known: Container[str] | None = None) -> str:
    """The stored symbol that a text means, or today's spelling if none is stored. Raise `InvalidSymbol`."""
    meant = (spelt for spelt in stored_spellings(text, known) if spelt in stored)
    return next(meant, normalize_symbol(text, known))


def _dashed(symbol: str) -> str:
    return _SEPARATOR.sub("-", symbol) if _SEPARATED.fullmatch(symbol) else symbol
