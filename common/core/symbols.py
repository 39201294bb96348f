"""How a symbol is spelt. Which symbols exist it is told by whoever has the listing."""

import re
from collections.abc import Container

from common.errors import InvalidSymbol

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.&^+:=/-]{0,19}")
_CLASS_SHARE = re.compile(r"([A-Z]{1,4})\.([A-Z])")
_SEPARATED = re.compile(r"[A-Z0-9]+(?:(?:[./-]| +)[A-Z0-9]+)+")
_SEPARATOR = re.compile(r"[./-]| +")


def normalize_symbol(text: str, known: Container[str] | None = None) -> str:
    """The spelling the provider uses: `brk.b`, `brk/b` and `brk b` are BRK-B where it is `known` and what is typed is not.

    `known`: the listing's symbols; None: there is no listing yet, and a dot before a single letter is a class share's. Raise
    `InvalidSymbol` for what cannot be a symbol.
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
    """Whether it can be asked for, as it is."""
    return _SYMBOL.fullmatch(text) is not None


def spellings(text: str) -> list[str]:
    """The symbols that may be meant by what is typed: what `known` must answer for."""
    symbol = text.strip(" ").upper()
    return [spelt for spelt in dict.fromkeys((symbol, _dashed(symbol))) if is_symbol(spelt)]


def stored_spellings(text: str, known: Container[str] | None = None) -> list[str]:
    """How what is typed may have been stored, today's spelling and earlier ones; none is that of another listed symbol.

    As typed first. Raise `InvalidSymbol`.
    """
    symbol = normalize_symbol(text, known)
    separated = [_SEPARATOR.sub(sign, symbol) for sign in "-/."] if _SEPARATED.fullmatch(symbol) else []
    earlier = (spelt for spelt in separated if known is None or spelt not in known)
    return list(dict.fromkeys((text.strip(" ").upper(), symbol, *earlier)))


def stored_as(text: str, stored: Container[str], known: Container[str] | None = None) -> str:
    """Which of what is stored is meant; today's spelling if none is. Raise `InvalidSymbol`."""
    meant = (spelt for spelt in stored_spellings(text, known) if spelt in stored)
    return next(meant, normalize_symbol(text, known))


def _dashed(symbol: str) -> str:
    return _SEPARATOR.sub("-", symbol) if _SEPARATED.fullmatch(symbol) else symbol
