"""Why nothing is refreshed, why a stale quote was not, and when it should be."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from common.core.forecast.promises import Forecast
from common.core.forecast.situation import Gate
from common.core.models import Price, Quote
from common.core.quotes.outlook import LATE, REASONS, Outlook, next_refresh, pause, reason
from common.market_calendar import nyse

NYSE = nyse(2027)
OPEN = datetime(2026, 11, 20, 16, tzinfo=UTC)
CLOSED = datetime(2026, 11, 20, 21, 2, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LATER, BEFORE = OPEN + 6 * HOUR, OPEN - HOUR
RESTS = {"IBM": LATER}


def quote(fetched_at: datetime) -> Quote:
    return Quote(Price("IBM", Decimal(1), date(2026, 11, 20)), "alphavantage", fetched_at)


@pytest.mark.parametrize(
    ("outlook", "now", "why"),
    [
        (Outlook(), OPEN, "budget"),
        (Outlook(), CLOSED, "market_closed"),
        (Outlook(store_down=True, gate=Gate("bad_key", LATER, probing=True)), OPEN, "store_down"),
        (Outlook(Gate("bad_key", LATER, probing=True)), OPEN, "key_refused"),
        (Outlook(Gate("bad_key", BEFORE, probing=True)), CLOSED, "key_refused"),
        (Outlook(Gate("provider_down", LATER, probing=True, fails=True)), OPEN, "provider_down"),
        (Outlook(Gate("provider_down", BEFORE, probing=True, fails=True)), CLOSED, "provider_down"),
        (Outlook(quota_left=False), OPEN, "quota_spent"),
        (Outlook(Gate("day_used_up", LATER, probing=True)), OPEN, "quota_spent"),
        (Outlook(Gate("day_used_up", BEFORE, probing=True, knows_day=False)), OPEN, "quota_spent"),
        (Outlook(Gate("operator", LATER)), OPEN, "held"),
        (Outlook(Gate("clock_jump", LATER)), CLOSED, "held"),
        (Outlook(Gate("retry_after", LATER)), OPEN, "held"),
        (Outlook(Gate("operator", BEFORE)), OPEN, "budget"),
        (Outlook(Gate("throttled_minute", OPEN + MINUTE)), OPEN, "budget"),
        (Outlook(resting=RESTS), OPEN, "no_data"),
        (Outlook(resting=RESTS), CLOSED, "no_data"),
        (Outlook(resting={"IBM": BEFORE}), OPEN, "budget"),
        (Outlook(Gate("operator", LATER), resting=RESTS), OPEN, "held"),
    ],
)
def test_a_stale_quote_has_one_reason(outlook: Outlook, now: datetime, why: str) -> None:
    assert why == reason(outlook, NYSE, "IBM", now)
    assert why in REASONS


def test_what_stops_one_symbol_is_no_pause_of_all() -> None:
    assert None is pause(Outlook(resting=RESTS), NYSE, OPEN)


DUE = OPEN + 3 * MINUTE


def seen(**refreshed: datetime) -> Forecast:
    return Forecast(OPEN, refreshed=refreshed, period=120.0)


@pytest.mark.parametrize(
    ("outlook", "due"),
    [
        (Outlook(), None),
        (Outlook(forecast=seen(IBM=DUE)), DUE),
        (Outlook(forecast=seen(IBM=BEFORE + HOUR)), OPEN + LATE),  # it is due at any moment
        (Outlook(forecast=seen()), None),  # nobody wants it
        (Outlook(forecast=seen(), weights={"IBM": 4.0}), OPEN - MINUTE + timedelta(seconds=60) + LATE),
        (Outlook(forecast=seen(IBM=DUE), store_down=True), None),
        (Outlook(Gate("provider_down", OPEN + HOUR, probing=True), forecast=seen(IBM=DUE)), None),
        (Outlook(Gate("bad_key", BEFORE, probing=True), forecast=seen(IBM=DUE)), None),
        (Outlook(Gate("operator", OPEN + HOUR), forecast=seen(IBM=DUE)), OPEN + HOUR),
        (Outlook(resting={"IBM": OPEN + HOUR}, forecast=seen(IBM=DUE)), OPEN + HOUR),
    ],
)
def test_the_estimate_waits_for_whatever_comes_last_and_is_no_guess(outlook: Outlook, due: datetime | None) -> None:
    assert due == next_refresh(outlook, quote(OPEN - MINUTE), OPEN)


def test_a_forecast_from_before_the_quote_says_nothing_of_its_next_refresh() -> None:
    outlook = Outlook(forecast=seen(IBM=OPEN), weights={"IBM": 4.0})

    assert OPEN + MINUTE == next_refresh(outlook, quote(OPEN), OPEN)
