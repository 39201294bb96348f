"""The policy's figures, as tables: what theory allows, and what may be done at the odd moments of the year."""

from datetime import date, timedelta

import pytest

from common.core.budget.policy import (
    CLOSING_POWER,
    NO_POWER,
    OPEN_POWER,
    Policy,
    Usage,
    busy_after,
    pace,
    probe_due,
    sweep_share,
)
from common.core.budget.staleness import lower_bound, mean_age, round_robin, session_rate, weight_classes, zipf
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.limits import PLANS, parse_limits
from common.market_calendar import nyse
from tests.policy.day import at

NYSE = nyse(2027)
BEFORE_THANKSGIVING = date(2026, 11, 25)


def policy(limits: str, data: str = "realtime") -> Policy:
    return Policy(parse_limits(limits, "limits"), data, 0.2)


STANDARD, QUOTA = policy("1/1s,5/1min"), policy("1/1s,5/1min,500/1d")
FREE = Policy(PLANS["free"].limits, "end_of_day", 0.2)


@pytest.mark.parametrize(
    ("symbols", "bound", "ratio"), [(20, 1.6, 1.25), (100, 6.7, 1.50), (500, 27.6, 1.81), (2000, 94.7, 2.11)]
)
def test_the_bound_and_round_robin_are_those_of_the_specification(symbols: int, bound: float, ratio: float) -> None:
    weights = zipf(symbols)
    least = lower_bound(weights, 5)

    assert bound == pytest.approx(least, abs=0.05)
    assert ratio == pytest.approx(round_robin(weights, 5) / least, abs=0.006)


@pytest.mark.parametrize(
    ("weights", "per_minute", "bound"),
    [
        ([1], 1, 0.5),
        ([1, 1], 1, 1.0),
        ([4, 1], 1, 0.9),
        ([9, 4, 1], 2, 36 / 56),
        ([400, 100], 1, 0.9),
        ([4, 1], 2, 0.45),
    ],
)
def test_the_bound_by_hand(weights: list[float], per_minute: float, bound: float) -> None:
    assert bound == pytest.approx(lower_bound(weights, per_minute))


@pytest.mark.parametrize("symbols", [1, 2, 20, 500])
@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 1.5])
def test_the_bound_is_the_mean_of_each_symbols_age_weighed_by_reads(symbols: int, exponent: float) -> None:
    weights = zipf(symbols, exponent)
    ages = [mean_age(weight, weights, 5) for weight in weights]
    mean = sum(w * age for w, age in zip(weights, ages, strict=True)) / sum(weights)

    assert mean == pytest.approx(lower_bound(weights, 5))
    assert sum(1 / (2 * age) for age in ages) == pytest.approx(5)  # all refreshes together are the allowed ones
    assert lower_bound(weights, 5) <= round_robin(weights, 5) + 1e-9


@pytest.mark.parametrize("symbols", [1, 3, 20, 2000])
def test_classes_of_weight_share_out_all_reads_and_ranks(symbols: int) -> None:
    weights = zipf(symbols)
    classes = weight_classes(weights, 5)

    assert sum(part.reads for part in classes) == pytest.approx(1)
    assert sum(part.reads * part.age for part in classes) == pytest.approx(lower_bound(weights, 5))
    assert [1, *(part.last + 1 for part in classes)] == [*(part.first for part in classes), symbols + 1]


@pytest.mark.parametrize(
    ("limits", "symbols", "per_minute"),
    [
        ("1/1s,5/1min", 100, 5),
        ("10/1s,75/1min", 100, 75),
        ("1/1s,5/1min,500/1d", 20, (400 - 20) / 390),
        ("1/1s,5/1min,500/1d", 600, (400 - 250) / 390),
        ("5/1min,1000/2d", 20, (400 - 10) / 390),
        ("1/1s,5/1min,25000/1d", 20, 5),
        ("5/1min,10/1d", 10, 0),
    ],
)
def test_the_rate_of_a_session_is_the_pace_or_what_a_quota_leaves(limits: str, symbols: int, per_minute: float) -> None:
    assert per_minute == pytest.approx(session_rate(parse_limits(limits, "limits"), symbols, 0.2))


@pytest.mark.parametrize(
    ("now", "power"),
    [
        ("2026-11-27T17:59:59", OPEN_POWER),
        ("2026-11-27T18:00", NO_POWER),  # 13:00 in New York
        ("2026-11-27T18:05", CLOSING_POWER),
        ("2026-11-26T16:00", CLOSING_POWER),  # Thanksgiving
        ("2026-03-06T14:29:59", CLOSING_POWER),
        ("2026-03-06T14:30", OPEN_POWER),
        ("2026-03-09T13:29:59", CLOSING_POWER),  # summer time began on Sunday
        ("2026-03-09T13:30", OPEN_POWER),
        ("2026-03-09T20:00", NO_POWER),
        ("2026-10-30T19:59:59", OPEN_POWER),
        ("2026-11-02T14:29:59", CLOSING_POWER),  # and ended on Sunday
        ("2026-11-02T14:30", OPEN_POWER),
    ],
)
def test_the_turn_follows_new_york(now: str, power: int) -> None:
    assert power == pace(STANDARD, NYSE, at(now), Usage()).power


