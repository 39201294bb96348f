"""What each group may take of each rule, as a table."""

from datetime import timedelta

import pytest

from common.core.budget.shares import Ceiling, Shares, ceilings, chart_ceiling, misses_a_minute, most_of_one
from common.core.limits import PLANS, parse_limits

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def of(limits: str, period: timedelta, *, quoted: int = 0) -> dict[str, int]:
    found = ceilings(parse_limits(limits, "x"), Shares(), reserve=0.2, quoted=quoted)
    return {ceiling.group: ceiling.calls for ceiling in found if ceiling.period == period}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("5/1min", {"waiting": 4, "stranger": 1, "unlisted": 1, "unwatched": 1}),
        ("75/1min", {"waiting": 60, "stranger": 15, "trial": 3, "unlisted": 15, "unwatched": 22}),
        ("1/1min", {"waiting": 1, "stranger": 1, "unlisted": 1, "unwatched": 1}),
        ("10/1s", {}),
    ],
)
def test_a_minute_is_shared(limits: str, expected: dict[str, int]) -> None:
    assert expected == of(limits, MINUTE)


@pytest.mark.parametrize(("limits", "minutes"), [("5/1min", 4), ("1/1min", 20), ("20/1min", 1), ("10/1min", 2)])
def test_a_twentieth_that_is_less_than_a_call_is_one_in_a_longer_time(limits: str, minutes: int) -> None:
    found = ceilings(parse_limits(limits, "x"), Shares(), reserve=0.2, quoted=0)

    assert [(1, minutes * MINUTE)] == [(each.calls, each.period) for each in found if each.group == "trial"]


def test_of_a_free_keys_day_people_have_half_and_strangers_a_fifth() -> None:
    expected = {"waiting": 12, "stranger": 5, "trial": 1, "unlisted": 5, "first": 25, "unwatched": 5}

    assert expected == of("1/2s,5/1min,25/1d", DAY)
    assert {"user": 3, "stranger": 1} == most_of_one(PLANS["free"].limits, Shares())
    assert {} == most_of_one(PLANS["standard"].limits, Shares())


@pytest.mark.parametrize(("quoted", "first"), [(0, 25), (3, 22), (12, 13), (26, 13)])
def test_first_quotes_leave_tonights_refreshes_up_to_half_of_a_day(quoted: int, first: int) -> None:
    assert first == of("25/1d", DAY, quoted=quoted)["first"]


@pytest.mark.parametrize(
    ("limits", "misses"), [("5/1min", 3), ("75/1min", 3), ("1200/1min", 60), ("10/1s,100/1min", 5)]
)
def test_one_requester_has_three_misses_a_minute_or_a_twentieth(limits: str, misses: int) -> None:
    assert misses == misses_a_minute(parse_limits(limits, "x"))


@pytest.mark.parametrize(
    ("limits", "quoted", "most"),
    [
        ("25/1d", 0, 2),
        ("25/1d", 18, 2),
        ("25/1d", 19, 1),
        ("25/1d", 20, 0),  # with five for who waits nothing is left
        ("25/1d", 26, 0),
        ("1/1s,5/1min,500/1d", 20, 50),
    ],
)
def test_of_a_day_charts_have_a_tenth_of_what_nobody_else_was_promised(limits: str, quoted: int, most: int) -> None:
    assert (Ceiling("chart", most, DAY),) == chart_ceiling(parse_limits(limits, "x"), reserve=0.2, quoted=quoted)
    assert () == chart_ceiling(PLANS["standard"].limits, reserve=0.2, quoted=quoted)
