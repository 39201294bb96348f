from datetime import UTC, date, datetime

import pytest

from simulator.market.sessions import is_trading_day, session_at, session_on, trading_day_before


@pytest.mark.parametrize(
    ("day", "trades"),
    [
        (date(2026, 11, 20), True),
        (date(2026, 11, 21), False),  # Saturday
        (date(2026, 11, 22), False),  # Sunday
        (date(2026, 11, 26), False),  # Thanksgiving
        (date(2026, 12, 25), False),
        (date(2026, 4, 3), False),  # Good Friday
    ],
)
def test_weekends_and_holidays_of_new_york_are_not_trading_days(day: date, trades: bool) -> None:
    assert is_trading_day(day) == trades


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 11, 20, 5, 0, tzinfo=UTC), date(2026, 11, 20)),  # midnight in New York
        (datetime(2026, 11, 20, 4, 59, tzinfo=UTC), date(2026, 11, 19)),
        (datetime(2026, 11, 22, 15, 0, tzinfo=UTC), date(2026, 11, 20)),  # Sunday
        (datetime(2026, 11, 23, 4, 59, tzinfo=UTC), date(2026, 11, 20)),  # still Sunday in New York
        (datetime(2026, 11, 26, 15, 0, tzinfo=UTC), date(2026, 11, 25)),
    ],
)
def test_a_trading_day_stands_until_the_next_ones_midnight_in_new_york(now: datetime, day: date) -> None:
    assert session_at(now).day == day


def test_sessions_follow_each_other_without_a_gap() -> None:
    friday, monday = session_on(date(2026, 11, 20)), session_on(date(2026, 11, 23))

    assert friday.end == monday.start
    assert trading_day_before(monday.day) == friday.day
