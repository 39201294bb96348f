"""One field of the provider's answers: text, number or day, each of which it can say null for in many ways."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

NULLS = frozenset({"None", "-", ".", "null", "N/A", "n/a", ""})


def read_text(value: Any) -> str:
    """What the provider wrote; nothing for each of its ways to say null."""
    text = "" if value is None else str(value).strip()
    return "" if text in NULLS else text


def read_decimal(value: Any) -> Decimal | None:
    """A number of at most 40 characters between 1e-12 and 1e12, or zero. `adjusted` and not `abs`: that one can overflow."""
    text = read_text(value)
    if not text or len(text) > 40:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and -12 <= number.adjusted() < 12 else None


def read_integer(value: Any) -> int | None:
    number = read_decimal(value)
    return int(number) if number is not None and number >= 0 else None


def read_date(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
