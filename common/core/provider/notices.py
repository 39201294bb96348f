"""Classify the texts of the provider's notices: about a limit, the key or the call. The bodies are parsed in alpha_vantage.py.

A text may name several limits: the one that is used up, and those of the plan. So first look for sentences that say a period is used up,
and take the longest period; then look for known phrases in a fixed order.
"""

import re
from collections.abc import Iterator

from common.core.provider.outcomes import Outcome

# Tried in this order on the lower-cased text: the notice about a second also mentions the day and premium endpoints.
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

# The longest first: the first match decides. A used-up month is treated as a used-up day.
PERIODS: tuple[tuple[Outcome, re.Pattern[str]], ...] = tuple(
    (outcome, re.compile(rf"(?:\b(?:per|an?|each|every|this)[ -]|\w ?/ ?)(?:{units})\b|\b(?:{adverbs})\b"))
    for outcome, units, adverbs in (
        (Outcome.DAY_USED_UP, "months?|mo|days?|d|24 hours", "monthly|daily|today|24-hour|(?:day|month)-level"),
        (Outcome.THROTTLED_MINUTE, "hours?|h|minutes?|mins?|m", "hourly|(?:hour|minute)-level"),
        (Outcome.THROTTLED_SECOND, "seconds?|secs?|s", "second-level"),
    )
)
_KEY = re.compile(rf"{DETECTED} \S+")  # a key may look like a period
_SENTENCE = re.compile(r"(?<=[.;!?])\s+")
_ASIDE = re.compile(r"\([^()]*\)")
_USED_UP = re.compile(
    r"\b(?:reached|exceed(?:ed|s|ing)?|exhausted|consumed|depleted|used (?:up|all)|ran out|run out|hit)\b"
)
_SUPPOSED = re.compile(r"\b(?:if|unless|until|before|when|once|avoid|not|never|without|will|would|may|might|could)\b")
_STATED = re.compile(rf"{DETECTED}|\blimits? (?:is|are|of)\b")
_ADVICE = re.compile(r"\b(?:please|consider|subscribe|upgrade|you may|would like|premium plans?)\b")


def notice(text: str) -> Outcome:
    """The outcome that a notice stands for; `unknown_notice` if its text is unknown."""
    lowered = " ".join(text.lower().split())
    if (used_up := _used_up(_KEY.sub(DETECTED, lowered))) is not None:
        return used_up
    for outcome, phrases in NOTICES:
        if any(phrase in lowered for phrase in phrases):
            return outcome
    return Outcome.UNKNOWN_NOTICE


def _used_up(text: str) -> Outcome | None:
    """The longest period that the text says is used up. In a notice about a burst, stated limits are the plan's and not used up."""
    sentences = _SENTENCE.split(text)
    claims = [_claim(each) for each in sentences if _USED_UP.search(each) and not _SUPPOSED.search(each)]
    if not any(map(_period, claims)) and not any(phrase in text for phrase in BURST):
        claims = list(_stated(text, sentences))
    return _period(" ".join(claims))


def _stated(text: str, sentences: list[str]) -> Iterator[str]:
    """Sentences that state a limit. In a notice that names the key, these are all sentences but the advice."""
    for each in sentences:
        if not _ADVICE.search(each) and (DETECTED in text or _STATED.search(each)):
            yield each


def _claim(sentence: str) -> str:
    """A sentence without its parentheses, unless only they name a period."""
    plain = _ASIDE.sub(" ", sentence)
    return plain if _period(plain) else sentence


def _period(text: str) -> Outcome | None:
    return next((outcome for outcome, named in PERIODS if named.search(text)), None)
