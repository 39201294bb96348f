"""Which notice a text is: what a sentence says is used up, then phrases in their order."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.provider.notices import notice
from common.core.provider.outcomes import Outcome

SAMPLES = Path(__file__).parents[2] / "samples"
DETECTED = "We have detected your API key as SAMPLEKEY12345"
ADVICE = "Please subscribe to any of the premium plans to instantly remove all daily rate limits."


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


# The notices whose texts hold the phrases of several lines.
@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("1 request per second; 25 requests per day; premium endpoints; call frequency", Outcome.THROTTLED_SECOND),
        ("5 calls per minute and 500 calls per day; a premium endpoint", Outcome.THROTTLED_MINUTE),
        ("a premium feature; the parameter apikey is invalid or missing", Outcome.NOT_ENTITLED),
        ("The **demo** API key; 25 requests per day; invalid api call", Outcome.BAD_KEY),
        ("We have detected your API key as X; this function does not exist", Outcome.DAY_USED_UP),
        ("INVALID API CALL.", Outcome.BAD_REQUEST),
        ("", Outcome.UNKNOWN_NOTICE),
    ],
)
def test_the_order_decides_between_texts_that_speak_of_several_things(text: str, outcome: Outcome) -> None:
    assert outcome == notice(text)


def test_the_recorded_notice_for_a_second_is_such_a_text() -> None:
    [text] = json.loads(sample("notice_throttled_second.json")).values()

    assert all(phrase in text for phrase in ("rate limit", "25 requests per day", "premium endpoints"))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"{DETECTED} and our limit is 25 requests per day, 5 calls per minute, 100 a month. {ADVICE}", "day_used_up"),
        (f"{DETECTED} and our limit is 5 calls per minute, 100 a month. {ADVICE}", "day_used_up"),
        (f"{DETECTED}. Our standard limits: 5 calls a minute; 25 requests a day.", "day_used_up"),
        (f"{DETECTED} and our standard API call frequency is 5 calls per minute and 500 calls per day.", "day_used_up"),
        (f"{DETECTED} and our standard API rate limit is 5 requests per minute. {ADVICE}", "throttled_minute"),
        (f"{DETECTED.replace('SAMPLEKEY12345', 'monthly')} and our limit is 5 calls per minute.", "throttled_minute"),
        ("You have reached your daily limit of 25 requests (5 calls per minute).", "day_used_up"),
        ("You have reached your limit (25 requests per day, 5 calls per minute).", "day_used_up"),
        ("You have exceeded 25 requests/day and 5 requests/minute", "day_used_up"),
        ("Your monthly quota is exhausted: 5 calls per minute and 100 per month.", "day_used_up"),
        ("You have used up all requests for today. Keys have 1 request per second.", "day_used_up"),
        ("You have exceeded 5 calls per minute. The free plan has 25 requests per day.", "throttled_minute"),
        ("You have reached 5 calls per minute (the plan has 25 requests per day).", "throttled_minute"),
        ("The limit of 1 request per second is exceeded. The plan has 5 calls per minute.", "throttled_second"),
    ],
)
def test_the_longest_period_that_a_text_names_as_used_up_decides(text: str, outcome: str) -> None:
    assert outcome == notice(text)


@pytest.mark.parametrize(
    "text",
    [
        "Burst pattern detected. Keys have 1 request per second, 5 calls per minute, 25 requests per day.",
        "Burst pattern detected. Our standard API rate limit is 25 requests per day.",
        "Please consider spreading out your requests, or you will hit the limit of 25 requests per day.",
        "Please consider spreading out your requests. If you exceed 25 requests per day, all of them are refused.",
    ],
)
def test_a_burst_that_merely_mentions_the_plans_limits_is_throttled_for_a_second(text: str) -> None:
    assert Outcome.THROTTLED_SECOND == notice(text)


def test_a_burst_on_a_day_that_is_used_up_ends_with_the_day() -> None:
    text = "Burst pattern detected. You have reached your limit of 25 requests per day."

    assert Outcome.DAY_USED_UP == notice(text)


@given(text=st.text(max_size=200) | st.text("detcyouraplimsxhk ()./0158", max_size=200))
def test_every_text_is_some_notice(text: str) -> None:
    assert notice(text) in Outcome
