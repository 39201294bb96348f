"""Fresh or stale, and how a quote reads to a client."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from common.core.budget.policy import Policy
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.limits import PLANS
from common.core.models import Price, Quote
from common.core.quotes.freshness import Freshness, shape
from common.core.quotes.freshness import judge as judge_by
from common.core.quotes.outlook import Outlook
from common.market_calendar import nyse

NYSE = nyse(2027)
TTL = timedelta(seconds=60)
FRIDAY = date(2026, 11, 20)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quote(fetched_at: str, day: date = FRIDAY) -> Quote:
    return Quote(Price("IBM", Decimal("133.6900"), day), "alphavantage", at(fetched_at))


def judge(given: Quote, calendar: Calendar, now: datetime, *, ttl: timedelta, data: str) -> Freshness:
    """As a process judges that has no news of the budget."""
    policy = Policy(PLANS["standard"].limits, data, 0.2)
    return judge_by(given, calendar, now, ttl=ttl, policy=policy, outlook=Outlook())


@pytest.mark.parametrize("data", ["realtime", "delayed"])
@pytest.mark.parametrize(
    ("fetched_at", "now", "verdict"),
    [
        ("2026-11-20T16:00:00", "2026-11-20T16:00:59.999", None),
        ("2026-11-20T16:00:00", "2026-11-20T16:01:00", "budget"),
        ("2026-11-20T16:00:00", "2026-11-20T22:00:00", "market_closed"),  # it missed the sweep
        ("2026-11-20T21:20:00", "2026-11-22T12:00:00", None),  # it holds the final price
        ("2026-11-20T21:20:00", "2026-11-23T14:29:59", None),
        ("2026-11-20T21:20:00", "2026-11-23T14:30:00", "budget"),
    ],
)
def test_a_stale_quote_says_why_it_was_not_refreshed(data: str, fetched_at: str, now: str, verdict: str | None) -> None:
    freshness = judge(quote(fetched_at), NYSE, at(now), ttl=TTL, data=data)

    assert (verdict is not None, verdict) == (freshness.stale, freshness.reason)


@pytest.mark.parametrize(
    ("data", "fetched_at", "verdict"),
    [
        ("realtime", "2026-11-20T21:04", "market_closed"),  # the closing auction is not over
        ("realtime", "2026-11-20T21:05", None),
        ("delayed", "2026-11-20T21:19", "market_closed"),
        ("delayed", "2026-11-20T21:20", None),
    ],
)
def test_a_price_is_final_once_the_auction_and_the_delay_are_over(
    data: str, fetched_at: str, verdict: str | None
) -> None:
    assert verdict == judge(quote(fetched_at), NYSE, at("2026-11-21T12:00"), ttl=TTL, data=data).reason


@pytest.mark.parametrize("minute", range(7))
def test_a_real_time_quote_is_fresh_from_the_first_minute_of_the_session(minute: int) -> None:
    fetched_at = f"2026-11-20T14:{30 + minute}:00"

    assert not judge(quote(fetched_at), NYSE, at(fetched_at), ttl=TTL, data="realtime").stale


@pytest.mark.parametrize(
    ("day", "until"),
    [
        (date(2026, 11, 19), "2026-11-20T22:00"),  # until the next close may be out, an hour after it
        (date(2026, 11, 20), "2026-11-23T22:00"),
        (date(2026, 11, 25), "2026-11-27T19:00"),  # the next session is a half day
        (date(2026, 11, 22), "2026-11-23T22:00"),  # a day that was none
        (date(2026, 10, 30), "2026-11-02T22:00"),
        (date(2026, 3, 6), "2026-03-09T21:00"),
    ],
)
def test_an_end_of_day_price_is_fresh_until_the_next_close_may_be_out(day: date, until: str) -> None:
    given = quote(f"{day}T23:00", day)
    freshness = judge(given, NYSE, at(until) - timedelta(microseconds=1), ttl=TTL, data="end_of_day")

    assert freshness == Freshness(at(until), stale=False, reason=None)
    assert judge(given, NYSE, at(until), ttl=TTL, data="end_of_day").stale


@pytest.mark.parametrize("data", ["realtime", "end_of_day"])
def test_a_quote_from_the_future_is_stale_for_nobody_knows_its_age(data: str) -> None:
    now = at("2026-11-20T16:00:00")

    assert judge(quote("2026-11-20T16:00:31"), NYSE, now, ttl=TTL, data=data).stale
    assert not judge(quote("2026-11-20T16:00:29"), NYSE, now, ttl=TTL, data="realtime").stale


@pytest.mark.parametrize("data", ["realtime", "delayed", "end_of_day"])
def test_where_the_market_never_closes_only_the_ttl_counts(data: str) -> None:
    sunday = "2026-11-22T03:00:00"

    assert not judge(quote(sunday), ALWAYS, at("2026-11-22T03:00:59"), ttl=TTL, data=data).stale
    assert judge(quote(sunday), ALWAYS, at("2026-11-22T03:01:00"), ttl=TTL, data=data).reason == "budget"


def test_a_quote_reads_as_one_flat_object_with_numbers() -> None:
    price = Price(
        symbol="IBM",
        price=Decimal("133.6900"),
        trading_day=FRIDAY,
        change=Decimal("-0.5600"),
        change_percent=Decimal("-0.4207"),
        volume=2850210,
        open=Decimal("133.36"),
        high=Decimal("136.05"),
        low=Decimal("133.18"),
        previous_close=Decimal("134.25"),
    )
    fetched = Quote(price, "alphavantage", at("2026-11-20T16:00:00.123999"))
    body = shape(fetched, Freshness(at("2026-11-20T16:01:00.123999"), stale=False, reason=None))

    assert json.loads(json.dumps(body)) == {
        "symbol": "IBM",
        "price": 133.69,
        "change": -0.56,
        "change_percent": "-0.4207",
        "volume": 2850210,
        "timestamp": "2026-11-20",
        "open": 133.36,
        "high": 136.05,
        "low": 133.18,
        "previous_close": 134.25,
        "fetched_at": "2026-11-20T16:00:00.123Z",
        "fresh_until": "2026-11-20T16:01:00.123Z",
        "stale": False,
        "source": "alphavantage",
    }


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        ("8e-08", "0.00000008"),
        ("-8E-8", "-0.00000008"),
        ("1E+3", "1000"),
        ("2.5e11", "250000000000"),
        ("1e-12", "0.000000000001"),
        ("0.4200", "0.4200"),
        ("-0.4207", "-0.4207"),
        ("0.0000", "0.0000"),
        ("0", "0"),
        ("-0.0000", "0.0000"),  # as an older process wrote it
        ("0E+5", "0"),
    ],
)
def test_a_percentage_is_written_as_people_write_numbers(percent: str, text: str) -> None:
    price = Price("IBM", Decimal(1), FRIDAY, change_percent=Decimal(percent))
    body = shape(Quote(price, "alphavantage", at("2026-11-20T16:00")), Freshness(at("2026-11-20T16:01"), stale=False))

    assert text == body["change_percent"]


def test_a_change_of_minus_zero_is_none() -> None:
    price = Price("IBM", Decimal(1), FRIDAY, change=Decimal("-0.0000"))
    body = shape(Quote(price, "alphavantage", at("2026-11-20T16:00")), Freshness(at("2026-11-20T16:01"), stale=False))

    assert "0.0" == json.dumps(body["change"])


def test_what_is_unknown_reads_as_null_and_a_stale_quote_tells_its_reason() -> None:
    body = shape(quote("2026-11-20T16:00"), Freshness(at("2026-11-20T16:01"), stale=True, reason="budget"))

    assert {"change", "change_percent", "volume", "open", "high", "low", "previous_close", "next_refresh_at"} == {
        name for name, value in body.items() if value is None
    }
    assert (True, "budget") == (body["stale"], body["reason"])
