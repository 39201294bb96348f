import csv
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.core.limits import parse_limits
from simulator.notices import ARTIFICIAL, NOTICES, notice_of_rule
from simulator.query import Provider, answer, over_limit
from simulator.universe import load_universe

NOW = datetime(2026, 11, 20, 19, 14, 59, 291_000, tzinfo=UTC)
UNIVERSE = load_universe(seed=1, dead=["DEAD"])
FREE = Provider(UNIVERSE, entitled=False, unknown="empty_quote")
PREMIUM = Provider(UNIVERSE, entitled=True, unknown="empty_quote")
MONEY = re.compile(r"-?\d+\.\d{4}")


def ask(provider: Provider = FREE, now: datetime = NOW, **params: str) -> Any:
    return answer(provider, {"apikey": "KEY", **params}, now).body


def outcome(provider: Provider = FREE, **params: str) -> str:
    return answer(provider, {"apikey": "KEY", **params}, NOW).outcome


def test_a_quote_has_its_ten_numbered_fields_as_strings() -> None:
    quote = ask(function="GLOBAL_QUOTE", symbol="ibm")["Global Quote"]

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
    delayed = ask(PREMIUM, function="GLOBAL_QUOTE", symbol="IBM", entitlement="delayed")
    earlier = ask(function="GLOBAL_QUOTE", symbol="IBM", now=NOW - timedelta(minutes=15))

    assert {"Global Quote - DATA DELAYED BY 15 MINUTES": earlier["Global Quote"]} == delayed


@pytest.mark.parametrize("now", [NOW, NOW + timedelta(days=1), NOW + timedelta(hours=12)])
def test_without_an_entitlement_a_premium_key_sees_the_last_finished_day(now: datetime) -> None:
    quote = ask(PREMIUM, now=now, function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    series = ask(PREMIUM, now=now, function="TIME_SERIES_DAILY", symbol="IBM")["Time Series (Daily)"]
    [row] = ask(PREMIUM, now=now, function="REALTIME_BULK_QUOTES", symbol="IBM")["data"]
    running = ask(PREMIUM, now=now, function="TIME_SERIES_DAILY", symbol="IBM", entitlement="realtime")
    days = sorted(running["Time Series (Daily)"], reverse=True)

    assert (100, days[1:100]) == (len(series), sorted(series, reverse=True)[:99])
    assert ("2026-11-19", series[days[1]]["4. close"]) == (quote["07. latest trading day"], quote["05. price"])
    assert ("2026-11-19 16:00:00.000", quote["05. price"]) == (row["timestamp"], row["close"])
    assert quote["08. previous close"] == series[days[2]]["4. close"]


@pytest.mark.parametrize("function", ["GLOBAL_QUOTE", "TIME_SERIES_DAILY"])
def test_a_premium_key_with_its_entitlement_sees_what_other_keys_see_without_one(function: str) -> None:
    realtime = ask(PREMIUM, function=function, symbol="IBM", entitlement="realtime")

    assert ask(function=function, symbol="IBM") == realtime


@pytest.mark.parametrize("entitlement", ["realtime", "delayed"])
@pytest.mark.parametrize("function", ["GLOBAL_QUOTE", "TIME_SERIES_DAILY"])
def test_an_entitlement_that_the_key_lacks_is_refused(function: str, entitlement: str) -> None:
    assert "notice:not_entitled" == outcome(function=function, symbol="IBM", entitlement=entitlement)


@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", "BRK.B"])
def test_a_symbol_without_data_gets_an_empty_quote(symbol: str) -> None:
    assert {"Global Quote": {}} == ask(function="GLOBAL_QUOTE", symbol=symbol)
    assert "no_data" == outcome(function="GLOBAL_QUOTE", symbol=symbol)


@pytest.mark.parametrize(("form", "keys"), [("empty_object", []), ("error_message", ["Error Message"])])
def test_an_unknown_symbol_can_be_denied_in_older_forms(form: str, keys: list[str]) -> None:
    provider = Provider(UNIVERSE, entitled=False, unknown=form)

    assert list(ask(provider, function="GLOBAL_QUOTE", symbol="NOPE")) == keys


def test_the_daily_series_has_a_hundred_bars_that_agree_with_the_quote() -> None:
    body = ask(function="TIME_SERIES_DAILY", symbol="aapl")
    quote = ask(function="GLOBAL_QUOTE", symbol="AAPL")["Global Quote"]
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
    assert "outputsize=full" in ask(function="TIME_SERIES_DAILY", symbol="IBM", outputsize="full")["Information"]
    assert len(ask(PREMIUM, function="TIME_SERIES_DAILY", symbol="IBM", outputsize="full")["Time Series (Daily)"]) > 100


@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", ""])
def test_a_series_without_data_is_an_invalid_call(symbol: str) -> None:
    message = ask(function="TIME_SERIES_DAILY", symbol=symbol)["Error Message"]

    assert message.startswith("Invalid API call")
    assert message.endswith("for TIME_SERIES_DAILY.")


def test_a_search_shows_region_hours_and_currency() -> None:
    assert [
        {
            "1. symbol": "M&M.BSE",
            "2. name": "Mahindra & Mahindra Ltd",
            "3. type": "Equity",
            "4. region": "India/Bombay",
            "5. marketOpen": "09:15",
            "6. marketClose": "15:30",
            "7. timezone": "UTC+5.5",
            "8. currency": "INR",
            "9. matchScore": "0.7100",
        }
    ] == ask(function="SYMBOL_SEARCH", keywords="m&m")["bestMatches"]
    assert {"bestMatches": []} == ask(function="SYMBOL_SEARCH", keywords="zzzz")


@pytest.mark.parametrize(("month", "zone"), [(1, "UTC-05"), (7, "UTC-04")])
def test_new_yorks_zone_follows_the_season(month: int, zone: str) -> None:
    body = ask(function="SYMBOL_SEARCH", keywords="IBM", now=datetime(2026, month, 5, tzinfo=UTC))

    assert body["bestMatches"][0]["7. timezone"] == zone


def test_bulk_quotes_agree_with_single_ones() -> None:
    symbols = "IBM,NOPE,DEAD,TSCO.LON,AAPL"
    body = ask(PREMIUM, function="REALTIME_BULK_QUOTES", symbol=symbols, entitlement="realtime")
    quote = ask(function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    row = body["data"][0]

    assert ("success", ["IBM", "AAPL"]) == (body["message"], [r["symbol"] for r in body["data"]])
    assert "2026-11-20 14:14:59.291" == row["timestamp"]
    assert (row["close"], row["previous_close"]) == (quote["05. price"], quote["08. previous close"])
    assert row["change_percent"] + "%" == quote["10. change percent"]


def test_a_bulk_call_honours_a_hundred_symbols_and_cuts_the_rest_silently() -> None:
    symbols = [s for s in UNIVERSE if UNIVERSE[s].region == "United States" and s != "DEAD"][:150]
    body = ask(PREMIUM, function="REALTIME_BULK_QUOTES", symbol=",".join(symbols))

    assert [row["symbol"] for row in body["data"]] == symbols[:100]


def test_without_the_right_bulk_prices_are_artificial() -> None:
    body = ask(function="REALTIME_BULK_QUOTES", symbol="TSLA")
    good = ask(PREMIUM, function="REALTIME_BULK_QUOTES", symbol="TSLA")

    assert body["message"] == ARTIFICIAL
    assert ["MSFT", "AAPL", "IBM"] == [row["symbol"] for row in body["data"]]
    assert list(body["data"][0]) == list(good["data"][0])


def test_the_listing_is_csv_of_all_us_symbols_dead_ones_included() -> None:
    text = ask(function="LISTING_STATUS")
    rows = list(csv.DictReader(text.splitlines()))

    assert text.count("\r\n") == len(rows) + 1
    assert ["symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"] == list(rows[0])
    assert {row["symbol"] for row in rows} == {s.symbol for s in UNIVERSE.values() if s.region == "United States"}
    assert "DEAD" in {row["symbol"] for row in rows}


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (datetime(2026, 11, 20, 14, 30, tzinfo=UTC), "open"),
        (datetime(2026, 11, 20, 14, 29, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 20, 21, 15, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 21, 16, 0, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 26, 16, 0, tzinfo=UTC), "closed"),
    ],
)
def test_the_status_of_new_york_follows_hours_and_holidays(now: datetime, status: str) -> None:
    markets = ask(function="MARKET_STATUS", now=now)["markets"]

    assert 16 == len(markets)
    assert (markets[0]["region"], markets[0]["current_status"]) == ("United States", status)
    assert ("Cryptocurrency", "open") == (markets[15]["market_type"], markets[15]["current_status"])


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (datetime(2026, 11, 20, 20, 59, tzinfo=UTC), "open"),
        (datetime(2026, 11, 20, 21, 0, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 22, 21, 59, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 22, 22, 0, tzinfo=UTC), "open"),
    ],
)
def test_forex_rests_from_friday_to_sunday(now: datetime, status: str) -> None:
    assert ask(function="MARKET_STATUS", now=now)["markets"][14]["current_status"] == status


