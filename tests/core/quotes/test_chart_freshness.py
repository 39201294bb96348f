"""How fresh a chart is, by the trading day as well as by the clock, and what a refresh of it would bring."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from common.core.budget.holds import PROVIDER_DOWN
from common.core.budget.policy import Policy
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.calendar.closes import LAG
from common.core.forecast.promises import Forecast
from common.core.forecast.situation import Gate
from common.core.limits import PLANS
from common.core.models import Bar, Price, Quote
from common.core.provider.outcomes import Outcome
from common.core.quotes.chart import Chart, Due, chart_due, judge_chart, reconcile
from common.core.quotes.freshness import Freshness, judge
from common.core.quotes.outlook import Outlook
from common.market_calendar import nyse

NYSE = nyse(2026)
TTL, MINUTE = timedelta(minutes=30), timedelta(minutes=1)
THURSDAY, FRIDAY, MONDAY = date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 23)  # sessions from 14:30 to 21:00
TUESDAY = date(2026, 11, 24)
POLICY = Policy(PLANS["standard"].limits, "realtime", 0.5)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def chart(newest: date, fetched: str, symbol: str = "IBM") -> Chart:
    return Chart(symbol, "simulated", (Bar(newest, Decimal(10), Decimal(12), Decimal(9), Decimal(11), 7),), at(fetched))


def quote(day: date, fetched: str) -> Quote:
    return Quote(
        Price("IBM", Decimal(11), day, open=Decimal(10), high=Decimal(12), low=Decimal(9)), "simulated", at(fetched)
    )


def judged(
    stored: Chart,
    now: str,
    *,
    beside: Quote | None = None,
    data: str = "realtime",
    calendar: Calendar = NYSE,
    outlook: Outlook | None = None,
) -> Freshness:
    known, moment = outlook or Outlook(), at(now)
    quoted = beside if beside is None else judge(beside, calendar, moment, ttl=MINUTE, policy=POLICY, outlook=known)
    view = reconcile(stored, beside, calendar, LAG[data])
    return judge_chart(stored, view, quoted, calendar, moment, data=data, ttl=TTL, outlook=known)


@pytest.mark.parametrize(
    ("newest", "fetched", "now", "until"),
    [
        (MONDAY, "2026-11-23T15:00", "2026-11-23T15:29:59", "2026-11-23T15:30"),
        (MONDAY, "2026-11-23T20:50", "2026-11-23T20:59:59", "2026-11-23T21:00"),  # past the close it lacks the close
        (FRIDAY, "2026-11-20T21:05", "2026-11-23T14:29:59", "2026-11-23T14:30"),
        (FRIDAY, "2026-11-22T12:00", "2026-11-23T14:29:59", "2026-11-23T14:30"),
    ],
)
def test_a_chart_is_fresh_for_its_time_and_over_night_with_the_close(
    newest: date, fetched: str, now: str, until: str
) -> None:
    assert Freshness(at(until), stale=False) == judged(chart(newest, fetched), now)
    assert judged(chart(newest, fetched), until).stale


@pytest.mark.parametrize("data", ["realtime", "delayed"])
@pytest.mark.parametrize(
    ("newest", "fetched", "now"),
    [
        (FRIDAY, "2026-11-23T17:01", "2026-11-23T17:01:01"),  # in a session whose day it lacks
        (date(2020, 3, 2), "2026-11-23T17:01", "2026-11-23T17:01:01"),
        (FRIDAY, "2026-11-23T21:25", "2026-11-23T21:26"),  # the close is out, and it lacks the day
        (FRIDAY, "2026-11-23T21:25", "2026-11-24T09:00"),
        (FRIDAY, "2026-11-23T20:59", "2026-11-23T21:01"),  # closed, not out: the day was running at the fetch
        (THURSDAY, "2026-11-22T12:00", "2026-11-22T12:01"),
    ],
)
def test_a_chart_that_lacks_a_day_which_the_provider_should_have_had_says_that_it_is_behind(
    newest: date, fetched: str, now: str, data: str
) -> None:
    freshness = judged(chart(newest, fetched), now, data=data)

    assert (True, "provider_behind", None) == (freshness.stale, freshness.reason, freshness.next_refresh)
    assert freshness.until == at(fetched)


@pytest.mark.parametrize(
    ("fetched", "now", "stale"),
    [
        ("2026-11-23T17:00", "2026-11-23T21:59", False),  # Friday's is the newest that can be out
        ("2026-11-23T17:00", "2026-11-23T22:00", True),
        ("2026-11-23T22:00", "2026-11-23T22:00:01", True),
    ],
)
def test_an_end_of_day_chart_is_fresh_until_the_next_close_is_out(fetched: str, now: str, stale: bool) -> None:
    assert stale == judged(chart(FRIDAY, fetched), now, data="end_of_day").stale


def test_an_end_of_day_bar_that_was_fetched_before_its_close_was_out_is_not_the_last_word() -> None:
    assert not judged(chart(MONDAY, "2026-11-23T21:30"), "2026-11-23T21:59", data="end_of_day").stale
    assert judged(chart(MONDAY, "2026-11-23T21:30"), "2026-11-23T22:00", data="end_of_day").stale


@pytest.mark.parametrize(
    ("outlook", "now", "reason"),
    [
        (Outlook(), "2026-11-23T16:00", "budget"),
        (Outlook(), "2026-11-23T21:10", "market_closed"),
        (Outlook(quota_left=False), "2026-11-23T16:00", "quota_spent"),
        (Outlook(store_down=True), "2026-11-23T16:00", "store_down"),
        (Outlook(Gate("operator", at("2026-11-23T17:00"))), "2026-11-23T16:00", "held"),
        (Outlook(Gate(Outcome.BAD_KEY, at("2026-11-23T17:00"), probing=True)), "2026-11-23T16:00", "key_refused"),
        (Outlook(resting={"IBM": at("2026-11-23T17:00")}), "2026-11-23T16:00", "no_data"),
        (Outlook(Gate(PROVIDER_DOWN, at("2026-11-23T17:00"), probing=True)), "2026-11-23T16:00", "provider_down"),
        (Outlook(Gate(Outcome.DAY_USED_UP, at("2026-11-23T17:00"))), "2026-11-23T16:00", "quota_spent"),
    ],
)
def test_a_chart_that_was_not_asked_for_says_why_as_a_quote_does(outlook: Outlook, now: str, reason: str) -> None:
    freshness = judged(chart(MONDAY, "2026-11-23T15:00"), now, outlook=outlook)

    assert (True, reason) == (freshness.stale, freshness.reason)


def test_a_chart_past_its_time_is_as_fresh_as_the_quote_that_closes_it() -> None:
    stored, beside = chart(MONDAY, "2026-11-23T15:00"), quote(MONDAY, "2026-11-23T16:00")
    seen = Forecast(at("2026-11-23T16:00:30"), refreshed={"IBM": at("2026-11-23T16:01:12")})
    outlook = Outlook(weights={"IBM": 1.0}, forecast=seen)

    assert Freshness(at("2026-11-23T16:01"), stale=False) == judged(stored, "2026-11-23T16:00:59", beside=beside)
    later = judged(stored, "2026-11-23T16:01", beside=beside, outlook=outlook)
    assert (True, "budget", at("2026-11-23T16:01:12")) == (later.stale, later.reason, later.next_refresh)


def test_a_chart_within_its_time_stays_fresh_though_the_quote_is_old() -> None:
    stored, beside = chart(MONDAY, "2026-11-23T15:00"), quote(MONDAY, "2026-11-23T15:01")

    assert Freshness(at("2026-11-23T15:30"), stale=False) == judged(stored, "2026-11-23T15:20", beside=beside)


def test_a_final_quote_completes_the_day_until_the_next_open() -> None:
    stored = chart(MONDAY, "2026-11-23T20:00")

    assert judged(stored, "2026-11-23T21:06").stale
    until = at("2026-11-24T14:30")
    beside = quote(MONDAY, "2026-11-23T21:05")
    assert Freshness(until, stale=False) == judged(stored, "2026-11-23T21:06", beside=beside)


def test_a_quote_of_today_does_not_hide_that_yesterday_is_missing() -> None:
    stored, beside = chart(FRIDAY, "2026-11-20T21:05"), quote(TUESDAY, "2026-11-24T16:00")

    freshness = judged(stored, "2026-11-24T16:00:01", beside=beside)

    assert (True, "budget", None) == (freshness.stale, freshness.reason, freshness.next_refresh)


@pytest.mark.parametrize("calendar", [NYSE, ALWAYS])
def test_a_quote_of_today_does_not_hide_that_yesterday_lacks_its_close(calendar: Calendar) -> None:
    stored, beside = chart(MONDAY, "2026-11-23T20:00"), quote(TUESDAY, "2026-11-24T16:00")

    freshness = judged(stored, "2026-11-24T16:00:01", beside=beside, calendar=calendar)

    assert (True, "budget", None) == (freshness.stale, freshness.reason, freshness.next_refresh)


def test_a_chart_from_the_future_is_of_nobody_knows_when() -> None:
    assert judged(chart(MONDAY, "2026-11-23T15:00"), "2026-11-23T14:59").stale
    assert not judged(chart(MONDAY, "2026-11-23T15:00"), "2026-11-23T14:59:31").stale


def test_where_the_market_never_closes_the_clock_alone_decides() -> None:
    stored = chart(FRIDAY, "2026-11-22T12:00")

    assert not judged(stored, "2026-11-22T12:29:59", calendar=ALWAYS).stale
    assert judged(stored, "2026-11-22T12:30", calendar=ALWAYS).stale


def test_delayed_prices_of_a_day_begin_as_late_as_they_are_delayed() -> None:
    stored = chart(FRIDAY, "2026-11-23T14:45")

    assert "provider_behind" != judged(stored, "2026-11-23T14:51", data="delayed").reason
    assert "provider_behind" == judged(chart(FRIDAY, "2026-11-23T14:50"), "2026-11-23T14:51", data="delayed").reason


def test_where_the_market_never_closes_a_chart_of_long_ago_is_behind() -> None:
    told = judged(chart(date(2020, 3, 2), "2026-11-22T12:00"), "2026-11-22T12:01", calendar=ALWAYS)

    assert (True, "provider_behind") == (told.stale, told.reason)


@pytest.mark.parametrize(
    ("newest", "fetched", "now", "beside", "due"),
    [
        (MONDAY, "2026-11-23T15:00", "2026-11-23T15:29", None, None),
        (MONDAY, "2026-11-23T15:00", "2026-11-23T15:30", None, Due.RUNNING_DAY),
        (MONDAY, "2026-11-23T15:00", "2026-11-23T15:30", quote(MONDAY, "2026-11-23T15:20"), None),  # the quote does it
        (MONDAY, "2026-11-23T15:00", "2026-11-23T21:06", quote(MONDAY, "2026-11-23T21:05"), Due.CLOSED_DAY),
        (FRIDAY, "2026-11-20T21:05", "2026-11-23T15:00", None, Due.RUNNING_DAY),
        (FRIDAY, "2026-11-20T20:00", "2026-11-23T15:00", None, Due.CLOSED_DAY),
        (FRIDAY, "2026-11-23T21:05", "2026-11-23T22:04", None, None),  # the provider is behind: an hour later,
        (FRIDAY, "2026-11-23T21:05", "2026-11-23T22:05", None, Due.CLOSED_DAY),
        (FRIDAY, "2026-11-23T23:05", "2026-11-24T01:04", None, None),  # then two, four ...
        (FRIDAY, "2026-11-23T23:05", "2026-11-24T01:05", None, Due.CLOSED_DAY),
        (FRIDAY, "2026-11-24T15:00", "2026-11-24T15:31", None, None),  # also in the next session
    ],
)
def test_what_a_refresh_would_bring(
    newest: date, fetched: str, now: str, beside: Quote | None, due: Due | None
) -> None:
    stored = chart(newest, fetched)
    view = reconcile(stored, beside, NYSE, LAG["realtime"])

    assert due == chart_due(stored, view, NYSE, at(now), data="realtime", ttl=TTL)


@pytest.mark.parametrize(("now", "due"), [("2026-11-22T12:00", Due.RUNNING_DAY), ("2026-11-23T06:00", Due.CLOSED_DAY)])
def test_where_the_market_never_closes_a_day_is_over_when_the_next_begins(now: str, due: Due) -> None:
    stored = chart(FRIDAY, "2026-11-21T12:00")

    assert due == chart_due(stored, reconcile(stored, None, ALWAYS, TTL), ALWAYS, at(now), data="realtime", ttl=TTL)
