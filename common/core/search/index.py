"""Search an index over a listing, and rank the matches. ranking.py builds the index.

Symbols and names are compared by words and by letters without blanks (names.py): `BRK.B`, `brk b` and `BRKB` are equal, and so are
`jp morgan` and `JPMorgan`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum
from heapq import nsmallest
from itertools import islice

from common.core.models import Match
from common.core.search.keys import Keys
from common.core.search.kinds import Kind
from common.core.search.names import trimmed, typed_words
from common.core.search.spelling import MIN_LENGTH, Spellings

BEST = 10  # matches that a search returns
HEAD = 4  # words at a name's beginning that are indexed
MISSPELT = 2  # words of a query that may be misspelt
MAX_RARE_NAMES = 50  # names; a word in more of them identifies none
SHORT_SYMBOL = 3  # letters; longer ones rather begin a name


class Tier(IntEnum):
    """How a row was found, the most certain first."""

    SYMBOL = 0
    ALIAS = 1
    NAME = 2  # the whole name without its legal form
    SHORT_SYMBOL = 3
    HEAD = 4  # whole words at the beginning of the name
    SYMBOL_START = 5
    START = 6
    WORDS = 7  # whole words anywhere
    WORD_STARTS = 8
    NEAR = 9
    WITHIN = 10


class Group(IntEnum):
    """The groups of matches, in order; within a group the tier decides."""

    MEANT = 0  # the typed symbol or brand
    COMMON = 1
    FUND = 2
    NEAR = 3
    LESSER = 4
    WITHIN = 5


GROUPS = {Kind.COMMON: Group.COMMON, Kind.FUND: Group.FUND, Kind.LESSER: Group.LESSER}
SCORES = {
    Tier.SYMBOL: Decimal(1),
    Tier.ALIAS: Decimal("0.95"),
    Tier.NAME: Decimal("0.9"),
    **dict.fromkeys((Tier.SHORT_SYMBOL, Tier.HEAD, Tier.SYMBOL_START, Tier.START), Decimal("0.8")),
    **dict.fromkeys((Tier.WORDS, Tier.WORD_STARTS), Decimal("0.6")),
    Tier.NEAR: Decimal("0.4"),
    Tier.WITHIN: Decimal("0.3"),
}
_SYMBOL = re.compile(r"[\w^:./ $#-]+")  # `at&t` is a name, though there may be an ATT
OF_SYMBOL = frozenset({Tier.SYMBOL, Tier.SHORT_SYMBOL, Tier.SYMBOL_START})
STRONG = SCORES[Tier.WORD_STARTS]  # lower scores are of misspelt words and parts of words
Place = tuple[int, int, int]  # a row's rank: group, tier, place within the tier


@dataclass(frozen=True, slots=True)
class Index:
    """The rows of a listing, in their order at equal rank. A row is referred to by its number.

    `listed`: the row of each symbol. `kinds`: by row. `symbols`, `aliases`, `cores`, `heads` and `names` are texts without blanks; `words`
    are single words. `text`: all names, one a line; row `n` starts at `starts[n]`.
    """

    matches: Sequence[Match]
    listed: Mapping[str, int]
    kinds: bytes
    symbols: Keys
    aliases: Keys
    cores: Keys
    heads: Keys
    names: Keys
    words: Keys
    spellings: Spellings
    text: str
    starts: Sequence[int]

    def __contains__(self, symbol: object) -> bool:
        """The same as `has`."""
        return symbol in self.listed

    def __bool__(self) -> bool:
        """Whether there is a listing."""
        return bool(self.listed)

    def has(self, symbol: str) -> bool:
        """Whether the listing has exactly this symbol."""
        return symbol in self.listed

    def find(self, query: str) -> list[Match]:
        """At most ten matches, best first; `score` is below `STRONG` for misspelt words and parts of words.

        First the symbol itself, a brand, a whole name; then common shares, funds, and other securities, each by the position of the
        words. Misspellings are tried only if no name has the words.
        """
        words, is_symbol = typed_words(query), _SYMBOL.fullmatch(query) is not None
        found = self._strong(words, is_symbol)
        if not found and (words := trimmed(words)):
            found = self._strong(words, is_symbol)
        if len(found) < BEST:
            self._add_weak(found, words)
        best = nsmallest(BEST, found, key=found.__getitem__)
        return [_scored(self.matches[row], SCORES[Tier(found[row][1])]) for row in best]

    def _strong(self, words: Sequence[str], is_symbol: bool) -> dict[int, Place]:
        """Rows found tier by tier, until there are ten that no later tier can outrank."""
        found: dict[int, Place] = {}
        for tier, rows in self._tiers(words, is_symbol) if words else ():
            for place, row in enumerate(rows):
                group = Group.MEANT if tier <= Tier.ALIAS else GROUPS[Kind(self.kinds[row])]
                found.setdefault(row, (group, tier, place))
            if sum(group <= Group.COMMON for group, _, _ in found.values()) >= BEST:
                break
        return found

    def _tiers(self, words: Sequence[str], is_symbol: bool) -> Iterator[tuple[Tier, Sequence[int]]]:
        typed = "".join(words)
        short = len(typed) <= SHORT_SYMBOL
        yield Tier.SYMBOL, self._by_symbol(words) if is_symbol else ()
        yield Tier.ALIAS, self.aliases.equal(typed)
        yield Tier.NAME, self.cores.equal(typed)[:BEST]
        yield Tier.SHORT_SYMBOL, self._by_symbol_start(words) if short else ()
        yield Tier.HEAD, [*(() if short else self.aliases.starting(typed)), *self.heads.equal(typed)[:BEST]]
        yield Tier.SYMBOL_START, () if short else self._by_symbol_start(words)
        yield Tier.START, nsmallest(BEST, self.names.starting(typed))
        yield Tier.WORDS, self._by_words(words, self._rows_of_word)
        yield Tier.WORD_STARTS, self._by_words(words, self.words.starting)

    def _by_symbol(self, words: Sequence[str]) -> Sequence[int]:
        """Rows of a symbol, with or without its sign; of BRKB and BRK-B the typed one first."""
        rows = self._apart(self.symbols.equal("".join(words)), words)
        return sorted(rows, key=lambda row: self.matches[row].symbol != words[0])

    def _by_symbol_start(self, words: Sequence[str]) -> Sequence[int]:
        """Rows whose symbol starts with the words, by kind, the shorter first."""
        return nsmallest(BEST, self._apart(self.symbols.starting("".join(words)), words), key=self._symbol_place)

    def _apart(self, rows: Sequence[int], words: Sequence[str]) -> Sequence[int]:
        """Only symbols with a sign, if the query has several words: `brk b`, `BP.L`."""
        return rows if len(words) == 1 else [row for row in rows if not self.matches[row].symbol.isalnum()]

    def _symbol_place(self, row: int) -> tuple[int, int, int]:
        return self.kinds[row], len(self.matches[row].symbol), row

    def _rows_of_word(self, word: str) -> Sequence[int]:
        """Rows with a word in their name, or as their symbol: `Apple (AAPL)`."""
        named, symbols = self.words.equal(word), self.symbols.equal(word)
        return [*named, *symbols] if symbols else named

    def _by_words(self, words: Sequence[str], find: "Find") -> Sequence[int]:
        return nsmallest(BEST, _common(find(word) for word in dict.fromkeys(words)))

    def _add_weak(self, found: dict[int, Place], words: Sequence[str]) -> None:
        """Add rows with misspelt words, if no share or fund has the words as typed; then rows with the words inside other words."""
        if not any(tier not in OF_SYMBOL and group < Group.NEAR for group, tier, _ in found.values()):
            for place, row in enumerate(self._near(words)):
                found.setdefault(row, (Group.NEAR, Tier.NEAR, place))
        more = (row for row in self._within(" ".join(words)) if row not in found) if words else ()
        for place, row in enumerate(list(islice(more, max(0, BEST - len(found))))):
            found[row] = Group.WITHIN, Tier.WITHIN, place

    def _near(self, words: Sequence[str]) -> Sequence[int]:
        """Rows whose name or its beginning is similar; otherwise rows with similar words."""
        typed = "".join(words)
        places: dict[int, tuple[int, int, float, int, int]] = {}
        for errors, unlikeness, text in self.spellings.near(typed):
            for rank, keys in enumerate((self.aliases, self.cores, self.heads, self.words)):
                for place, row in enumerate(keys.equal(text)[:BEST]):
                    places.setdefault(row, (errors, self.kinds[row], unlikeness, rank, place))
        if len(words) > 1 and not places:
            return self._near_words(dict.fromkeys(words))
        return nsmallest(BEST, places, key=places.__getitem__)

    def _near_words(self, words: Iterable[str]) -> Sequence[int]:
        """Rows with every word or a similar one; otherwise those with the rarest word: `john deere` finds Deere."""
        groups = {word: self.words.starting(word) for word in words}
        wrong = [word for word, rows in groups.items() if not rows]
        for word in wrong if len(wrong) <= MISSPELT else ():
            groups[word] = [row for *_, text in self.spellings.near(word) for row in self.words.equal(text)]
        return nsmallest(BEST, _common(groups.values()) or self._with_rarest(words))

    def _with_rarest(self, words: Iterable[str]) -> Sequence[int]:
        distinctive = [rows for word in words if len(word) >= MIN_LENGTH and (rows := self._rows_of_word(word))]
        return min((rows for rows in distinctive if len(rows) <= MAX_RARE_NAMES), key=len, default=())

    def _within(self, part: str) -> Iterator[int]:
        at = self.text.find(part)
        while at >= 0:
            row = bisect_right(self.starts, at) - 1
            yield row
            at = self.text.find(part, self.starts[row + 1])


Find = Callable[[str], Sequence[int]]


def _common(groups: Iterable[Sequence[int]]) -> Iterable[int]:
    """The rows in all groups. It starts with the smallest group, to keep the sets small."""
    rows: set[int] | None = None
    for group in sorted(groups, key=len):
        rows = set(group) if rows is None else rows.intersection(group)
        if not rows:
            break
    return rows or ()


def _scored(match: Match, score: Decimal) -> Match:
    return replace(match, score=score)
