"""How a symbol is spelt. It does not know which symbols exist."""

import re

from common.errors import InvalidSymbol

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.&^+:=/-]{0,19}")
_CLASS_SHARE = re.compile(r"([A-Z]{1,4})\.([A-Z])")


def normalize_symbol(text: str) -> str:
    """`brk.b` -> `BRK-B`, the spelling the provider uses; raise `InvalidSymbol` for what cannot be one."""
    symbol = text.strip(" ").upper()
    if not text.isascii() or _SYMBOL.fullmatch(symbol) is None:
        raise InvalidSymbol(
            f"expected a symbol of 1 to 20 characters such as AAPL, BRK-B or TSCO.LON, not {text[:40]!r}"
        )
    return _CLASS_SHARE.sub(r"\1-\2", symbol) if _CLASS_SHARE.fullmatch(symbol) else symbol
