"""Days, weeks, months and adjusted series, judged by the daily bars that the same simulator gives."""

from collections.abc import Mapping
from datetime import date

import pytest

from simulator.answers.notices import NOTICES
from simulator.answers.query import Provider
from simulator.answers.series import FULL_BARS
from simulator.market.prices import bars_at
from tests.simulator.answers.calls import ENTITLED, FREE, NOW, UNIVERSE, body_of

PERIODS = {
    "TIME_SERIES_WEEKLY": ("Weekly Time Series", "Weekly Prices (open, high, low, close) and Volumes"),
    "TIME_SERIES_MONTHLY": ("Monthly Time Series", "Monthly Prices (open, high, low, close) and Volumes"),
    "TIME_SERIES_WEEKLY_ADJUSTED": ("Weekly Adjusted Time Series", "Weekly Adjusted Prices and Volumes"),
    "TIME_SERIES_MONTHLY_ADJUSTED": ("Monthly Adjusted Time Series", "Monthly Adjusted Prices and Volumes"),
}
Row = Mapping[str, str]


def period_of(function: str, day: date) -> tuple[int, ...]:
    return day.isocalendar()[:2] if "WEEKLY" in function else (day.year, day.month)


def test_the_daily_series_has_a_hundred_bars_that_agree_with_the_quote() -> None:
    body = body_of(function="TIME_SERIES_DAILY", symbol="aapl")
    quote = body_of(function="GLOBAL_QUOTE", symbol="AAPL")["Global Quote"]
    series = body["Time Series (Daily)"]
    today, yesterday = sorted(series, reverse=True)[:2]

    assert 100 == len(series)
    assert ["1. open", "2. high", "3. low", "4. close", "5. volume"] == list(series["2026-11-20"])
    assert {
        "1. Information": "Daily Prices (open, high, low, close) and Volumes",
        "2. Symbol": "aapl",
        "3. Last Refreshed": "2026-11-20",
        "4. Output Size": "Compact",
        "5. Time Zone": "US/Eastern",
    } == body["Meta Data"]
    assert (today, quote["05. price"]) == (quote["07. latest trading day"], series[today]["4. close"])
    assert quote["08. previous close"] == series[yesterday]["4. close"]


def test_the_full_series_is_for_premium_keys() -> None:
    assert "outputsize=full" in body_of(function="TIME_SERIES_DAILY", symbol="IBM", outputsize="full")["Information"]
    assert (
        len(body_of(ENTITLED, function="TIME_SERIES_DAILY", symbol="IBM", outputsize="full")["Time Series (Daily)"])
        > 100
    )


@pytest.mark.parametrize("function", PERIODS)
def test_a_longer_series_has_no_size_in_its_meta_data(function: str) -> None:
    key, information = PERIODS[function]
    body = body_of(function=function, symbol="ibm")

    assert ["Meta Data", key] == list(body)
    assert {
        "1. Information": information,
        "2. Symbol": "ibm",
        "3. Last Refreshed": "2026-11-20",
        "4. Time Zone": "US/Eastern",
    } == body["Meta Data"]


@pytest.mark.parametrize("function", PERIODS)
def test_each_week_and_month_is_made_of_the_days_that_the_daily_series_has(function: str) -> None:
    rows: Mapping[str, Row] = body_of(function=function, symbol="IBM")[PERIODS[function][0]]
    bars = bars_at(UNIVERSE["IBM"].walk, NOW, FULL_BARS)
    for day, row in rows.items():
        period = period_of(function, date.fromisoformat(day))
        days = [bar for bar in bars if period_of(function, bar.day) == period]

        assert (day, str(days[-1].open), str(days[0].close)) == (
            days[0].day.isoformat(),
            row["1. open"],
            row["4. close"],
        )
        assert (str(max(bar.high for bar in days)), str(min(bar.low for bar in days))) == (
            row["2. high"],
            row["3. low"],
        )
        assert str(sum(bar.volume for bar in days)) in (row.get("5. volume"), row.get("6. volume"))


@pytest.mark.parametrize(("function", "least"), [("TIME_SERIES_WEEKLY", 100), ("TIME_SERIES_MONTHLY", 22)])
def test_weeks_and_months_are_whole_and_without_gaps_but_for_the_newest(function: str, least: int) -> None:
    rows = list(body_of(function=function, symbol="IBM")[PERIODS[function][0]])
    bars = bars_at(UNIVERSE["IBM"].walk, NOW, FULL_BARS)
    last_days = {period_of(function, bar.day): bar.day.isoformat() for bar in reversed(bars)}

    assert len(rows) >= least
    assert rows == sorted(last_days.values(), reverse=True)[:-1]


def test_the_newest_week_closes_at_the_quotes_price() -> None:
    quote = body_of(function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    weeks = body_of(function="TIME_SERIES_WEEKLY", symbol="IBM")["Weekly Time Series"]

    assert quote["05. price"] == weeks[quote["07. latest trading day"]]["4. close"]


@pytest.mark.parametrize(
    ("function", "provider", "key", "more"),
    [
        ("TIME_SERIES_WEEKLY_ADJUSTED", FREE, "Weekly Adjusted Time Series", []),
        ("TIME_SERIES_MONTHLY_ADJUSTED", FREE, "Monthly Adjusted Time Series", []),
        ("TIME_SERIES_DAILY_ADJUSTED", ENTITLED, "Time Series (Daily)", ["8. split coefficient"]),
    ],
)
def test_an_adjusted_series_has_its_close_before_the_volume_and_pays_nothing(
    function: str, provider: Provider, key: str, more: list[str]
) -> None:
    rows = body_of(provider, function=function, symbol="IBM")[key]
    raw = body_of(provider, function=function.removesuffix("_ADJUSTED"), symbol="IBM")
    plain = raw[next(name for name in raw if name != "Meta Data")]

    assert list(rows) == list(plain)
    for day, row in rows.items():
        names = ["1. open", "2. high", "3. low", "4. close", "5. adjusted close", "6. volume", "7. dividend amount"]
        assert [*names, *more] == list(row)
        assert plain[day]["4. close"] == row["4. close"] == row["5. adjusted close"]
        assert (plain[day]["5. volume"], "0.0000") == (row["6. volume"], row["7. dividend amount"])


def test_adjusted_days_have_sizes_as_raw_ones_do() -> None:
    body = body_of(ENTITLED, function="TIME_SERIES_DAILY_ADJUSTED", symbol="IBM")
    full = body_of(ENTITLED, function="TIME_SERIES_DAILY_ADJUSTED", symbol="IBM", outputsize="full")

    assert "Daily Time Series with Splits and Dividend Events" == body["Meta Data"]["1. Information"]
    assert ("Compact", "Full size") == (body["Meta Data"]["4. Output Size"], full["Meta Data"]["4. Output Size"])
    assert (100, FULL_BARS) == (len(body["Time Series (Daily)"]), len(full["Time Series (Daily)"]))


@pytest.mark.parametrize("outputsize", ["compact", "full"])
def test_a_longer_series_takes_no_size_and_is_free_with_any(outputsize: str) -> None:
    plain = body_of(function="TIME_SERIES_WEEKLY", symbol="IBM")

    assert plain == body_of(function="TIME_SERIES_WEEKLY", symbol="IBM", outputsize=outputsize)


@pytest.mark.parametrize("function", ["TIME_SERIES_DAILY", *PERIODS])
@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", ""])
def test_a_series_without_data_is_an_invalid_call(function: str, symbol: str) -> None:
    message = body_of(function=function, symbol=symbol)["Error Message"]

    assert NOTICES["bad_request"][1].replace("<FUNCTION>", function) == message
