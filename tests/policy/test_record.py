"""The figures that the simulated days are judged by, at records small enough to reckon by hand."""

from datetime import timedelta

import pytest

from common.core.limits import Rule
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from tests.policy.day import at
from tests.policy.record import Call, mean_and_greatest, most_in, over_limit

START = at("2026-11-23T15:00")
MINUTE = timedelta(minutes=1)


def calls(*seconds: float, taking: float = 1) -> list[Call]:
    return [
        Call(
            START + timedelta(seconds=second),
            START + timedelta(seconds=second + taking),
            Function.QUOTE,
            ("A",),
            CallClass.REFRESH,
            Outcome.OK,
        )
        for second in seconds
    ]


@pytest.mark.parametrize(
    ("made", "most"),
    [
        (calls(), 0),
        (calls(0), 1),
        (calls(0, 30, 59), 3),
        (calls(0, 60.5), 2),  # the provider may have seen the first a second late
        (calls(0, 61), 1),
        (calls(0, 10, 61, 71), 2),
        (calls(0, 1, 2, 60), 4),
    ],
)
def test_a_window_counts_what_the_provider_may_have_seen_in_it(made: list[Call], most: int) -> None:
    assert most == most_in(Rule(5, MINUTE), made)


def test_a_broken_rule_is_named_with_its_count() -> None:
    rules = [Rule(2, MINUTE), Rule(3, MINUTE * 2)]

    assert {"2/1min": 3} == over_limit(rules, calls(0, 1, 2))
    assert {} == over_limit(rules, calls(0, 1, 125))


@pytest.mark.parametrize(
    ("refreshed", "since", "until", "mean", "greatest"),
    [
        ([0], 0, 120, 1, 2),
        ([0, 60], 0, 120, 0.5, 1),
        ([0, 60], 60, 120, 0.5, 1),
        ([0], 60, 120, 1.5, 2),
        ([0, 30, 90], 60, 120, 0.5, 1),
    ],
)
def test_age_grows_between_refreshes_and_begins_anew_at_each(
    refreshed: list[float], since: float, until: float, mean: float, greatest: float
) -> None:
    assert (mean, greatest) == pytest.approx(mean_and_greatest(refreshed, since, until))
