"""Parse one field of an answer: text, name, number or day. The provider writes null in many ways.

The results can be stored and shown: no control characters, no markup, numbers and days within bounds.
"""

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from html import unescape
from html.entities import html5
from typing import Any

from common.core.symbols import normalize_symbol
from common.errors import InvalidSymbol

NULLS = frozenset({"None", "-", ".", "null", "N/A", "n/a", ""})
MAX_TEXT_LENGTH = 200  # characters that are kept
MAX_NUMBER_LENGTH = 40  # characters
EARLIEST, LATEST = date(1700, 1, 1), date(2199, 12, 31)  # no stock exchange data is older
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})((?:[ TZ+-].*)?)", re.DOTALL)
_REFERENCE = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def read_text(value: Any) -> str:
    """A text without control characters, at most 200 characters; "" for null."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    text = str(value)
    text = text.strip() if text.isprintable() else printable(text)
    return "" if text in NULLS else text[:MAX_TEXT_LENGTH].rstrip()


def printable(text: str) -> str:
    """Replace control characters by blanks. PostgreSQL would refuse a NUL or half a surrogate pair."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def read_name(value: Any) -> str:
    """A text with character references resolved, also if escaped twice: `AT&AMP;T`, `MACY&#39;S`. A reference needs its `;`."""
    text = read_text(value)
    return read_text(_REFERENCE.sub(_character, _REFERENCE.sub(_character, text))) if "&" in text else text


def read_symbol(value: Any) -> str:
    """A symbol in the provider's spelling, upper-case; "" if it is no valid symbol."""
    symbol = read_name(value).upper()
    try:
        normalize_symbol(symbol)
    except InvalidSymbol:
        return ""
    return symbol


def _character(reference: re.Match[str]) -> str:
    """Resolve one reference, in any case: in names, mostly capitals, they are `&AMP;`, `&EACUTE;`, `&APOS;`."""
    name = reference[1]
    if name.startswith("#"):
        return unescape(reference[0])
    return next(
        (html5[f"{spelt};"] for spelt in (name, name.capitalize(), name.lower()) if f"{spelt};" in html5), reference[0]
    )


def read_decimal(value: Any) -> Decimal | None:
    """A number of at most 40 characters and magnitude 1e-12 to 1e12, or zero; None for others. `adjusted`, because `abs` can overflow."""
    text = read_text(value)
    if len(text) > MAX_NUMBER_LENGTH or _NUMBER.fullmatch(text) is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not -12 <= number.adjusted() < 12:
        return None
    return number if number else number.copy_abs()


def read_positive(value: Any) -> Decimal | None:
    """A price, above zero; the provider also writes zero for an unknown one."""
    number = read_decimal(value)
    return number if number is not None and number > 0 else None


def read_integer(value: Any) -> int | None:
    number = read_decimal(value)
    return int(number) if number is not None and number >= 0 else None


def read_date(value: Any) -> date | None:
    return read_moment(value)[0]


def read_moment(value: Any) -> tuple[date | None, tuple[int, ...]]:
    """A day, and the numbers of the time after it, which are empty for a plain day."""
    found = _DAY.fullmatch(read_text(value))
    if found is None:
        return None, ()
    try:
        day = date.fromisoformat(found[1])
    except ValueError:
        return None, ()
    numbers = re.findall(r"[0-9]{1,9}", found[2])
    return (day if EARLIEST <= day <= LATEST else None), tuple(map(int, numbers))