@pytest.mark.parametrize(
    ("policy", "calendar", "now", "after"),
    [
        (STANDARD, NYSE, "2026-11-23T16:00", None),
        (QUOTA, NYSE, "2026-11-23T16:00", "2026-11-22T22:00"),  # what is still busy when today's sweep is done
        (QUOTA, NYSE, "2026-11-27T16:00", "2026-11-26T19:00"),
        (QUOTA, NYSE, "2026-11-23T21:00", "2026-11-23T21:00"),  # what the sweep took since
        (QUOTA, NYSE, "2026-11-24T14:29", "2026-11-23T21:00"),
        (QUOTA, NYSE, "2026-11-22T16:00", "2026-11-20T21:00"),
        (QUOTA, ALWAYS, "2026-11-22T16:00", "2026-11-21T16:00"),
        (QUOTA, NYSE, "2023-06-01T12:00", "2023-05-31T12:00"),  # before the calendar begins
        (policy("5/1min,1000/7d"), NYSE, "2026-11-23T16:00", "2026-11-16T22:00"),
        (FREE, NYSE, "2026-11-23T16:00", "2026-11-22T16:00"),
        (FREE, ALWAYS, "2026-11-23T16:00", "2026-11-22T16:00"),
        (policy("5/1min", "end_of_day"), NYSE, "2026-11-23T16:00", "2026-11-22T16:00"),
    ],
)
def test_calls_are_counted_from_where_they_bind(
    policy: Policy, calendar: Calendar, now: str, after: str | None
) -> None:
    assert (after and at(after)) == busy_after(policy, calendar, at(now))


@pytest.mark.parametrize(
    ("quota", "wanted", "share"),
    [(500, 20, 20), (500, 500, 500), (500, 501, 250), (25, 10, 10), (25, 40, 12), (1, 2, 0)],
)
def test_the_sweeps_share_is_a_call_a_symbol_or_half_of_the_quota(quota: int, wanted: int, share: int) -> None:
    assert share == sweep_share(quota, wanted)


@pytest.mark.parametrize(
    ("now", "use", "power"),
    [
        ("2026-11-23T21:30", Usage(busy=19, tracked=20), CLOSING_POWER),
        ("2026-11-23T21:30", Usage(busy=20, tracked=20), NO_POWER),  # the sweep has had its share
        ("2026-11-23T21:30", Usage(busy=30, urgent=11, tracked=20), CLOSING_POWER),  # who waited took nothing of it
        ("2026-11-23T21:30", Usage(busy=250, tracked=600), NO_POWER),
    ],
)
def test_the_sweep_takes_its_share_of_a_quota_and_no_more(now: str, use: Usage, power: int) -> None:
    assert power == pace(QUOTA, NYSE, at(now), use).power


@pytest.mark.parametrize("busy", [480, 500])
def test_where_the_sweeps_share_is_all_that_is_left_background_is_not_due_again_in_the_session(busy: int) -> None:
    use, last, close = Usage(busy=busy, tracked=20), at("2026-11-20T18:00"), at("2026-11-20T21:00")
    looks = [last + timedelta(minutes=n) for n in range(1, int((close - last) / timedelta(minutes=1)))]

    due = [now for now in looks if (told := pace(QUOTA, NYSE, now, use)).power == OPEN_POWER and last + told.gap <= now]
    assert due == []


@pytest.mark.parametrize(
    ("now", "newest", "last_asked", "due"),
    [
        ("2026-11-27T18:59:59", BEFORE_THANKSGIVING, None, False),  # a half day closes at 18:00
        ("2026-11-27T19:00", BEFORE_THANKSGIVING, None, True),
        ("2026-11-27T19:30", BEFORE_THANKSGIVING, "2026-11-27T19:00", False),
        ("2026-11-27T20:00", BEFORE_THANKSGIVING, "2026-11-27T19:00", True),
        ("2026-11-27T20:30", date(2026, 11, 27), "2026-11-27T19:00", False),
        ("2026-11-26T22:00", BEFORE_THANKSGIVING, None, False),  # Thanksgiving
        ("2026-11-29T22:00", date(2026, 11, 27), None, False),  # Sunday
        ("2026-03-09T20:59:59", date(2026, 3, 6), None, False),  # summer time
        ("2026-03-09T21:00", date(2026, 3, 6), None, True),
        ("2026-11-02T21:59:59", date(2026, 10, 30), None, False),  # winter time
        ("2026-11-02T22:00", date(2026, 10, 30), None, True),
    ],
)
def test_the_probe_follows_new_yorks_close_by_an_hour(
    now: str, newest: date, last_asked: str | None, due: bool
) -> None:
    asked = at(last_asked) if last_asked else None

    assert due == probe_due(FREE, NYSE, at(now), Usage(newest_day=newest), asked)
