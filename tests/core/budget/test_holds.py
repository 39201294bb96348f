"""When the gate closes, and how long until each probe, as a table."""

from datetime import UTC, datetime, timedelta

import pytest

from common.core.budget.holds import Failures, closes_after, hold_after_failure, hold_without_day, most_failures
from common.core.limits import PLANS, Rule, parse_limits
from common.core.provider.outcomes import Outcome

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
FREE, STANDARD, DAY_500 = PLANS["free"].limits, PLANS["standard"].limits, parse_limits("5/1min,500/1d", "x")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def wait(outcome: Outcome, limits: tuple[Rule, ...], failures: Failures) -> timedelta | None:
    hold = hold_after_failure(outcome, limits, failures, NOW)
    return None if hold is None else hold.until - NOW


@pytest.mark.parametrize(("limits", "calls"), [(FREE, 2), (STANDARD, 3), (DAY_500, 3), (parse_limits("99/1d", "x"), 2)])
def test_three_calls_without_an_answer_close_the_gate_and_two_of_a_small_day(
    limits: tuple[Rule, ...], calls: int
) -> None:
    assert calls == closes_after(limits)
    assert wait(Outcome.UNAVAILABLE, limits, Failures(calls - 1)) is None
    assert wait(Outcome.UNAVAILABLE, limits, Failures(calls)) is not None


@pytest.mark.parametrize(
    ("in_a_row", "seconds"), [(3, 15), (4, 30), (5, 60), (6, 120), (7, 240), (8, 480), (9, 900), (10, 900), (100, 900)]
)
def test_probes_double_from_15_seconds_to_15_minutes(in_a_row: int, seconds: int) -> None:
    assert timedelta(seconds=seconds) == wait(Outcome.UNAVAILABLE, STANDARD, Failures(in_a_row))


@pytest.mark.parametrize(("in_a_row", "seconds"), [(3, 15), (4, 30), (5, 60), (6, 60), (50, 60)])
def test_a_request_that_is_never_written_is_tried_each_minute(in_a_row: int, seconds: int) -> None:
    assert timedelta(seconds=seconds) == wait(Outcome.UNSENT, STANDARD, Failures(in_a_row))
    assert timedelta(seconds=min(60, 15 * 2 ** (in_a_row - 2))) == wait(
        Outcome.UNSENT, FREE, Failures(in_a_row, counted=5)
    )


@pytest.mark.parametrize(("counted", "waited"), [(2, 30 * MINUTE), (3, 2 * HOUR), (4, 4 * HOUR)])
def test_a_free_key_is_probed_after_30_minutes_2_and_4_hours(counted: int, waited: timedelta) -> None:
    assert waited == wait(Outcome.UNAVAILABLE, FREE, Failures(counted, counted))


def test_failures_take_a_fifth_of_a_small_day_and_a_tenth_of_a_large_one() -> None:
    assert [5, 19, 10, 50] == [most_failures(parse_limits(f"{n}/1d", "x")[0]) for n in (25, 99, 100, 500)]
    oldest = NOW - 3 * HOUR
    assert 21 * HOUR == wait(Outcome.UNAVAILABLE, FREE, Failures(5, 5, oldest))


@pytest.mark.parametrize("limits", [FREE, DAY_500, parse_limits("100/1d", "x"), parse_limits("5/1min,10/1d", "x")])
def test_a_day_without_any_answer_costs_no_more_than_its_part(limits: tuple[Rule, ...]) -> None:
    quota = limits[-1]
    ends: list[datetime] = []
    now = NOW
    while now < NOW + timedelta(days=3):
        ends.append(now)
        counted = [end for end in ends if end > now - quota.period]
        assert len(counted) <= most_failures(quota)
        hold = hold_after_failure(Outcome.UNAVAILABLE, limits, Failures(len(ends), len(counted), counted[0]), now)
        now = hold.until if hold else now + MINUTE


@pytest.mark.parametrize(("limits", "waited"), [(STANDARD, 15 * MINUTE), (FREE, 30 * MINUTE)])
def test_a_refused_key_closes_the_gate_at_once(limits: tuple[Rule, ...], waited: timedelta) -> None:
    assert waited == wait(Outcome.BAD_KEY, limits, Failures(1, 2))


@pytest.mark.parametrize(("failures", "minutes"), [(1, 15), (2, 30), (3, 60), (5, 240), (50, 240)])
def test_a_day_that_no_rule_knows_is_probed_from_15_minutes_to_4_hours(failures: int, minutes: int) -> None:
    hold = hold_without_day(failures, NOW)

    assert (minutes * MINUTE, True, Outcome.DAY_USED_UP) == (hold.until - NOW, hold.probing, hold.reason)
