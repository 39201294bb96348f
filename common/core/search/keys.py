"""Sorted texts, and the row that each is of: found by the whole text or by its beginning, in the time of a bisection."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

AFTER = "\U0010ffff"  # a prefix with this behind it sorts after all that begins with the prefix


@dataclass(frozen=True, slots=True)
class Keys:
    """`rows[n]` is the row of `texts[n]`; a text may be there for several rows, and a row for several texts."""

    texts: Sequence[str]
    rows: Sequence[int]

    def equal(self, text: str) -> Sequence[int]:
        """The rows of a text, in the order in which they came."""
        first = bisect_left(self.texts, text)
        return self.rows[first : bisect_right(self.texts, text, first)]

    def starting(self, prefix: str) -> Sequence[int]:
        """The rows of all texts that begin so, by text."""
        first = bisect_left(self.texts, prefix)
        return self.rows[first : bisect_left(self.texts, prefix + AFTER, first)]


def build_keys(pairs: Iterable[tuple[str, int]]) -> Keys:
    """Keys of texts and their rows, each pair once. Equal texts are one string; their rows stay in the order in which they came."""
    ordered = sorted(dict.fromkeys(pairs), key=itemgetter(0))
    one: dict[str, str] = {}
    return Keys([one.setdefault(text, text) for text, _ in ordered], array("I", (row for _, row in ordered)))
