"""How long calls are on hold after each outcome."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.limits import parse_limits
from common.core.provider.outcomes import THROTTLES, Hold, Outcome, hold_after, next_quota_day

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
FREE = parse_limits("1/2s,5/1min,25/1d", "limits")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - THROTTLES))
def test_only_a_throttle_holds_until_a_time_that_it_names(outcome: Outcome) -> None:
    assert hold_after(outcome, FREE, NOW) is None


@pytest.mark.parametrize(
    ("outcome", "limits", "seconds"),
    [
        (Outcome.THROTTLED_SECOND, "1/1s,5/1min", 1),
        (Outcome.THROTTLED_SECOND, "1/2s,5/1min,25/1d", 2),
        (Outcome.THROTTLED_SECOND, "1/1s,3/10s,5/1min", 10),  # the longest window of seconds: it is the safe one
        (Outcome.THROTTLED_SECOND, "5/1min", 1),  # no rule of seconds
        (Outcome.THROTTLED_SECOND, "5/1min,25/1d", 1),
        (Outcome.THROTTLED_MINUTE, "1/1s,5/1min", 60),
        (Outcome.THROTTLED_MINUTE, "1/1s", 60),
        (Outcome.THROTTLED_MINUTE, "25/1d", 60),
    ],
)
def test_a_throttle_holds_until_its_window_has_passed(outcome: Outcome, limits: str, seconds: int) -> None:
    hold = hold_after(outcome, parse_limits(limits, "limits"), NOW)

    assert hold == Hold(NOW + timedelta(seconds=seconds), outcome, probing=False)


@pytest.mark.parametrize(
    ("wait", "seconds", "reason"),
    [
        (None, 60, "throttled_minute"),
        (0, 60, "throttled_minute"),
        (30, 60, "throttled_minute"),
        (60, 60, "throttled_minute"),
        (61, 61, "retry_after"),
        (3600, 3600, "retry_after"),
        (86400, 86400, "retry_after"),
        (10**8, 86400, "retry_after"),
    ],
)
def test_a_wait_that_the_provider_names_is_kept_from_a_minute_to_a_day(
    wait: int | None, seconds: int, reason: str
) -> None:
    named = None if wait is None else timedelta(seconds=wait)

    assert Hold(NOW + timedelta(seconds=seconds), reason, probing=False) == hold_after(
        Outcome.THROTTLED_MINUTE, FREE, NOW, named
    )


def test_a_day_that_is_used_up_ends_with_one_probe() -> None:
    hold = hold_after(Outcome.DAY_USED_UP, FREE, NOW)

    assert hold == Hold(at("2026-11-21T05:00"), "day_used_up", probing=True)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T19:00", "2026-11-21T05:00"),  # winter: New York's midnight is 05:00
        ("2026-11-20T23:59:59", "2026-11-21T05:00"),
        ("2026-11-21T00:00", "2026-11-22T00:00"),  # UTC's midnight has just been: its next is the later one
        ("2026-11-21T04:59", "2026-11-22T00:00"),
        ("2026-11-21T05:00", "2026-11-22T05:00"),
        ("2026-07-01T12:00", "2026-07-02T04:00"),  # summer: 04:00
        ("2026-07-01T03:59", "2026-07-02T00:00"),
        ("2026-07-01T04:00", "2026-07-02T04:00"),
        ("2026-03-07T12:00", "2026-03-08T05:00"),  # clocks go forward on March 8, after that midnight
        ("2026-03-08T05:00", "2026-03-09T04:00"),
        ("2026-03-08T12:00", "2026-03-09T04:00"),
        ("2026-10-31T12:00", "2026-11-01T04:00"),  # clocks go back on November 1, after that midnight
        ("2026-11-01T04:00", "2026-11-02T05:00"),
        ("2026-11-01T05:30", "2026-11-02T05:00"),
        ("2026-11-01T06:30", "2026-11-02T05:00"),  # 01:30 in New York for the second time
        ("2026-12-31T20:00", "2027-01-01T05:00"),
    ],
)
def test_the_day_ends_with_the_later_of_the_two_next_midnights(now: str, until: str) -> None:
    assert at(until) == next_quota_day(at(now))


@given(now=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_day_ends_after_both_midnights_and_within_a_day_and_an_hour(now: datetime) -> None:
    until = next_quota_day(now)
    new_york = ZoneInfo("America/New_York")

    assert now < until <= now + timedelta(hours=25)
    assert until.date() > now.date()
    assert until.astimezone(new_york).date() > now.astimezone(new_york).date()
