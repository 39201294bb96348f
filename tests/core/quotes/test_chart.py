"""Whether a chart has anything new to ask for, on days of the real calendar."""

from datetime import UTC, date, datetime, timedelta

import pytest

from common.core.calendar.clock import ALWAYS
from common.core.quotes.chart import bars_due
from common.market_calendar import nyse

NYSE = nyse(2026)
TTL = timedelta(minutes=30)
FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)  # sessions from 14:30 to 21:00


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_chart_that_was_never_fetched_is_due() -> None:
    assert bars_due(NYSE, "realtime", None, at("2026-11-23T03:00"), TTL)
    assert bars_due(ALWAYS, "realtime", None, at("2026-11-23T03:00"), TTL)


@pytest.mark.parametrize(
    ("fetched", "now", "due"),
    [
        ("2026-11-23T15:00", "2026-11-23T15:29:59", False),
        ("2026-11-23T15:00", "2026-11-23T15:30", True),
        ("2026-11-20T22:00", "2026-11-23T14:30", False),  # what it holds is Friday's close, all weekend
        ("2026-11-20T22:00", "2026-11-23T14:59:59", False),
        ("2026-11-20T22:00", "2026-11-23T15:00", True),  # half an hour of market time
        ("2026-11-23T20:45", "2026-11-23T21:04:59", False),  # the close is not out yet
        ("2026-11-23T20:00", "2026-11-23T21:01", True),
        ("2026-11-23T20:45", "2026-11-23T21:05", True),
        ("2026-11-23T21:04:59", "2026-11-23T21:05", True),
        ("2026-11-23T21:05", "2026-11-24T14:30", False),
        ("2026-11-20T20:59", "2026-11-23T14:31", True),  # Friday's partial day is two minutes of market time old
        ("2026-11-20T20:59", "2026-11-22T12:00", True),
        ("2026-11-27T17:50", "2026-11-27T18:05", True),  # a half day closes at 18:00
        ("2026-11-25T21:05", "2026-11-26T20:00", False),  # Thanksgiving
    ],
)
def test_a_chart_is_due_when_the_close_is_out_and_every_half_hour_of_the_session(
    fetched: str, now: str, due: bool
) -> None:
    assert due == bars_due(NYSE, "realtime", at(fetched), at(now), TTL)


@pytest.mark.parametrize(("data", "out"), [("realtime", "21:05"), ("delayed", "21:20"), ("end_of_day", "22:00")])
def test_the_close_is_out_as_long_after_the_bell_as_the_data_lag(data: str, out: str) -> None:
    fetched, final = at("2026-11-23T20:59"), at(f"2026-11-23T{out}")

    assert not bars_due(NYSE, data, fetched, final - timedelta(seconds=1), TTL)
    assert bars_due(NYSE, data, fetched, final, TTL)
    assert not bars_due(NYSE, data, final, final + timedelta(hours=8), TTL)


@pytest.mark.parametrize(
    ("fetched", "now", "newest", "due"),
    [
        ("2026-11-23T15:00", "2026-11-23T20:59", FRIDAY, False),  # there is no partial day
        ("2026-11-23T15:00", "2026-11-23T22:00", FRIDAY, True),
        ("2026-11-23T22:00", "2026-11-24T14:29", FRIDAY, False),  # the close was late
        ("2026-11-23T22:00", "2026-11-24T14:30", FRIDAY, True),
        ("2026-11-23T22:00", "2026-11-24T14:30", MONDAY, False),
        ("2026-11-23T22:00", "2026-11-24T14:30", None, False),
        ("2026-11-24T14:30", "2026-11-24T20:00", FRIDAY, False),  # a halted symbol is not asked for on and on
    ],
)
def test_an_end_of_day_chart_is_asked_for_once_a_close_and_once_more_where_the_close_was_late(
    fetched: str, now: str, newest: date | None, due: bool
) -> None:
    assert due == bars_due(NYSE, "end_of_day", at(fetched), at(now), TTL, newest=newest)


@pytest.mark.parametrize("data", ["realtime", "end_of_day"])
def test_where_the_market_never_closes_the_clock_decides(data: str) -> None:
    fetched = at("2026-11-22T03:00")

    assert not bars_due(ALWAYS, data, fetched, fetched + TTL - timedelta(seconds=1), TTL)
    assert bars_due(ALWAYS, data, fetched, fetched + TTL, TTL)


def test_before_the_calendars_first_close_the_clock_of_the_market_decides() -> None:
    fetched = at("2024-01-02T15:00")

    assert not bars_due(NYSE, "realtime", fetched, at("2024-01-02T15:29"), TTL)
    assert bars_due(NYSE, "realtime", fetched, at("2024-01-02T15:30"), TTL)
