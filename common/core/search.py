"""Which symbols a few typed letters mean: an index over the provider's listing, built once and asked often. It fetches nothing.

Symbols and names are compared by their words: without case, accents and signs. So `BRK.B`, `brk-b` and `brk b` are one.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import nsmallest
from itertools import accumulate, chain

from common.core.models import Listed, Match
from common.core.symbols import normalize_symbol
from common.errors import InvalidRequest, InvalidSymbol

BEST = 10
LONGEST_QUERY = 40
SIGNS = frozenset(" .,:;&'()+-*/=^!%#$@_")
SYMBOL, START, WORDS, WITHIN = (Decimal(score) for score in ("1", "0.8", "0.6", "0.4"))
AFTER = "\U0010ffff"  # a prefix with this behind it sorts after all that begins with the prefix
_WORD = re.compile(r"[^\W_]+")


def normalize_query(text: str) -> str:
    """`  apple  inc` -> `APPLE INC`, the spelling that the line and the store use; raise `InvalidRequest` for what cannot be one."""
    query = unicodedata.normalize("NFC", " ".join(text.upper().split()))
    if not 1 <= len(query) <= LONGEST_QUERY or not _words(query) or not all(map(_is_typed, query)):
        raise InvalidRequest(
            f"expected a search of 1 to {LONGEST_QUERY} letters, digits and signs such as . & -, not {text[:50]!r}"
        )
    return query


def _is_typed(character: str) -> bool:
    """Letters and digits of any script, their marks, and a few signs."""
    return character in SIGNS or unicodedata.category(character)[0] in "LMN"


def _words(text: str) -> list[str]:
    """Upper-case words without accents."""
    plain = unicodedata.normalize("NFKD", text)
    return _WORD.findall("".join(character for character in plain if not unicodedata.combining(character)).upper())


@dataclass(frozen=True, slots=True)
class Index:
    """Rows in the order they have at equal rank; a row's number stands for it everywhere.

    `symbols` and `names` are sorted; `symbol_rows` and `name_rows` say whose they are. `words` are sorted, `word_rows` say who has
    them, and `counts[n]` how many rows the first n words have. `text` is all names, a line each; a row's begins at `starts[row]`.
    """

    matches: Sequence[Match]
    symbols: Sequence[str]
    symbol_rows: Sequence[int]
    names: Sequence[str]
    name_rows: Sequence[int]
    words: Sequence[str]
    word_rows: Sequence[Sequence[int]]
    counts: Sequence[int]
    text: str
    starts: Sequence[int]

    def find(self, query: str) -> list[Match]:
        """At most ten, best first: the symbol itself, symbols that begin so (shorter first), names that begin so, names of which
        every word of the query begins a word, names that hold it. `score` tells the four kinds apart, and no more."""
        found: dict[int, Decimal] = {}
        for score, row in self._ranked(_words(query)):
            found.setdefault(row, score)
            if len(found) == BEST:
                break
        return [_scored(self.matches[row], score) for row, score in found.items()]

    def has(self, symbol: str) -> bool:
        """Whether the listing has a symbol, in the spelling of `normalize_symbol`."""
        first, last = (side(self.symbols, "-".join(_words(symbol))) for side in (bisect_left, bisect_right))
        return any(_is_spelt(self.matches[row].symbol, symbol) for row in self.symbol_rows[first:last])

    def _ranked(self, words: Sequence[str]) -> Iterator[tuple[Decimal, int]]:
        """Each kind is looked for only when those before it did not suffice."""
        if words:
            yield from ((SYMBOL, row) for row in self._by_symbol("-".join(words)))
            yield from ((START, row) for row in self._by_start(" ".join(words)))
            yield from ((WORDS, row) for row in self._by_words(words))
            yield from ((WITHIN, row) for row in self._within(" ".join(words)))

    def _by_symbol(self, prefix: str) -> list[int]:
        first, last = _range(self.symbols, prefix)
        nearest = nsmallest(BEST, range(first, last), key=lambda at: (len(self.symbols[at]), self.symbol_rows[at]))
        return [self.symbol_rows[at] for at in nearest]

    def _by_start(self, prefix: str) -> list[int]:
        first, last = _range(self.names, prefix)
        return nsmallest(2 * BEST, self.name_rows[first:last])  # as many as may have been found already, and ten

    def _by_words(self, prefixes: Sequence[str]) -> list[int]:
        """The rarest first: what it leaves is all that the others need to look at."""
        ranges = {_range(self.words, prefix) for prefix in prefixes}
        rows: set[int] | None = None
        for first, last in sorted(ranges, key=lambda found: self.counts[found[1]] - self.counts[found[0]]):
            these = chain.from_iterable(self.word_rows[first:last])
            rows = set(these) if rows is None else rows.intersection(these)
            if not rows:
                break
        return nsmallest(2 * BEST, rows or ())

    def _within(self, part: str) -> Iterator[int]:
        at = self.text.find(part)
        while at >= 0:
            row = bisect_right(self.starts, at) - 1
            yield row
            at = self.text.find(part, self.starts[row + 1])


def _range(texts: Sequence[str], prefix: str) -> tuple[int, int]:
    """From where to where sorted texts begin with a prefix."""
    first = bisect_left(texts, prefix)
    return first, bisect_left(texts, prefix + AFTER, first)


def _is_spelt(listed: str, symbol: str) -> bool:
    try:
        return normalize_symbol(listed) == symbol
    except InvalidSymbol:
        return False


def _scored(match: Match, score: Decimal) -> Match:
    return Match(match.symbol, match.name, match.type, match.region, match.currency, score)


def build_index(listed: Iterable[Listed]) -> Index:
    """An index over a listing, whatever its order. At equal rank a stock goes before an ETF, then a shorter name, then by symbol."""
    rows = sorted(listed, key=lambda row: (row.asset_type == "ETF", len(row.name), row.symbol))
    spelt = [_words(row.name) for row in rows]
    lines = [" ".join(words) for words in spelt]
    symbols = sorted(("-".join(_words(row.symbol)), number) for number, row in enumerate(rows))
    names = sorted((line, number) for number, line in enumerate(lines))
    words = sorted(_holders(spelt).items())
    return Index(
        matches=[_match(row) for row in rows],
        symbols=[symbol for symbol, _ in symbols],
        symbol_rows=[number for _, number in symbols],
        names=[name for name, _ in names],
        name_rows=[number for _, number in names],
        words=[word for word, _ in words],
        word_rows=[numbers for _, numbers in words],
        counts=list(accumulate((len(numbers) for _, numbers in words), initial=0)),
        text="\n".join([*lines, ""]),
        starts=list(accumulate((len(line) + 1 for line in lines), initial=0)),
    )


def _holders(spelt: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Which rows have a word in their name."""
    holders: dict[str, list[int]] = {}
    for number, words in enumerate(spelt):
        for word in set(words):
            holders.setdefault(word, []).append(number)
    return holders


def _match(row: Listed) -> Match:
    """The listing is of US symbols; it calls shares Stock where search says Equity."""
    kind = "Equity" if row.asset_type == "Stock" else row.asset_type
    return Match(row.symbol, row.name, kind, "United States", "USD", SYMBOL)
