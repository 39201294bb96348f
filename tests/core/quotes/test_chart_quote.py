"""The newest bar of a chart beside the quote: they never close against each other."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.calendar.clock import ALWAYS
from common.core.models import Bar, Price, Quote
from common.core.quotes.chart import Chart, reconcile
from common.market_calendar import nyse

NYSE = nyse(2026)
LAG = timedelta(minutes=5)
FRIDAY, MONDAY, TUESDAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 24)  # sessions from 14:30 to 21:00


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bar(day: date, close: str = "11", *, low: str = "9", high: str = "12", volume: int | None = 7) -> Bar:
    return Bar(day, Decimal(10), Decimal(high), Decimal(low), Decimal(close), volume)


def chart(*bars: Bar, fetched: str = "2026-11-23T15:00", symbol: str = "IBM") -> Chart:
    return Chart(symbol, "simulated", bars, at(fetched))


def quote(price: str, day: date, fetched: str, *, source: str = "simulated", **more: Decimal | int | None) -> Quote:
    given = {"open": Decimal(10), "high": Decimal(12), "low": Decimal(9), "volume": 8} | more
    return Quote(Price("IBM", Decimal(price), day, **given), source, at(fetched))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (quote("11.5", MONDAY, "2026-11-23T15:01"), bar(MONDAY, "11.5", volume=8)),
        (quote("11.5", MONDAY, "2026-11-23T15:01", volume=None), bar(MONDAY, "11.5")),
        (quote("13", MONDAY, "2026-11-23T15:01"), bar(MONDAY, "13", high="13", volume=8)),
        (quote("8.5", MONDAY, "2026-11-23T15:01"), bar(MONDAY, "8.5", low="8.5", volume=8)),
        (
            quote("11", MONDAY, "2026-11-23T15:01", high=Decimal(14), low=Decimal(7)),
            bar(MONDAY, low="7", high="14", volume=8),
        ),
        (quote("11.5", MONDAY, "2026-11-23T15:01", high=None, low=None, open=None), bar(MONDAY, "11.5", volume=8)),
    ],
)
def test_a_newer_quote_of_the_newest_day_closes_its_bar(given: Quote, expected: Bar) -> None:
    view = reconcile(chart(bar(FRIDAY), bar(MONDAY)), given, NYSE, LAG)

    assert (bar(FRIDAY), expected) == view.bars
    assert (True, given.fetched_at, frozenset({MONDAY})) == (view.quoted, view.as_of, view.partial)


@pytest.mark.parametrize(
    "given",
    [
        None,
        quote("11.5", MONDAY, "2026-11-23T14:59"),  # older than the chart
        quote("11.5", MONDAY, "2026-11-23T15:00"),
        quote("11.5", FRIDAY, "2026-11-23T15:01"),  # of an older day: the bars know better
        quote("11.5", MONDAY, "2026-11-23T15:01", source="alphavantage"),
        quote("11.5", TUESDAY, "2026-11-24T15:01", open=None),  # half a bar is none
        quote("11.5", TUESDAY, "2026-11-24T15:01", high=None),
        quote("11.5", TUESDAY, "2026-11-24T15:01", low=None),
        quote("11.5", date(2026, 11, 26), "2026-11-26T15:01"),  # Thanksgiving
    ],
)
def test_any_other_quote_changes_nothing(given: Quote | None) -> None:
    stored = chart(bar(FRIDAY), bar(MONDAY))
    view = reconcile(stored, given, NYSE, LAG)

    assert (stored.bars, stored.fetched_at, False, frozenset({MONDAY})) == (
        view.bars,
        view.as_of,
        view.quoted,
        view.partial,
    )


def test_a_quote_of_a_later_day_adds_its_bar_and_the_day_before_stays_as_it_was_fetched() -> None:
    stored = chart(bar(FRIDAY), bar(MONDAY), fetched="2026-11-23T15:00")

    view = reconcile(stored, quote("13", TUESDAY, "2026-11-24T15:01"), NYSE, LAG)

    assert (bar(FRIDAY), bar(MONDAY), bar(TUESDAY, "13", high="13", volume=8)) == view.bars
    assert {MONDAY, TUESDAY} == view.partial


@pytest.mark.parametrize(
    ("fetched", "partial"),
    [
        ("2026-11-23T15:00", {MONDAY}),
        ("2026-11-23T21:00", {MONDAY}),  # the closing auction is not over
        ("2026-11-23T21:04:59", {MONDAY}),
        ("2026-11-23T21:05", set()),
        ("2026-11-24T14:00", set()),
    ],
)
def test_a_bar_is_partial_until_its_close_is_out(fetched: str, partial: set[date]) -> None:
    assert partial == reconcile(chart(bar(FRIDAY), bar(MONDAY), fetched=fetched), None, NYSE, LAG).partial


def test_a_half_day_is_over_at_its_own_close() -> None:
    half = date(2026, 11, 27)  # closes at 18:00

    assert {half} == reconcile(chart(bar(half), fetched="2026-11-27T18:04"), None, NYSE, LAG).partial
    assert set() == reconcile(chart(bar(half), fetched="2026-11-27T18:05"), None, NYSE, LAG).partial


def test_a_final_quote_makes_the_days_bar_final() -> None:
    stored = chart(bar(FRIDAY), bar(MONDAY))

    assert {MONDAY} == reconcile(stored, quote("11", MONDAY, "2026-11-23T21:04"), NYSE, LAG).partial
    assert set() == reconcile(stored, quote("11", MONDAY, "2026-11-23T21:05"), NYSE, LAG).partial


@pytest.mark.parametrize(
    ("symbol", "day", "fetched", "partial"),
    [
        ("TSCO.LON", date(2026, 11, 26), "2026-11-26T09:00", True),  # New York keeps a holiday
        ("TSCO.LON", date(2026, 11, 26), "2026-11-27T09:00", False),
    ],
)
def test_a_day_without_a_session_here_is_final_once_it_is_over(
    symbol: str, day: date, fetched: str, partial: bool
) -> None:
    assert partial == (day in reconcile(chart(bar(day), fetched=fetched, symbol=symbol), None, NYSE, LAG).partial)


@pytest.mark.parametrize(
    ("fetched", "partial"),
    [("2026-11-20T15:00", True), ("2026-11-22T15:00", True), ("2026-11-23T04:59", True), ("2026-11-23T05:00", False)],
)
def test_where_the_market_never_closes_fridays_bar_goes_on_over_the_weekend(fetched: str, partial: bool) -> None:
    assert partial == (FRIDAY in reconcile(chart(bar(FRIDAY), fetched=fetched), None, ALWAYS, LAG).partial)


amounts = st.decimals("0.0001", "100000", places=4)


@st.composite
def sane_bars(draw: st.DrawFn, day: date) -> Bar:
    low, *middle, high = sorted(draw(st.lists(amounts, min_size=4, max_size=4)))
    opening, close = draw(st.permutations(middle))
    return Bar(day, opening, high, low, close, draw(st.none() | st.integers(0, 10**12)))


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    """Any, sane or not, of days around the newest bar's."""
    optional = st.none() | amounts
    price = Price(
        "IBM",
        draw(amounts),
        draw(st.sampled_from([FRIDAY, MONDAY, TUESDAY, date(2026, 11, 25)])),
        volume=draw(st.none() | st.integers(0, 10**12)),
        open=draw(optional),
        high=draw(optional),
        low=draw(optional),
    )
    minutes = draw(st.integers(-3000, 6000))
    return Quote(
        price, draw(st.sampled_from(["simulated", "alphavantage"])), at("2026-11-23T15:00") + minutes * LAG / 5
    )


@given(sane_bars(FRIDAY), sane_bars(MONDAY), quotes())
def test_no_quote_makes_a_bar_impossible_an_older_day_different_or_the_chart_older(
    first: Bar, last: Bar, told: Quote
) -> None:
    stored = chart(first, last)

    view = reconcile(stored, told, NYSE, LAG)

    assert all(each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high for each in view.bars)
    assert view.bars[0] == first
    assert view.bars[1] == last or view.bars[1].day == last.day == view.bars[-1].day
    assert view.as_of >= stored.fetched_at
    assert sorted({each.day for each in view.bars}) == [each.day for each in view.bars]
    if told.source == stored.source and told.fetched_at > stored.fetched_at and told.price.trading_day == last.day:
        assert view.bars[-1].close == told.price.price
    assert reconcile(replace(stored, bars=view.bars), told, NYSE, LAG).bars == view.bars
