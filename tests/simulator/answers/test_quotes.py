import re
from datetime import timedelta

import pytest

from simulator.answers.notices import ARTIFICIAL
from simulator.answers.query import Provider
from tests.simulator.answers.calls import ENTITLED, FREE, NOW, UNIVERSE, body_of, outcome_of

MONEY = re.compile(r"-?\d+\.\d{4}")


def test_a_quote_has_its_ten_numbered_fields_as_strings() -> None:
    quote = body_of(function="GLOBAL_QUOTE", symbol="ibm")["Global Quote"]

    assert list(quote) == [
        *("01. symbol", "02. open", "03. high", "04. low", "05. price", "06. volume", "07. latest trading day"),
        *("08. previous close", "09. change", "10. change percent"),
    ]
    assert "IBM" == quote["01. symbol"]
    assert "2026-11-20" == quote["07. latest trading day"]
    assert quote["06. volume"].isdigit()
    assert all(MONEY.fullmatch(quote[field]) for field in quote if field[:2] in ("02", "03", "04", "05", "08", "09"))
    assert re.fullmatch(r"-?\d+\.\d{4}%", quote["10. change percent"])


def test_a_delayed_quote_says_so_and_is_fifteen_minutes_old() -> None:
    delayed = body_of(ENTITLED, function="GLOBAL_QUOTE", symbol="IBM", entitlement="delayed")
    earlier = body_of(FREE, NOW - timedelta(minutes=15), function="GLOBAL_QUOTE", symbol="IBM")

    assert {"Global Quote - DATA DELAYED BY 15 MINUTES": earlier["Global Quote"]} == delayed


@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", "BRK.B"])
def test_a_symbol_without_data_gets_an_empty_quote(symbol: str) -> None:
    assert {"Global Quote": {}} == body_of(function="GLOBAL_QUOTE", symbol=symbol)
    assert "no_data" == outcome_of(function="GLOBAL_QUOTE", symbol=symbol)


@pytest.mark.parametrize(("form", "keys"), [("empty_object", []), ("error_message", ["Error Message"])])
def test_an_unknown_symbol_can_be_denied_in_older_forms(form: str, keys: list[str]) -> None:
    provider = Provider(UNIVERSE, entitled=False, unknown=form)

    assert list(body_of(provider, function="GLOBAL_QUOTE", symbol="NOPE")) == keys


def test_bulk_quotes_agree_with_single_ones() -> None:
    symbols = "IBM,NOPE,DEAD,TSCO.LON,AAPL"
    body = body_of(ENTITLED, function="REALTIME_BULK_QUOTES", symbol=symbols, entitlement="realtime")
    quote = body_of(function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    row = body["data"][0]

    assert ("success", ["IBM", "AAPL"]) == (body["message"], [r["symbol"] for r in body["data"]])
    assert "2026-11-20 14:14:59.291" == row["timestamp"]
    assert (row["close"], row["previous_close"]) == (quote["05. price"], quote["08. previous close"])
    assert row["change_percent"] + "%" == quote["10. change percent"]


def test_a_bulk_call_honours_a_hundred_symbols_and_cuts_the_rest_silently() -> None:
    symbols = [s for s in UNIVERSE if UNIVERSE[s].region == "United States" and s != "DEAD"][:150]
    body = body_of(ENTITLED, function="REALTIME_BULK_QUOTES", symbol=",".join(symbols))

    assert [row["symbol"] for row in body["data"]] == symbols[:100]


def test_without_the_right_bulk_prices_are_artificial() -> None:
    body = body_of(function="REALTIME_BULK_QUOTES", symbol="TSLA")
    good = body_of(ENTITLED, function="REALTIME_BULK_QUOTES", symbol="TSLA")

    assert body["message"] == ARTIFICIAL
    assert ["MSFT", "AAPL", "IBM"] == [row["symbol"] for row in body["data"]]
    assert list(body["data"][0]) == list(good["data"][0])
