"""Sorted texts and their rows, found by the whole text or by its beginning in logarithmic time."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

AFTER = "\U0010ffff"  # a prefix followed by this sorts after every text with the prefix


@dataclass(frozen=True, slots=True)
class Keys:
    """`rows[n]` is the row of `texts[n]`; a text may have several rows, and a row several texts."""

    texts: Sequence[str]
    rows: Sequence[int]

    def equal(self, text: str) -> Sequence[int]:
        """The rows of a text, in the order of insertion."""
        first = bisect_left(self.texts, text)
        return self.rows[first : bisect_right(self.texts, text, first)]

    def starting(self, prefix: str) -> Sequence[int]:
        """The rows of all texts that start with `prefix`, by text."""
        first = bisect_left(self.texts, prefix)
        return self.rows[first : bisect_left(self.texts, prefix + AFTER, first)]


def build_keys(pairs: Iterable[tuple[str, int]]) -> Keys:
    """Build keys, without repeated pairs. Equal texts share one string object to save memory; their rows keep their order."""
    ordered = sorted(dict.fromkeys(pairs), key=itemgetter(0))
    one: dict[str, str] = {}
    return Keys([one.setdefault(text, text) for text, _ in ordered], array("I", (row for _, row in ordered)))
