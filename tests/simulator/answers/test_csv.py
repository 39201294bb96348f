"""`datatype=csv`: the JSON's values under the columns of the real provider, as recorded in May 2026."""

import csv
from typing import Any

import pytest

from simulator.answers.answer import Table
from simulator.answers.query import Provider
from tests.simulator.answers.calls import ENTITLED, FREE, UNIVERSE, answer_to, body_of

QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "ibm"}
SEARCH = {"function": "SYMBOL_SEARCH", "keywords": "m&m"}
QUOTE_HEADER = "symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent"
MATCH_HEADER = "symbol,name,type,region,marketOpen,marketClose,timezone,currency,matchScore"
HEADERS = [
    (QUOTE, QUOTE_HEADER, "global_quote_IBM"),
    ({**QUOTE, "entitlement": "delayed"}, QUOTE_HEADER, "global_quote_IBM"),
    (SEARCH, MATCH_HEADER, "symbol_search"),
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


def rows_of(body: Any) -> list[list[str]]:
    """The values of a JSON body, row by row, a series' dates included."""
    if len(body) == 1 and "bestMatches" not in body:
        return [list(quote.values()) for quote in body.values()]
    if "bestMatches" in body:
        return [list(match.values()) for match in body["bestMatches"]]
    series = body[next(key for key in body if key != "Meta Data")]
    return [[day, *row.values()] for day, row in series.items()]


@pytest.mark.parametrize(("params", "header", "file"), HEADERS)
def test_csv_has_the_json_values_below_the_providers_columns(params: dict[str, str], header: str, file: str) -> None:
    given = answer_to(ENTITLED, datatype="csv", **params)
    assert isinstance(given.body, Table)
    lines = given.body.to_csv().split("\r\n")

    assert ("ok", file, header, "") == (given.outcome, given.body.name, lines[0], lines[-1])
    assert "\n" not in "".join(lines)
    assert rows_of(body_of(ENTITLED, **params)) == list(csv.reader(lines[1:-1]))


@pytest.mark.parametrize("datatype", ["json", "", "CSV", "xml", "pandas"])
@pytest.mark.parametrize("params", [QUOTE, SEARCH, {"function": "TIME_SERIES_DAILY", "symbol": "IBM"}])
def test_another_datatype_is_json(params: dict[str, str], datatype: str) -> None:
    assert body_of(FREE, **params) == body_of(FREE, **params, datatype=datatype)


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
    plain = body_of(FREE, **params)

    assert isinstance(plain, dict)
    assert plain == body_of(FREE, **params, datatype="csv")


@pytest.mark.parametrize("form", ["empty_object", "error_message"])
def test_an_unknown_symbol_stays_json_in_every_form(form: str) -> None:
    provider = Provider(UNIVERSE, entitled=False, unknown=form)

    assert isinstance(body_of(provider, function="GLOBAL_QUOTE", symbol="NOPE", datatype="csv"), dict)


@pytest.mark.parametrize("function", ["OVERVIEW", "TOP_GAINERS_LOSERS", "MARKET_STATUS", "REALTIME_BULK_QUOTES"])
def test_a_function_without_a_table_speaks_json_only(function: str) -> None:
    assert isinstance(body_of(function=function, symbol="IBM", datatype="csv"), dict)


def test_a_search_without_a_match_is_a_header() -> None:
    text = body_of(function="SYMBOL_SEARCH", keywords="zzzz", datatype="csv")

    assert f"{MATCH_HEADER}\r\n" == text


def test_the_listing_is_csv_whatever_datatype_says() -> None:
    assert isinstance(body_of(function="LISTING_STATUS", datatype="json"), str)
