"""Which notice a text of the provider's is: that of a limit, of a key or of a call. It knows texts, not the bodies that they come in.

A text can speak of several limits at once: of the one that is used up, and of those that the plan has. First come periods that a sentence
says are used up, the longest of them; then phrases in a fixed order.
"""

import re
from collections.abc import Iterator

from common.core.provider.outcomes import Outcome

# Judged in this order, over the lower-cased text: the notice for a second also speaks of the day and of premium endpoints.
NOTICES: tuple[tuple[Outcome, tuple[str, ...]], ...] = (
    (Outcome.THROTTLED_SECOND, ("spreading out", "per second", "burst pattern")),
    (
        Outcome.THROTTLED_MINUTE,
        ("minute-level rate limit", "calls per minute", "call frequency", "higher api call volume"),
    ),
    (Outcome.NOT_ENTITLED, ("premium endpoint", "premium feature", "not yet entitled")),
    (Outcome.BAD_KEY, ("**demo** api key", "apikey is invalid or missing")),
    (Outcome.DAY_USED_UP, ("requests per day", "calls per day", "detected your api key as")),
    (Outcome.BAD_REQUEST, ("invalid api call", "does not exist")),
)
BURST, DETECTED = ("spreading out", "burst pattern"), "detected your api key as"

# The longest first: the first that is used up decides. A month that is used up is no shorter than a day.
PERIODS: tuple[tuple[Outcome, re.Pattern[str]], ...] = tuple(
    (outcome, re.compile(rf"(?:\b(?:per|an?|each|every|this)[ -]|\w ?/ ?)(?:{units})\b|\b(?:{adverbs})\b"))
    for outcome, units, adverbs in (
        (Outcome.DAY_USED_UP, "months?|mo|days?|d|24 hours", "monthly|daily|today|24-hour|(?:day|month)-level"),
        (Outcome.THROTTLED_MINUTE, "hours?|h|minutes?|mins?|m", "hourly|(?:hour|minute)-level"),
        (Outcome.THROTTLED_SECOND, "seconds?|secs?|s", "second-level"),
    )
)
_KEY = re.compile(rf"{DETECTED} \S+")  # whatever it is, it names no period
_SENTENCE = re.compile(r"(?<=[.;!?])\s+")
_ASIDE = re.compile(r"\([^()]*\)")
_USED_UP = re.compile(
    r"\b(?:reached|exceed(?:ed|s|ing)?|exhausted|consumed|depleted|used (?:up|all)|ran out|run out|hit)\b"
)
_SUPPOSED = re.compile(r"\b(?:if|unless|until|before|when|once|avoid|not|never|without|will|would|may|might|could)\b")
_STATED = re.compile(rf"{DETECTED}|\blimits? (?:is|are|of)\b")
_ADVICE = re.compile(r"\b(?:please|consider|subscribe|upgrade|you may|would like|premium plans?)\b")


def notice(text: str) -> Outcome:
    """Which notice a text is; `unknown_notice` where it cannot be told."""
    lowered = " ".join(text.lower().split())
    if (used_up := _used_up(_KEY.sub(DETECTED, lowered))) is not None:
        return used_up
    for outcome, phrases in NOTICES:
        if any(phrase in lowered for phrase in phrases):
            return outcome
    return Outcome.UNKNOWN_NOTICE


def _used_up(text: str) -> Outcome | None:
    """The longest period that the text says is used up. A notice about a burst may state the plan's limits beside: they are not."""
    sentences = _SENTENCE.split(text)
    claims = [_claim(each) for each in sentences if _USED_UP.search(each) and not _SUPPOSED.search(each)]
    if not any(map(_period, claims)) and not any(phrase in text for phrase in BURST):
        claims = list(_stated(text, sentences))
    return _period(" ".join(claims))


def _stated(text: str, sentences: list[str]) -> Iterator[str]:
    """Sentences that state a limit. Where the key is detected, that is all of them but the advice."""
    for each in sentences:
        if not _ADVICE.search(each) and (DETECTED in text or _STATED.search(each)):
            yield each


def _claim(sentence: str) -> str:
    """A sentence without what it says in brackets, unless only that names a period."""
    plain = _ASIDE.sub(" ", sentence)
    return plain if _period(plain) else sentence


def _period(text: str) -> Outcome | None:
    return next((outcome for outcome, named in PERIODS if named.search(text)), None)
