"""Telling a jump of the ledger's clock from a slow answer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.budget.ledger_clock import LedgerClock

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
PERIOD = timedelta(seconds=72)  # of a rule of a minute
DELAYS = st.floats(0, 3600, allow_subnormal=False)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_first_reading_is_no_jump() -> None:
    assert not LedgerClock(PERIOD).jumped(now=NOW, heard=5.1)


@pytest.mark.parametrize(
    ("told", "heard", "jumped"),
    [
        (10.0, 10.01, False),
        (10.05, 10.01, False),  # within the tolerance
        (10.07, 10.01, True),
        (70.0, 10.01, True),
        (3600.0, 3600.0, False),  # the answer itself took an hour
        (5.0, 10.01, False),  # a step back
        (-3600.0, 10.01, False),
        (0.0, 0.0, False),
    ],
)
def test_the_ledgers_time_may_not_pass_by_more_than_the_caller_lived_through(
    told: float, heard: float, jumped: bool
) -> None:
    clock = LedgerClock(PERIOD)
    clock.remember(asked=0.0, now=later(0.0))

    assert jumped == clock.jumped(now=later(told), heard=heard)


def test_a_jump_is_told_until_it_was_acted_upon_and_then_is_the_time() -> None:
    clock = LedgerClock(PERIOD)
    clock.remember(asked=0.0, now=later(0.0))

    assert clock.jumped(now=later(601.0), heard=1.0)
    assert clock.jumped(now=later(602.0), heard=2.0)
    clock.restart(asked=2.0, now=later(602.0))
    assert not clock.jumped(now=later(603.0), heard=3.0)


def test_after_a_step_back_a_jump_is_still_told() -> None:
    clock = LedgerClock(PERIOD)
    clock.remember(asked=0.0, now=later(0.0))
    clock.remember(asked=1.0, now=later(-600.0))

    assert clock.jumped(now=later(2.0), heard=2.0)


@given(rounds=st.lists(st.tuples(DELAYS, DELAYS, DELAYS), min_size=2, max_size=8))
def test_no_delay_of_question_or_answer_is_taken_for_a_jump(rounds: list[tuple[float, float, float]]) -> None:
    clock, now = LedgerClock(PERIOD), 1000.0
    alarms = []
    for idle, way_there, way_back in rounds:
        asked = now + idle
        told = asked + way_there
        now = told + way_back
        alarms.append(clock.jumped(now=later(told), heard=now))
        clock.remember(asked=asked, now=later(told))

    assert not any(alarms)


@given(first=DELAYS, idle=DELAYS, jump=st.floats(0.1, 10**6))
def test_a_jump_is_told_if_it_is_longer_than_what_the_asking_and_a_slew_took(
    first: float, idle: float, jump: float
) -> None:
    clock = LedgerClock(PERIOD)
    clock.remember(asked=0.0, now=later(first))
    heard = first + idle

    assert clock.jumped(now=later(heard * 1.001 + first + jump), heard=heard)


@pytest.mark.parametrize("rate", [1.001, 1.04, 1.083])  # chrony slews by up to 8.3 %
@pytest.mark.parametrize("interval", [0.25, 1.0, 5.0])
def test_a_clock_that_runs_fast_is_told_before_it_gains_a_tenth_of_a_second(rate: float, interval: float) -> None:
    clock, now = LedgerClock(PERIOD), 0.0
    while not clock.jumped(now=later(now * rate), heard=now):
        clock.remember(asked=now, now=later(now * rate))
        now += interval

    assert (now - interval) * (rate - 1) < 0.1


def test_a_clock_that_is_slewed_as_ntp_does_is_not_told() -> None:
    clock = LedgerClock(PERIOD)
    for now in range(7200):
        assert not clock.jumped(now=later(now * 1.0005), heard=now)
        clock.remember(asked=now, now=later(now * 1.0005))
