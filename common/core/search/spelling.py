"""Find known texts similar to a misspelt one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

MIN_LENGTH = 4  # letters; a shorter text is similar to too many
MAX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Spellings:
    """Known texts, by length."""

    by_length: Mapping[int, Sequence[str]]

    def near(self, text: str) -> list[tuple[int, float, str]]:
        """Texts with one error, two in eight letters or more, as (errors, unlikeness, text), the nearest first.

        An error is a missing, added or replaced letter, or two swapped ones.
        """
        errors = allowed(text)
        if not errors:
            return []
        lengths = range(len(text) - errors, len(text) + errors + 1)
        known = list(chain.from_iterable(self.by_length.get(length, ()) for length in lengths))
        hits = process.extract(text, known, scorer=OSA.distance, processor=None, score_cutoff=errors, limit=None)
        return sorted((int(errors), _unlikeness(text, hit), hit) for hit, errors, _ in hits)


def _unlikeness(typed: str, meant: str) -> float:
    """From 0 to 1: swapped letters are the likeliest error, a wrong first letter the least likely."""
    return 0.0 if sorted(typed) == sorted(meant) else JaroWinkler.distance(typed, meant)


def allowed(text: str) -> int:
    """How many errors a text may have."""
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        return 0
    return 1 if len(text) < 8 else 2


def build_spellings(texts: Iterable[str]) -> Spellings:
    by_length: dict[int, list[str]] = {}
    for text in sorted(set(texts)):
        if MIN_LENGTH - 1 <= len(text) <= MAX_LENGTH + 2:
            by_length.setdefault(len(text), []).append(text)
    return Spellings(by_length)
