"""Normalize companies' names for comparison: without case, accents, apostrophes, signs and markup."""

import html
import re
import unicodedata
from collections.abc import Sequence

APOSTROPHES = "'`´‘’‛ʹʻʼʽˈ′＇"
_UNHEARD = re.compile(rf"[{APOSTROPHES}®™©]|\((?:R|TM|C)\)", re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_WORD = re.compile(r"[^\W_]+")
_CLASS = re.compile(r"\s+-\s.*|\s*\([^()]*\)\s*$")  # `- Class A`, `- Warrants (16/03/2026)`, `(The)`

SILENT = frozenset({"AND", "THE"})
SHORT = {
    "BROTHERS": "BROS",
    "CORPORATION": "CORP",
    "COMPANY": "CO",
    "COMPANIES": "COS",
    "INCORPORATED": "INC",
    "LIMITED": "LTD",
    "HOLDINGS": "HOLDING",
}
LEGAL = frozenset(
    ["INC", "CORP", "CO", "COS", "COM", "LTD", "PLC", "LLC", "LP", "NV", "SA", "AG", "SE", "HOLDING", "GROUP"]
)
CHATTER = LEGAL | frozenset(["STOCK", "STOCKS", "SHARE", "SHARES", "PRICE", "QUOTE", "TICKER"])


def unescape(text: str) -> str:
    """Resolve entities, in capitals and escaped twice too: `S&AMP;P` -> `S&P`."""
    for _ in range(2 if "&" in text else 0):
        text = _ENTITY.sub(_meant, text)
    return text


def _meant(entity: re.Match[str]) -> str:
    meant = html.unescape(entity[0])
    return html.unescape(entity[0].lower()) if meant == entity[0] else meant


def readable(name: str) -> str:
    """A name for display: `McDonald`s Corp &AMP; Sons ` -> `McDonald's Corp & Sons`."""
    return " ".join(unescape(name).replace("`", "'").split())


def words_of(text: str) -> list[str]:
    """Upper-case words without accents; `&` becomes AND, and apostrophes are dropped."""
    plain = _UNHEARD.sub("", unescape(text).upper()).replace("&", " AND ")
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain)
        plain = "".join(character for character in plain if not unicodedata.combining(character)).upper()
    return [SHORT.get(word, word) for word in _WORD.findall(plain)]


def typed_words(query: str) -> list[str]:
    """The words to compare a query by; none if it has only signs."""
    return heard(words_of(query)) if _WORD.search(query) else []


def heard(words: Sequence[str]) -> list[str]:
    """The words without `and` and `the`, unless nothing else is left: `johnson and johnson` equals `Johnson & Johnson`."""
    return [word for word in words if word not in SILENT] or list(words)


def core_of(name: str) -> list[str]:
    """The words of a company's name without legal form and class: `Nike Inc - Class B` -> NIKE."""
    words = heard(words_of(_CLASS.sub("", readable(name))))
    while len(words) > 1 and words[-1] in LEGAL:
        words.pop()
    return words


def trimmed(words: Sequence[str]) -> list[str]:
    """Typed words without a legal form or `stock` at the end, complete or not: `coca cola compan` -> COCA COLA."""
    left = list(words)
    while len(left) > 1 and (left[-1] in CHATTER or _begins_legal(left[-1])):
        left.pop()
    return left


def _begins_legal(word: str) -> bool:
    return len(word) > 3 and any(form.startswith(word) for form, short in SHORT.items() if short in LEGAL)
