"""The grammar of limits, and the plans that are sold under a name."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.limits import PLANS, UNITS, Rule, longest_period, parse_limits, slowest
from common.errors import InvalidSettings

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("5/min", (Rule(5, MINUTE),)),
        ("5/1min", (Rule(5, MINUTE),)),
        ("1/s", (Rule(1, SECOND),)),
        ("1/1sec", (Rule(1, SECOND),)),
        ("1/2s", (Rule(1, 2 * SECOND),)),
        ("100/h", (Rule(100, HOUR),)),
        ("25/d", (Rule(25, DAY),)),
        ("25/1day", (Rule(25, DAY),)),
        ("500/30d", (Rule(500, 30 * DAY),)),
        ("1500/60s", (Rule(1500, MINUTE),)),
        ("1/2s,5/1min,25/1d", (Rule(1, 2 * SECOND), Rule(5, MINUTE), Rule(25, DAY))),
        (" 25/1d , 5/min ", (Rule(5, MINUTE), Rule(25, DAY))),
        ("9999999/999999s", (Rule(9999999, 999999 * SECOND),)),
    ],
)
def test_limits_are_read_shortest_period_first(text: str, rules: tuple[Rule, ...]) -> None:
    assert rules == parse_limits(text, "PROVIDER_LIMITS")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "5", "5/", "/min", "5/minute", "5/m", "5 / min", "5/1 min", "5/MIN", "5per min", "-5/min"),
        *("0/min", "5/0s", "05/min", "5.5/min", "5/1.5s", "1e3/min", "+5/min", "٥/min", "5/min\n5/s", "5/min;1/s"),
        *("5/min,", ",5/min", "5/min,,1/s", "12345678/min", "5/1234567s"),
        *("5/min,6/min", "5/min,1/60s", "25/d,25/24h"),  # two rules for one period
    ],
)
def test_a_wrong_limit_is_refused_by_its_name_and_its_text(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^--budget: expected ") as caught:
        parse_limits(text, "--budget")

    assert caught.value.code == "invalid_settings"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("5/min", "5/1min"),
        ("1/s", "1/1s"),
        ("5/60s", "5/1min"),
        ("5/90s", "5/90s"),
        ("25/24h", "25/1d"),
        ("9/h", "9/1h"),
    ],
)
def test_a_rule_is_written_in_its_largest_whole_unit(text: str, canonical: str) -> None:
    [rule] = parse_limits(text, "limits")

    assert canonical == str(rule)


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 9_999_999), st.integers(1, 9_999), st.sampled_from(list(UNITS))),
        min_size=1,
        max_size=5,
        unique_by=lambda part: part[1] * UNITS[part[2]],
    )
)
def test_what_is_written_reads_as_the_same_limits(parts: list[tuple[int, int, str]]) -> None:
    rules = parse_limits(",".join(f"{calls}/{count}{unit}" for calls, count, unit in parts), "limits")

    assert rules == parse_limits(",".join(map(str, rules)), "limits")
    assert {(calls, count * UNITS[unit]) for calls, count, unit in parts} == {
        (rule.calls, rule.period.total_seconds()) for rule in rules
    }


def test_the_plans_are_those_that_are_sold() -> None:
    assert {name: (",".join(map(str, plan.limits)), plan.data) for name, plan in PLANS.items()} == {
        "free": ("1/2s,5/1min,25/1d", "end_of_day"),
        "standard": ("1/1s,5/1min", "realtime"),
        "premium-75": ("10/1s,75/1min", "realtime"),
        "premium-150": ("10/1s,150/1min", "realtime"),
        "premium-300": ("20/1s,300/1min", "realtime"),
        "premium-600": ("20/1s,600/1min", "realtime"),
        "premium-1200": ("30/1s,1200/1min", "realtime"),
    }


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1/1s,5/1min", "5/1min"),
        ("1/2s,5/1min,25/1d", "5/1min"),  # a day's quota is a pace of its own
        ("1/1min,500/1h", "1/1min"),
        ("5/1min,60/1h", "60/1h"),
        ("1/30s,500/1h", "1/30s"),
        ("25/1d", "25/1d"),
        ("500/1d,600/30d", "600/30d"),
    ],
)
def test_the_slowest_rule_under_a_day_sets_the_pace(text: str, rule: str) -> None:
    assert rule == str(slowest(parse_limits(text, "limits")))


@pytest.mark.parametrize(("text", "per_minute"), [("5/1min", 5), ("1/2s", 30), ("60/1h", 1), ("1440/1d", 1)])
def test_a_rule_knows_its_calls_a_minute(text: str, per_minute: float) -> None:
    [rule] = parse_limits(text, "limits")

    assert per_minute == pytest.approx(rule.per_minute)


def test_the_longest_period_is_that_of_the_last_rule() -> None:
    assert longest_period(PLANS["free"].limits) == DAY
