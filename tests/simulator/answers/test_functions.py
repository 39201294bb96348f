"""Which functions a key may call, and what a call without an answer of its own gets."""

import pytest

from common.core.limits import parse_limits
from simulator.answers.answer import Table
from simulator.answers.catalogue import EMPTY, INDEX, PREMIUM
from simulator.answers.functions import FUNCTIONS, over_limit
from simulator.answers.notices import NOTICES
from tests.simulator.answers.calls import ENTITLED, body_of, outcome_of


@pytest.mark.parametrize("function", sorted(PREMIUM))
def test_a_premium_function_is_refused_as_one(function: str) -> None:
    field, text = NOTICES["not_entitled"]

    assert {field: text} == body_of(function=function, symbol="IBM", interval="5min")
    assert "notice:not_entitled" == outcome_of(function=function)


def test_index_data_is_refused_in_words_of_its_own() -> None:
    assert "notice:not_entitled_yet" == outcome_of(function=INDEX, symbol="SPX")


@pytest.mark.parametrize("function", sorted({*PREMIUM, INDEX} - FUNCTIONS.keys()))
def test_an_entitled_key_gets_nothing_from_a_premium_function_that_is_not_simulated(function: str) -> None:
    assert ("no_data", {}) == (outcome_of(ENTITLED, function=function), body_of(ENTITLED, function=function))


@pytest.mark.parametrize("function", sorted(EMPTY))
def test_a_free_function_that_is_not_simulated_exists_and_is_empty(function: str) -> None:
    assert ("no_data", {}) == (outcome_of(function=function, symbol="IBM"), body_of(function=function, symbol="IBM"))


def test_each_function_has_one_answer() -> None:
    assert not EMPTY & (PREMIUM | FUNCTIONS.keys() | {INDEX})
    assert {"TIME_SERIES_DAILY_ADJUSTED"} == PREMIUM & FUNCTIONS.keys()


@pytest.mark.parametrize("function", ["time_series_daily", "TIME_SERIES_HOURLY", "BATCH_STOCK_QUOTES", "GLOBAL_QUOTE "])
def test_only_a_function_that_no_one_has_does_not_exist(function: str) -> None:
    assert {"Error Message": f"This API function ({function}) does not exist."} == body_of(function=function)


@pytest.mark.parametrize(
    ("params", "name", "text"),
    [
        ({"function": "NOPE"}, "no_such_function", "This API function (NOPE) does not exist."),
        ({}, "no_such_function", "This API function () does not exist."),
        *(
            ({"function": function}, "bad_request", f"for {function}.")
            for function in ("GLOBAL_QUOTE", "SYMBOL_SEARCH", "OVERVIEW", "SPLITS", "DIVIDENDS")
        ),
        ({"function": "GLOBAL_QUOTE", "apikey": ""}, "bad_key", "the parameter apikey is invalid or missing."),
        ({"function": "GLOBAL_QUOTE", "apikey": "demo"}, "demo_key", "The **demo** API key"),
    ],
)
def test_a_wrong_call_gets_its_notice(params: dict[str, str], name: str, text: str) -> None:
    assert outcome_of(**params) == f"notice:{name}"
    assert text in body_of(**params)[NOTICES[name][0]]


@pytest.mark.parametrize(
    ("rule", "field", "text"),
    [
        ("1/1s", "Information", "1 request per second"),
        ("10/1s", "Information", "Burst pattern detected"),
        ("5/1min", "Note", "5 calls per minute"),
        ("25/1d", "Information", "We have detected your API key as KEY and"),
    ],
)
def test_a_broken_rule_gets_the_notice_of_its_period(rule: str, field: str, text: str) -> None:
    given = over_limit({"apikey": "KEY", "function": "GLOBAL_QUOTE"}, *parse_limits(rule, "limits"))

    assert f"over_limit:{rule}" == given.outcome
    assert isinstance(given.body, dict)
    assert text in given.body[field]


def test_over_a_limit_the_listing_spells_the_notice_over_its_columns() -> None:
    rows = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\nI,n,f,o,r,m,a\r\n"
    given = over_limit({"function": "LISTING_STATUS"}, *parse_limits("1/1s", "limits"))

    assert isinstance(given.body, Table)
    assert rows == given.body.to_csv()


@pytest.mark.parametrize("function", ["SPLITS", "DIVIDENDS"])
def test_nothing_ever_split_or_paid(function: str) -> None:
    assert {"symbol": "IBM", "data": []} == body_of(function=function, symbol="ibm")
    assert {} == body_of(function=function, symbol="NOPE")
    assert 1 == body_of(function=function, symbol="IBM", datatype="csv").count("\r\n")
