"""Weeks, months and adjusted series, judged by the daily bars that the same simulator gives."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from simulator.notices import NOTICES
from simulator.prices import bars_at
from simulator.query import FULL, Provider, answer
from simulator.universe import load_universe

NOW = datetime(2026, 11, 20, 19, 14, 59, tzinfo=UTC)
UNIVERSE = load_universe(seed=1, dead=["DEAD"])
FREE = Provider(UNIVERSE, entitled=False, unknown="empty_quote")
PREMIUM = Provider(UNIVERSE, entitled=True, unknown="empty_quote")
PERIODS = {
    "TIME_SERIES_WEEKLY": ("Weekly Time Series", "Weekly Prices (open, high, low, close) and Volumes"),
    "TIME_SERIES_MONTHLY": ("Monthly Time Series", "Monthly Prices (open, high, low, close) and Volumes"),
    "TIME_SERIES_WEEKLY_ADJUSTED": ("Weekly Adjusted Time Series", "Weekly Adjusted Prices and Volumes"),
    "TIME_SERIES_MONTHLY_ADJUSTED": ("Monthly Adjusted Time Series", "Monthly Adjusted Prices and Volumes"),
}
Row = Mapping[str, str]


def ask(provider: Provider = FREE, **params: str) -> Any:
    return answer(provider, {"apikey": "KEY", **params}, NOW).body


def period_of(function: str, day: date) -> tuple[int, ...]:
    return day.isocalendar()[:2] if "WEEKLY" in function else (day.year, day.month)


@pytest.mark.parametrize("function", PERIODS)
def test_a_longer_series_has_no_size_in_its_meta_data(function: str) -> None:
    key, information = PERIODS[function]
    body = ask(function=function, symbol="ibm")

    assert ["Meta Data", key] == list(body)
    assert {
        "1. Information": information,
        "2. Symbol": "ibm",
        "3. Last Refreshed": "2026-11-20",
        "4. Time Zone": "US/Eastern",
    } == body["Meta Data"]


@pytest.mark.parametrize("function", PERIODS)
def test_each_week_and_month_is_made_of_the_days_that_the_daily_series_has(function: str) -> None:
    rows: Mapping[str, Row] = ask(function=function, symbol="IBM")[PERIODS[function][0]]
    bars = bars_at(UNIVERSE["IBM"].walk, NOW, FULL)
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
    rows = list(ask(function=function, symbol="IBM")[PERIODS[function][0]])
    bars = bars_at(UNIVERSE["IBM"].walk, NOW, FULL)
    last_days = {period_of(function, bar.day): bar.day.isoformat() for bar in reversed(bars)}

    assert len(rows) >= least
    assert rows == sorted(last_days.values(), reverse=True)[:-1]


def test_the_newest_week_closes_at_the_quotes_price() -> None:
    quote = ask(function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    weeks = ask(function="TIME_SERIES_WEEKLY", symbol="IBM")["Weekly Time Series"]

    assert quote["05. price"] == weeks[quote["07. latest trading day"]]["4. close"]


@pytest.mark.parametrize(
    ("function", "provider", "key", "more"),
    [
        ("TIME_SERIES_WEEKLY_ADJUSTED", FREE, "Weekly Adjusted Time Series", []),
        ("TIME_SERIES_MONTHLY_ADJUSTED", FREE, "Monthly Adjusted Time Series", []),
        ("TIME_SERIES_DAILY_ADJUSTED", PREMIUM, "Time Series (Daily)", ["8. split coefficient"]),
    ],
)
def test_an_adjusted_series_has_its_close_before_the_volume_and_pays_nothing(
    function: str, provider: Provider, key: str, more: list[str]
) -> None:
    rows = ask(provider, function=function, symbol="IBM")[key]
    raw = ask(provider, function=function.removesuffix("_ADJUSTED"), symbol="IBM")
    plain = raw[next(name for name in raw if name != "Meta Data")]

    assert list(rows) == list(plain)
    for day, row in rows.items():
        names = ["1. open", "2. high", "3. low", "4. close", "5. adjusted close", "6. volume", "7. dividend amount"]
        assert [*names, *more] == list(row)
        assert plain[day]["4. close"] == row["4. close"] == row["5. adjusted close"]
        assert (plain[day]["5. volume"], "0.0000") == (row["6. volume"], row["7. dividend amount"])


def test_adjusted_days_have_sizes_as_raw_ones_do() -> None:
    body = ask(PREMIUM, function="TIME_SERIES_DAILY_ADJUSTED", symbol="IBM")
    full = ask(PREMIUM, function="TIME_SERIES_DAILY_ADJUSTED", symbol="IBM", outputsize="full")

    assert "Daily Time Series with Splits and Dividend Events" == body["Meta Data"]["1. Information"]
    assert ("Compact", "Full size") == (body["Meta Data"]["4. Output Size"], full["Meta Data"]["4. Output Size"])
    assert (100, FULL) == (len(body["Time Series (Daily)"]), len(full["Time Series (Daily)"]))


@pytest.mark.parametrize("outputsize", ["compact", "full"])
def test_a_longer_series_takes_no_size_and_is_free_with_any(outputsize: str) -> None:
    plain = ask(function="TIME_SERIES_WEEKLY", symbol="IBM")

    assert plain == ask(function="TIME_SERIES_WEEKLY", symbol="IBM", outputsize=outputsize)


@pytest.mark.parametrize("function", PERIODS)
@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", ""])
def test_a_longer_series_without_data_is_an_invalid_call(function: str, symbol: str) -> None:
    message = ask(function=function, symbol=symbol)["Error Message"]

    assert NOTICES["bad_request"][1].replace("<FUNCTION>", function) == message


@pytest.mark.parametrize("function", PERIODS)
def test_without_an_entitlement_a_premium_key_sees_no_running_week_or_month(function: str) -> None:
    closed = ask(PREMIUM, function=function, symbol="IBM")
    running = ask(PREMIUM, function=function, symbol="IBM", entitlement="realtime")

    assert ("2026-11-19", "2026-11-20") == (
        closed["Meta Data"]["3. Last Refreshed"],
        running["Meta Data"]["3. Last Refreshed"],
    )
