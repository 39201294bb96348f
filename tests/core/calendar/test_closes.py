"""When a price is final and when it is behind: one table, and the same verdict everywhere."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.budget.ages import deadline
from common.core.budget.policy import Policy
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.calendar.closes import FINAL, LAG, answered_clock, behind_from, price_clock, required_day
from common.core.limits import PLANS
from common.core.models import Price, Quote
from common.core.quotes.freshness import Freshness, judge
from common.core.quotes.outlook import Outlook
from common.market_calendar import nyse

NYSE = nyse(2027)
TTL = timedelta(seconds=60)
DATA = ("realtime", "delayed", "end_of_day")
WEDNESDAY, FRIDAY, MONDAY = date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 30)  # Thanksgiving, a half day
NEW_YEARS_EVE, FIRST_SESSION = date(2026, 12, 31), date(2027, 1, 4)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "day", "behind"),
    [
        ("realtime", WEDNESDAY, "2026-11-27T14:30"),  # the next session begins
        ("delayed", WEDNESDAY, "2026-11-27T14:50"),  # and its first prices come with the delay
        ("end_of_day", WEDNESDAY, "2026-11-27T19:00"),  # an hour after the half day's close
        ("realtime", date(2026, 11, 26), "2026-11-27T14:30"),  # a holiday
        ("realtime", FRIDAY, "2026-11-30T14:30"),
        ("realtime", NEW_YEARS_EVE, "2027-01-04T14:30"),
        ("end_of_day", NEW_YEARS_EVE, "2027-01-04T22:00"),
        ("realtime", date(2020, 3, 2), "2024-01-02T14:30"),  # the calendar's first session
    ],
)
def test_a_price_is_behind_once_the_next_sessions_prices_are_there(data: str, day: date, behind: str) -> None:
    assert at(behind) == behind_from(NYSE, day, data)


def test_nobody_can_say_when_the_calendars_last_day_is_behind() -> None:
    assert behind_from(NYSE, date(2027, 12, 31), "realtime") is None


def test_where_the_market_never_closes_a_price_is_behind_after_a_week() -> None:
    assert at("2026-11-27T00:00") == behind_from(ALWAYS, date(2026, 11, 20), "realtime")
    assert date(2026, 11, 21) == required_day(ALWAYS, at("2026-11-27T00:00"), "realtime")


@pytest.mark.parametrize("data", DATA)
def test_before_the_first_session_any_day_will_do(data: str) -> None:
    assert required_day(NYSE, at("2023-06-01T12:00"), data) is None


@pytest.mark.parametrize(
    ("data", "day", "fetched_at", "counts"),
    [
        ("realtime", FRIDAY, "2026-11-27T18:05", True),
        ("realtime", WEDNESDAY, "2026-11-27T18:05", False),
        ("realtime", WEDNESDAY, "2026-11-27T18:04:59", True),  # nothing is final yet
        ("realtime", WEDNESDAY, "2026-11-27T16:00", True),  # in a session an answer is an answer
        ("realtime", FRIDAY, "2026-11-29T12:00", True),
        ("realtime", WEDNESDAY, "2026-11-29T12:00", False),
        ("delayed", FRIDAY, "2026-11-27T18:20", True),
        ("delayed", WEDNESDAY, "2026-11-27T18:20", False),
        ("end_of_day", FRIDAY, "2026-11-27T19:00", True),
        ("end_of_day", WEDNESDAY, "2026-11-27T19:00", False),
        ("end_of_day", WEDNESDAY, "2026-11-27T18:59:59", True),
        ("end_of_day", WEDNESDAY, "2026-11-30T16:00", False),  # in the next session Friday's is still lacking
        ("realtime", NEW_YEARS_EVE, "2027-01-01T12:00", True),
        ("realtime", date(2026, 12, 30), "2027-01-01T12:00", False),
    ],
)
def test_an_answer_that_lacks_the_close_leaves_its_symbol_due(
    data: str, day: date, fetched_at: str, counts: bool
) -> None:
    assert counts == (answered_clock(NYSE, day, at(fetched_at), data, newest=FIRST_SESSION) is not None)


def test_an_end_of_day_close_that_nobody_has_yet_is_not_lacking() -> None:
    """A probe in vain: the provider is late, and not the symbol."""
    late = answered_clock(NYSE, WEDNESDAY, at("2026-11-27T19:00"), "end_of_day", newest=WEDNESDAY)

    assert late == answered_clock(NYSE, WEDNESDAY, at("2026-11-25T23:00"), "end_of_day", newest=WEDNESDAY)


@pytest.mark.parametrize(("data", "close"), [("realtime", "2026-11-27T18:00"), ("delayed", "2026-12-31T21:00")])
def test_what_was_fetched_before_the_final_price_is_older_than_it(data: str, close: str) -> None:
    day = at(close).date()
    early, final, night, later = (
        answered_clock(NYSE, day, at(close) + passed, data)
        for passed in (timedelta(), LAG[data], timedelta(hours=3), timedelta(hours=14))
    )

    assert early is not None
    assert early + FINAL == pytest.approx(final)
    assert final == night == later == price_clock(NYSE, at(close) + timedelta(hours=14), data)


def test_an_end_of_day_price_that_came_before_its_time_is_as_old_as_the_close_before() -> None:
    early = answered_clock(NYSE, FRIDAY, at("2026-11-27T18:59"), "end_of_day", newest=FRIDAY)

    assert early == answered_clock(NYSE, WEDNESDAY, at("2026-11-25T23:00"), "end_of_day", newest=WEDNESDAY)


@pytest.mark.parametrize(
    ("fetched_at", "now", "day", "reason"),
    [
        ("2026-08-05T16:01", "2026-08-05T16:01:10", date(2026, 8, 4), "provider_behind"),
        ("2026-08-05T13:30", "2026-08-05T13:30", date(2026, 8, 4), "provider_behind"),
        ("2026-08-05T16:01", "2026-08-05T16:01:10", date(2026, 8, 5), None),
        ("2026-08-05T16:01", "2026-08-05T16:01:10", date(2020, 3, 2), "provider_behind"),
        ("2026-08-05T20:10", "2026-08-06T03:00", date(2026, 8, 4), "provider_behind"),  # swept, and without the close
        ("2026-08-05T13:00", "2026-08-05T13:10", date(2026, 8, 4), None),  # before the open
        ("2026-08-04T20:10", "2026-08-05T13:29:59", date(2026, 8, 4), None),
        ("2026-08-04T20:10", "2026-08-05T13:31", date(2026, 8, 4), "budget"),  # nobody has asked since
    ],
)
def test_freshness_looks_at_the_trading_day(fetched_at: str, now: str, day: date, reason: str | None) -> None:
    found = judged("realtime", NYSE, day, at(fetched_at), at(now))

    assert (reason is not None, reason) == (found.stale, found.reason)


@pytest.mark.parametrize(("fetched_at", "stale"), [("2026-11-27T18:30", True), ("2026-11-27T19:00", False)])
def test_an_end_of_day_price_of_the_hour_after_the_close_is_not_final(fetched_at: str, stale: bool) -> None:
    assert not judged("end_of_day", NYSE, FRIDAY, at("2026-11-27T18:30"), at("2026-11-27T18:31")).stale
    assert stale == judged("end_of_day", NYSE, FRIDAY, at(fetched_at), at("2026-11-28T12:00")).stale


def test_an_end_of_day_provider_that_is_late_is_behind() -> None:
    assert (
        "provider_behind"
        == judged("end_of_day", NYSE, WEDNESDAY, at("2026-11-27T20:00"), at("2026-11-27T20:01")).reason
    )


def judged(data: str, calendar: Calendar, day: date, fetched_at: datetime, now: datetime) -> Freshness:
    quote = Quote(Price("IBM", Decimal(1), day), "alphavantage", fetched_at)
    policy = Policy(PLANS["standard"].limits, data, 0.2)
    return judge(quote, calendar, now, ttl=TTL, policy=policy, outlook=Outlook())


NOW = at("2026-11-25T12:00")
AWHILE = st.timedeltas(timedelta(), timedelta(days=8))


@given(
    data=st.sampled_from(DATA),
    calendar=st.sampled_from([NYSE, ALWAYS]),
    passed=AWHILE,
    ago=AWHILE,
    behind=st.integers(-1, 9),
)
def test_one_quote_and_all_of_them_are_judged_alike(
    data: str, calendar: Calendar, passed: timedelta, ago: timedelta, behind: int
) -> None:
    """A statement over all symbols says `stale` of exactly those of which an answer says it."""
    now = NOW + passed
    fetched_at = now - ago
    day = fetched_at.date() - timedelta(days=behind)
    if behind < 0 and fetched_at.hour < 23:
        day = fetched_at.date()  # no exchange is further ahead
    until = deadline(calendar, now, ttl=TTL, data=data)
    stale = (until.fetched is not None and fetched_at <= until.fetched) or (until.day is not None and day < until.day)

    assert judged(data, calendar, day, fetched_at, now).stale == stale
