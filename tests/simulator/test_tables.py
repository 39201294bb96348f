"""`datatype=csv`: the JSON's values under the columns of the real provider, as recorded in May 2026."""

import csv
from datetime import UTC, datetime
from typing import Any

import pytest

from simulator.query import Provider, answer
from simulator.universe import load_universe

NOW = datetime(2026, 11, 20, 19, 14, 59, tzinfo=UTC)
UNIVERSE = load_universe(seed=1, dead=["DEAD"])
FREE = Provider(UNIVERSE, entitled=False, unknown="empty_quote")
PREMIUM = Provider(UNIVERSE, entitled=True, unknown="empty_quote")
QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "ibm"}
SEARCH = {"function": "SYMBOL_SEARCH", "keywords": "m&m"}
HEADERS = [
    (QUOTE, "symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent", "global_quote_IBM"),
    (
        SEARCH,
        "symbol,name,type,region,marketOpen,marketClose,timezone,currency,matchScore",
        "symbol_search",
    ),
    ({"function": "TIME_SERIES_DAILY", "symbol": "IBM"}, "timestamp,open,high,low,close,volume", "daily_IBM"),
    ({"function": "TIME_SERIES_WEEKLY", "symbol": "IBM"}, "timestamp,open,high,low,close,volume", "weekly_IBM"),
    ({"function": "TIME_SERIES_MONTHLY", "symbol": "IBM"}, "timestamp,open,high,low,close,volume", "monthly_IBM"),
    (
        {"function": "TIME_SERIES_WEEKLY_ADJUSTED", "symbol": "IBM"},
        "timestamp,open,high,low,close,adjusted close,volume,dividend amount",
        "weekly_adjusted_IBM",
    ),
    (
        {"function": "TIME_SERIES_MONTHLY_ADJUSTED", "symbol": "IBM"},
        "timestamp,open,high,low,close,adjusted close,volume,dividend amount",
        "monthly_adjusted_IBM",
    ),
    (
        {"function": "TIME_SERIES_DAILY_ADJUSTED", "symbol": "IBM"},
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient",
        "daily_adjusted_IBM",
    ),
]


def ask(provider: Provider = FREE, **params: str) -> Any:
    return answer(provider, {"apikey": "KEY", **params}, NOW).body


def rows_of(body: Any) -> list[list[str]]:
    """The values of a JSON body, row by row, a series' dates included."""
    if "Global Quote" in body:
        return [list(body["Global Quote"].values())]
    if "bestMatches" in body:
        return [list(match.values()) for match in body["bestMatches"]]
    series = body[next(key for key in body if key != "Meta Data")]
    return [[day, *row.values()] for day, row in series.items()]


@pytest.mark.parametrize(("params", "header", "file"), HEADERS)
def test_csv_has_the_json_values_below_the_providers_columns(params: dict[str, str], header: str, file: str) -> None:
    given = answer(PREMIUM, {"apikey": "KEY", "datatype": "csv", **params}, NOW)
    assert isinstance(given.body, str)
    lines = given.body.split("\r\n")

    assert ("ok", file, header, "") == (given.outcome, given.file, lines[0], lines[-1])
    assert "\n" not in "".join(lines)
    assert rows_of(ask(PREMIUM, **params)) == list(csv.reader(lines[1:-1]))


@pytest.mark.parametrize("datatype", ["json", "", "CSV", "xml", "pandas"])
@pytest.mark.parametrize("params", [QUOTE, SEARCH, {"function": "TIME_SERIES_DAILY", "symbol": "IBM"}])
def test_another_datatype_is_json(params: dict[str, str], datatype: str) -> None:
    assert ask(FREE, **params) == ask(FREE, **params, datatype=datatype)


@pytest.mark.parametrize(
    "params",
    [
        {"function": "GLOBAL_QUOTE"},
        {"function": "GLOBAL_QUOTE", "symbol": "NOPE"},
        {"function": "TIME_SERIES_DAILY", "symbol": "NOPE"},
        {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "outputsize": "full"},
        {"function": "TIME_SERIES_INTRADAY", "symbol": "IBM"},
        {"function": "GLOBAL_QUOTE", "symbol": "IBM", "entitlement": "realtime"},
        {"function": "GLOBAL_QUOTE", "symbol": "IBM", "apikey": ""},
        {"function": "NOPE"},
    ],
)
def test_a_refusal_stays_json_in_csv(params: dict[str, str]) -> None:
    plain = ask(FREE, **params)

    assert isinstance(plain, dict)
    assert plain == ask(FREE, **params, datatype="csv")


@pytest.mark.parametrize("form", ["empty_object", "error_message"])
def test_an_unknown_symbol_stays_json_in_every_form(form: str) -> None:
    provider = Provider(UNIVERSE, entitled=False, unknown=form)

    assert isinstance(ask(provider, function="GLOBAL_QUOTE", symbol="NOPE", datatype="csv"), dict)


@pytest.mark.parametrize("function", ["OVERVIEW", "TOP_GAINERS_LOSERS", "MARKET_STATUS"])
def test_a_function_without_a_table_speaks_json_only(function: str) -> None:
    assert isinstance(ask(function=function, symbol="IBM", datatype="csv"), dict)


def test_a_delayed_quote_has_the_same_columns() -> None:
    text = ask(PREMIUM, **QUOTE, entitlement="delayed", datatype="csv")

    assert text.startswith("symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent\r\nIBM,")


def test_a_search_without_a_match_is_a_header() -> None:
    text = ask(function="SYMBOL_SEARCH", keywords="zzzz", datatype="csv")

    assert "symbol,name,type,region,marketOpen,marketClose,timezone,currency,matchScore\r\n" == text


def test_the_listing_is_csv_whatever_datatype_says() -> None:
    assert isinstance(ask(function="LISTING_STATUS", datatype="json"), str)
