"""Ages of many quotes at once mean what one quote's age means."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import fsum, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.budget.ages import SESSIONS, Deadline, Marks, Sums, deadline, marks
from common.core.budget.policy import Policy
from common.core.budget.staleness import lower_bound, mean_age
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.models import Price, Quote
from common.core.quotes.freshness import judge
from common.core.quotes.outlook import Outlook
from common.market_calendar import nyse

NYSE = nyse(2026)
TTL = timedelta(seconds=60)
BEGIN, WEEK = datetime(2026, 3, 2, tzinfo=UTC), timedelta(days=7)
STEPS = [timedelta(seconds=seconds) for seconds in (-1, 0, 1, 59, 60, 61, 299, 300, 1199, 1200, 3599, 3600)]


@st.composite
def moments(draw: st.DrawFn) -> tuple[datetime, datetime]:
    """A fetch and a later look, within one week; the edges of sessions are among them."""
    edges = [at + step for pair in NYSE.sessions for at in pair if BEGIN <= at < BEGIN + WEEK for step in STEPS]
    at = st.sampled_from(edges) | st.timedeltas(timedelta(), WEEK).map(lambda passed: BEGIN + passed)
    first, second = sorted((draw(at), draw(at)))
    return first, second


def stale(fetched: datetime, at: Deadline) -> bool:
    """As a statement reads a deadline; the trading day is the fetch's."""
    by_fetch = at.fetched is not None and fetched <= at.fetched
    return by_fetch or (at.day is not None and fetched.date() < at.day)


@pytest.mark.parametrize("calendar", [ALWAYS, NYSE], ids=["always", "nyse"])
@pytest.mark.parametrize("data", ["realtime", "delayed", "end_of_day"])
@given(times=moments())
def test_a_quote_is_stale_past_the_deadline_as_it_is_to_readers(
    calendar: Calendar, data: str, times: tuple[datetime, datetime]
) -> None:
    fetched, now = times
    quote = Quote(Price("A", Decimal(1), fetched.date()), "simulated", fetched)
    verdict = judge(quote, calendar, now, ttl=TTL, policy=Policy((), data, 0), outlook=Outlook())

    assert verdict.stale == stale(fetched, deadline(calendar, now, ttl=TTL, data=data))


@pytest.mark.parametrize("calendar", [ALWAYS, NYSE], ids=["always", "nyse"])
@given(times=moments())
def test_marks_give_the_clock_of_every_moment_before(calendar: Calendar, times: tuple[datetime, datetime]) -> None:
    before, now = times
    found = marks(calendar, now)
    opening, close, clock = [
        mark for mark in zip(found.opens, found.closes, found.clocks, strict=True) if mark[0] <= before
    ][-1]

    assert calendar.clock(now) == found.clock
    assert pytest.approx(calendar.clock(before)) == clock + (min(before, close) - opening).total_seconds()


def test_marks_are_of_the_last_sessions() -> None:
    now = datetime(2026, 3, 2, 15, tzinfo=UTC)

    assert SESSIONS == len(marks(NYSE, now).opens)
    assert datetime(2026, 3, 2, 14, 30, tzinfo=UTC) == marks(NYSE, now).opens[-1]


def test_before_the_first_session_nothing_is_stale_and_no_time_has_passed() -> None:
    now = datetime(2023, 12, 1, tzinfo=UTC)

    assert Marks(0.0, (), (), ()) == marks(NYSE, now)
    assert [Deadline(), Deadline()] == [deadline(NYSE, now, ttl=TTL, data=data) for data in ("realtime", "end_of_day")]


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=20), st.floats(0.1, 1200))
def test_sums_give_the_bound_and_the_targets_of_the_formulas(weights: list[float], per_minute: float) -> None:
    sums = Sums(fsum(weights), fsum(map(sqrt, weights)), 4.0, 10.0)

    assert pytest.approx(60 * lower_bound(weights, per_minute)) == sums.bound(per_minute)
    assert pytest.approx(60 * mean_age(weights[0], weights, per_minute)) == sums.target(weights[0], per_minute)
    assert 2.5 == sums.mean_age


def test_nothing_wanted_and_no_pace_have_no_figures() -> None:
    empty = Sums(0.0, 0.0, 0.0, 0.0)

    assert (None, None, None) == (empty.mean_age, empty.bound(5), Sums(1, 1, 1, 1).bound(0))
    assert Sums(1, 1, 1, 1).target(1, 0) is None
