"""The market's clock, with the real sessions of the NYSE: what is open, how much open time has passed, how long a quote is fresh."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.calendar.clock import ALWAYS, Calendar, fresh_until
from common.market_calendar import nyse, open_calendar

NYSE = nyse(2027)
DAY, HALF_DAY = 6.5 * 3600, 3.5 * 3600  # open seconds
MOMENTS = st.datetimes(datetime(2023, 12, 1), datetime(2028, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001
AROUND_OPENS = st.builds(  # where the rules change: chance alone would seldom look there
    lambda session, offset: session[0] + timedelta(seconds=offset),
    st.sampled_from(NYSE.sessions),
    st.integers(-900, 25200),
)
CLOSES = dict(NYSE.sessions)
NO_LAG, FIVE, QUARTER = timedelta(0), timedelta(minutes=5), timedelta(minutes=15)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours_on(day: str) -> list[str]:
    """Open and close in UTC of each session on a day."""
    wanted = date.fromisoformat(day)
    return [f"{a:%H:%M}-{b:%H:%M}" for a, b in NYSE.sessions if a.date() == wanted]


def open_seconds(since: str, until: str) -> float:
    return NYSE.clock(at(until)) - NYSE.clock(at(since))


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2026-11-20", ["14:30-21:00"]),  # winter
        ("2026-07-01", ["13:30-20:00"]),  # summer
        ("2026-03-06", ["14:30-21:00"]),  # the Friday before the clocks go forward
        ("2026-03-09", ["13:30-20:00"]),  # and the Monday after
        ("2026-10-30", ["13:30-20:00"]),  # the Friday before the clocks go back
        ("2026-11-02", ["14:30-21:00"]),
        ("2026-11-27", ["14:30-18:00"]),  # half day: after Thanksgiving
        ("2026-12-24", ["14:30-18:00"]),  # half day: Christmas Eve
        ("2025-07-03", ["13:30-17:00"]),  # half day: before Independence Day
        ("2026-11-21", []),  # Saturday
        ("2026-11-22", []),  # Sunday
        ("2026-01-01", []),  # New Year
        ("2026-01-19", []),  # Martin Luther King
        ("2026-04-03", []),  # Good Friday
        ("2026-06-19", []),  # Juneteenth
        ("2026-07-03", []),  # Independence Day falls on a Saturday
        ("2026-11-26", []),  # Thanksgiving
        ("2026-12-25", []),
        ("2025-01-09", []),  # day of mourning: closed at short notice
        ("2026-12-31", ["14:30-21:00"]),  # a bank's half day, not the exchange's
        ("2024-01-01", []),
        ("2024-02-29", ["14:30-21:00"]),
        ("2027-12-31", ["14:30-21:00"]),  # the calendar's last day
    ],
)
def test_the_exchange_is_open_at_its_regular_hours(day: str, hours: list[str]) -> None:
    assert hours == hours_on(day)


def test_a_year_has_some_250_sessions_in_order_and_apart() -> None:
    sessions = NYSE.sessions

    assert {year: sum(a.year == year for a, _ in sessions) for year in (2024, 2025, 2026)} == {
        2024: 252,
        2025: 250,
        2026: 251,
    }
    assert all(before[1] < after[0] for before, after in pairwise(sessions))


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-11-20T14:29:59", False),
        ("2026-11-20T14:30", True),
        ("2026-11-20T20:59:59", True),
        ("2026-11-20T21:00", False),
        ("2026-11-27T17:59", True),
        ("2026-11-27T18:00", False),
        ("2026-11-21T16:00", False),
        ("2026-03-09T13:30", True),  # after the change of clocks
        ("2026-03-06T13:30", False),
        ("2023-12-29T16:00", False),  # before the calendar begins
        ("2028-01-03T16:00", False),  # after it ends
    ],
)
def test_a_session_holds_its_open_and_not_its_close(now: str, is_open: bool) -> None:
    assert is_open == NYSE.is_open(at(now))
    assert is_open == (NYSE.session(at(now)) is not None)


@pytest.mark.parametrize(
    ("since", "until", "seconds"),
    [
        ("2026-11-20T14:30", "2026-11-20T14:31", 60),
        ("2026-11-20T14:00", "2026-11-20T14:30", 0),
        ("2026-11-20T14:30", "2026-11-20T21:00", DAY),
        ("2026-11-20T21:00", "2026-11-23T14:30", 0),  # a weekend
        ("2026-11-20T20:59", "2026-11-23T14:31", 120),
        ("2026-11-25T21:00", "2026-11-27T14:30", 0),  # Thanksgiving
        ("2026-11-27T00:00", "2026-11-28T00:00", HALF_DAY),
        ("2026-03-06T20:00", "2026-03-09T14:30", 2 * 3600),  # an hour on either side of the change of clocks
        ("2026-10-30T19:00", "2026-11-02T15:30", 2 * 3600),
        ("2023-01-01T00:00", "2024-01-02T14:30", 0),
        ("2027-12-31T21:00", "2028-06-01T16:00", 0),
    ],
)
def test_the_clock_counts_open_seconds(since: str, until: str, seconds: float) -> None:
    assert seconds == pytest.approx(open_seconds(since, until))


@given(one=MOMENTS | AROUND_OPENS, other=MOMENTS | AROUND_OPENS)
def test_the_clock_never_goes_back(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    passed = NYSE.clock(later) - NYSE.clock(earlier)

    assert 0 <= passed <= (later - earlier).total_seconds() + 1e-6


@given(now=MOMENTS | AROUND_OPENS)
def test_the_clock_is_the_sum_of_what_has_been_open(now: datetime) -> None:
    expected = sum((min(now, close) - opening).total_seconds() for opening, close in NYSE.sessions if opening <= now)

    assert NYSE.clock(now) == pytest.approx(expected)


@given(now=MOMENTS | AROUND_OPENS)
def test_the_last_session_and_the_next_open_lie_on_either_side_of_now(now: datetime) -> None:
    last, following = NYSE.last_session(now), NYSE.next_open(now)

    assert last is None or (last[0] <= now and CLOSES[last[0]] == last[1])
    assert following is None or (following > now and following in CLOSES)
    assert not any((last[0] if last else at("2000-01-01")) < opening <= now for opening in CLOSES)


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-11-20T14:29", "2026-11-20T14:30"),
        ("2026-11-20T14:30", "2026-11-23T14:30"),
        ("2026-11-25T22:00", "2026-11-27T14:30"),
        ("2023-06-01T00:00", "2024-01-02T14:30"),
        ("2028-01-01T00:00", None),
    ],
)
def test_the_next_open_skips_what_is_closed(now: str, following: str | None) -> None:
    assert (following and at(following)) == NYSE.next_open(at(now))


def test_without_sessions_the_market_never_closes() -> None:
    christmas = at("2026-12-25T03:00")

    assert ALWAYS.is_open(christmas)
    assert ALWAYS.clock(christmas) == christmas.timestamp()
    assert (None, None, None) == (
        ALWAYS.session(christmas),
        ALWAYS.last_session(christmas),
        ALWAYS.next_open(christmas),
    )


def test_the_market_hours_of_the_settings_choose_the_calendar() -> None:
    assert open_calendar("always", at("2026-11-20T12:00")) is ALWAYS
    assert open_calendar("nyse", at("2026-11-20T12:00")) == NYSE


def test_a_longer_calendar_tells_the_same_time() -> None:
    now = at("2026-11-20T16:00")

    assert nyse(2026).clock(now) == nyse(2028).clock(now)


@pytest.mark.parametrize(
    ("fetched_at", "ttl", "lag", "until"),
    [
        ("2026-11-20T16:00:00", 60, NO_LAG, "2026-11-20T16:01:00"),  # within the session: its TTL
        ("2026-11-20T14:30:00", 60, NO_LAG, "2026-11-20T14:31:00"),
        ("2026-11-20T20:59:30", 60, NO_LAG, "2026-11-20T21:00:00"),  # the close at the latest
        ("2026-11-20T16:00:00", 86400, NO_LAG, "2026-11-20T21:00:00"),
        ("2026-11-20T21:00:00", 60, NO_LAG, "2026-11-23T14:30:00"),  # the final price: until the next open
        ("2026-11-20T23:00:00", 60, NO_LAG, "2026-11-23T14:30:00"),
        ("2026-11-25T22:00:00", 60, NO_LAG, "2026-11-27T14:30:00"),
        ("2026-11-27T18:00:00", 60, NO_LAG, "2026-11-30T14:30:00"),  # after a half day
        ("2026-11-20T12:00:00", 60, NO_LAG, "2026-11-20T14:30:00"),  # before the open
        ("2026-11-20T16:00:00", 60, QUARTER, "2026-11-20T16:01:00"),
        ("2026-11-20T20:59:30", 60, QUARTER, "2026-11-20T21:00:00"),
        ("2026-11-20T21:05:00", 60, QUARTER, "2026-11-20T21:05:00"),  # closed, and not yet the final price
        ("2026-11-20T21:14:59", 60, QUARTER, "2026-11-20T21:14:59"),
        ("2026-11-20T21:15:00", 60, QUARTER, "2026-11-23T14:30:00"),
        ("2028-01-03T16:00:00", 60, NO_LAG, "2028-01-03T16:01:00"),  # past the calendar's end
    ],
)
def test_a_quote_is_fresh_for_its_ttl_while_open_and_until_the_next_open_after_the_close(
    fetched_at: str, ttl: int, lag: timedelta, until: str
) -> None:
    assert at(until) == fresh_until(NYSE, at(fetched_at), timedelta(seconds=ttl), lag)


@pytest.mark.parametrize("minutes", [0, 1, 4, 5, 6, 14, 15, 16])
@pytest.mark.parametrize("lag", [NO_LAG, FIVE, QUARTER])
def test_a_quote_of_the_first_minutes_is_fresh_for_its_ttl(minutes: int, lag: timedelta) -> None:
    fetched_at, ttl = at("2026-11-20T14:30") + timedelta(minutes=minutes), timedelta(seconds=60)

    assert fetched_at + ttl == fresh_until(NYSE, fetched_at, ttl, lag)


@given(fetched_at=MOMENTS | AROUND_OPENS, ttl=st.integers(1, 86400), lag=st.sampled_from([NO_LAG, FIVE, QUARTER]))
def test_no_quote_goes_stale_before_it_was_fetched(fetched_at: datetime, ttl: int, lag: timedelta) -> None:
    assert fetched_at <= fresh_until(NYSE, fetched_at, timedelta(seconds=ttl), lag)


@given(fetched_at=MOMENTS, ttl=st.integers(1, 86400), lag=st.sampled_from([NO_LAG, QUARTER]))
def test_without_sessions_a_quote_is_fresh_for_its_ttl(fetched_at: datetime, ttl: int, lag: timedelta) -> None:
    assert fetched_at + timedelta(seconds=ttl) == fresh_until(ALWAYS, fetched_at, timedelta(seconds=ttl), lag)


def test_calendars_are_equal_by_their_sessions() -> None:
    assert Calendar(NYSE.sessions[:3]) == Calendar(NYSE.sessions[:3])
    assert Calendar(NYSE.sessions[:3]) != Calendar(NYSE.sessions[:2])