@pytest.mark.parametrize(
    ("params", "name", "text"),
    [
        ({"function": "NOPE"}, "no_such_function", "This API function (NOPE) does not exist."),
        ({}, "no_such_function", "This API function () does not exist."),
        ({"function": "GLOBAL_QUOTE"}, "bad_request", "for GLOBAL_QUOTE."),
        ({"function": "SYMBOL_SEARCH"}, "bad_request", "for SYMBOL_SEARCH."),
        ({"function": "GLOBAL_QUOTE", "apikey": ""}, "bad_key", "the parameter apikey is invalid or missing."),
        ({"function": "GLOBAL_QUOTE", "apikey": "demo"}, "demo_key", "The **demo** API key"),
    ],
)
def test_a_wrong_call_gets_its_notice(params: dict[str, str], name: str, text: str) -> None:
    body = answer(FREE, {"apikey": "KEY", **params}, NOW).body

    assert outcome(FREE, **params) == f"notice:{name}"
    assert isinstance(body, dict)
    assert text in body[NOTICES[name][0]]


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
    name = notice_of_rule(parse_limits(rule, "limits")[0])
    body = over_limit({"apikey": "KEY", "function": "GLOBAL_QUOTE"}, name)

    assert isinstance(body, dict)
    assert text in body[field]


def test_over_a_limit_the_listing_spells_the_notice_over_its_columns() -> None:
    rows = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\nI,n,f,o,r,m,a\r\n"

    assert over_limit({"function": "LISTING_STATUS"}, "throttled_second") == rows
