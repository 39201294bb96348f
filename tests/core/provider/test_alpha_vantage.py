"""Alpha Vantage's answers, deciphered from bodies in recorded form: each row of the decision list, and what no list foresees."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.models import Bar, Function, Listed, Match, Price
from common.core.provider.alpha_vantage import BULK_LIMIT, Answer, Refusal, decipher, query
from common.core.provider.outcomes import Outcome

SAMPLES = Path(__file__).parents[2] / "samples"
KEY = "SAMPLEKEY12345"  # the key that the daily notice echoes
IBM = Price(
    symbol="IBM",
    price=Decimal("133.6900"),
    trading_day=date(2020, 1, 10),
    change=Decimal("0.5600"),
    change_percent=Decimal("0.4207"),
    volume=2850210,
    open=Decimal("133.3600"),
    high=Decimal("136.0500"),
    low=Decimal("133.1800"),
    previous_close=Decimal("133.1300"),
)
FUND = Price(
    symbol="FTIAX",
    price=Decimal("12.5900"),
    trading_day=date(2023, 12, 28),
    change=Decimal("-0.0100"),
    change_percent=Decimal("-0.0794"),
    volume=0,
    open=Decimal("12.5900"),
    high=Decimal("12.5900"),
    low=Decimal("12.5900"),
    previous_close=Decimal("12.6000"),
)
MSFT = Price(
    symbol="MSFT",
    price=Decimal("432.53"),
    trading_day=date(2024, 10, 30),
    change=Decimal("0.58"),
    change_percent=Decimal("0.1343"),
    volume=29749086,
    open=Decimal("437.435"),
    high=Decimal("438.5"),
    low=Decimal("432.1"),
    previous_close=Decimal("431.95"),
)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def refused(function: Function, subjects: tuple[str, ...], body: bytes, *, status: int = 200) -> Refusal:
    with pytest.raises(Refusal) as caught:
        decipher(function, subjects, status, body)
    return caught.value


def quote_with(**fields: object) -> bytes:
    """The recorded quote with some of its fields replaced; names without their numbers."""
    [(top, row)] = json.loads(sample("quote.json")).items()
    return json.dumps({top: {key: fields.get(key[4:].replace(" ", "_"), value) for key, value in row.items()}}).encode()


def bar(day: date, opened: str, high: str, low: str, close: str, *, volume: int | None) -> Bar:
    return Bar(day, Decimal(opened), Decimal(high), Decimal(low), Decimal(close), volume)


# One row for each line of the decision list in design/provider.md, in its order.
DECISIONS = [
    # 1: transport, status, not JSON, not an object
    ("application_error_503.html", Function.QUOTE, 503, Outcome.UNAVAILABLE),
    ("application_error_503.html", Function.LISTING, 503, Outcome.UNAVAILABLE),
    ("not_acceptable_406.json", Function.QUOTE, 406, Outcome.UNAVAILABLE),
    ("quote.json", Function.QUOTE, 500, Outcome.UNAVAILABLE),
    ("quote.json", Function.QUOTE, 302, Outcome.UNAVAILABLE),
    ("quote.json", Function.QUOTE, 401, Outcome.UNAVAILABLE),
    ("quote.json", Function.QUOTE, 403, Outcome.UNAVAILABLE),
    ("notice_day_used_up.json", Function.QUOTE, 403, Outcome.UNAVAILABLE),
    ("page_200.html", Function.QUOTE, 403, Outcome.UNAVAILABLE),
    ("notice_bad_key.json", Function.QUOTE, 500, Outcome.UNAVAILABLE),
    ("notice_bad_key.json", Function.QUOTE, 401, Outcome.BAD_KEY),
    ("notice_demo_key.json", Function.LISTING, 403, Outcome.BAD_KEY),
    ("notice_bad_key.json", Function.QUOTE, 429, Outcome.THROTTLED_MINUTE),
    ("quote.json", Function.QUOTE, 429, Outcome.THROTTLED_MINUTE),
    ("page_200.html", Function.LISTING, 429, Outcome.THROTTLED_MINUTE),
    ("notice_throttled_second.json", Function.BULK, 429, Outcome.THROTTLED_MINUTE),
    ("page_200.html", Function.QUOTE, 200, Outcome.UNAVAILABLE),
    ("page_200.html", Function.LISTING, 200, Outcome.UNAVAILABLE),
    ("quote_truncated.json", Function.QUOTE, 200, Outcome.UNAVAILABLE),
    ("listing.csv", Function.QUOTE, 200, Outcome.UNAVAILABLE),
    # 2: the sample data of a key without the right
    ("bulk_artificial.json", Function.BULK, 200, Outcome.NOT_ENTITLED),
    # 3: throttled for a second, first of all the texts
    ("notice_throttled_second.json", Function.QUOTE, 200, Outcome.THROTTLED_SECOND),
    ("notice_throttled_burst.json", Function.DAILY, 200, Outcome.THROTTLED_SECOND),
    ("notice_throttled_demo.json", Function.SEARCH, 200, Outcome.THROTTLED_SECOND),
    # 4: throttled for a minute
    ("notice_throttled_minute.json", Function.QUOTE, 200, Outcome.THROTTLED_MINUTE),
    ("notice_throttled_minute_2023.json", Function.QUOTE, 200, Outcome.THROTTLED_MINUTE),
    ("notice_throttled_minute_premium.json", Function.BULK, 200, Outcome.THROTTLED_MINUTE),
    ("notice_throttled_volume.json", Function.DAILY, 200, Outcome.THROTTLED_MINUTE),
    ("notice_throttled_volume_2018.json", Function.QUOTE, 200, Outcome.THROTTLED_MINUTE),
    # 5: not entitled
    ("notice_not_entitled.json", Function.BULK, 200, Outcome.NOT_ENTITLED),
    ("notice_not_entitled_full.json", Function.DAILY, 200, Outcome.NOT_ENTITLED),
    ("notice_not_entitled_index.json", Function.QUOTE, 200, Outcome.NOT_ENTITLED),
    # 6: bad key
    ("notice_bad_key.json", Function.QUOTE, 200, Outcome.BAD_KEY),
    ("notice_bad_key_old.json", Function.QUOTE, 200, Outcome.BAD_KEY),
    ("notice_bad_key_as_information.json", Function.SEARCH, 200, Outcome.BAD_KEY),
    ("notice_demo_key.json", Function.QUOTE, 200, Outcome.BAD_KEY),
    ("notice_demo_key_old.json", Function.DAILY, 200, Outcome.BAD_KEY),
    ("notice_bad_key.json", Function.LISTING, 200, Outcome.BAD_KEY),
    # 7: day used up
    ("notice_day_used_up.json", Function.QUOTE, 200, Outcome.DAY_USED_UP),
    ("notice_day_used_up_old.json", Function.SEARCH, 200, Outcome.DAY_USED_UP),
    ("notice_day_used_up.json", Function.LISTING, 200, Outcome.DAY_USED_UP),
    ("notice_day_used_up_other_periods.json", Function.QUOTE, 200, Outcome.DAY_USED_UP),
    # 8: bad request
    ("notice_bad_request.json", Function.DAILY, 200, Outcome.BAD_REQUEST),
    ("notice_no_such_function.json", Function.BULK, 200, Outcome.BAD_REQUEST),
    ("quote_unknown_2019.json", Function.QUOTE, 200, Outcome.BAD_REQUEST),
    # 9: a text that nobody has seen yet
    ("notice_unknown_notice.json", Function.QUOTE, 200, Outcome.UNKNOWN_NOTICE),
    ("listing_spelt_notice.csv", Function.LISTING, 200, Outcome.UNKNOWN_NOTICE),
    ("listing_header_only.csv", Function.LISTING, 200, Outcome.UNKNOWN_NOTICE),
    # 10: the expected key is absent or empty
    ("quote_empty.json", Function.QUOTE, 200, Outcome.NO_DATA),
    ("empty_object.json", Function.QUOTE, 200, Outcome.NO_DATA),
    ("empty_object.json", Function.BULK, 200, Outcome.UNKNOWN_NOTICE),
    ("empty_object.json", Function.SEARCH, 200, Outcome.NO_DATA),
    ("empty_object.json", Function.DAILY, 200, Outcome.NO_DATA),
    ("daily_meta_only.json", Function.DAILY, 200, Outcome.NO_DATA),
    ("search.json", Function.QUOTE, 200, Outcome.NO_DATA),
    ("quote.json", Function.LISTING, 200, Outcome.UNAVAILABLE),
]


@pytest.mark.parametrize(("name", "function", "status", "outcome"), DECISIONS)
def test_an_answer_without_data_is_judged_by_the_decision_list(
    name: str, function: Function, status: int, outcome: Outcome
) -> None:
    refusal = refused(function, ("IBM",), sample(name), status=status)

    assert outcome == refusal.outcome


def test_every_sample_of_a_notice_stands_in_the_table() -> None:
    judged = {name for name, *_ in DECISIONS}

    assert {path.name for path in SAMPLES.glob("notice_*")} <= judged


@pytest.mark.parametrize(
    ("name", "function", "subjects", "answer"),
    [
        ("quote.json", Function.QUOTE, ("IBM",), (IBM,)),
        ("quote_delayed.json", Function.QUOTE, ("IBM",), (IBM,)),
        ("quote_fund.json", Function.QUOTE, ("FTIAX",), (FUND,)),
        ("quote_nulls.json", Function.QUOTE, ("ZZZT",), (Price("ZZZT", Decimal("0.0040"), date(2026, 1, 2)),)),
        (
            "quote_zeros.json",
            Function.QUOTE,
            ("IBM",),
            (
                replace(
                    IBM,
                    change=Decimal(0),
                    change_percent=Decimal(0),
                    open=None,
                    high=None,
                    low=None,
                    previous_close=None,
                ),
            ),
        ),
        (
            "quote_small_change.json",
            Function.QUOTE,
            ("IBM",),
            (replace(IBM, change=Decimal(0), change_percent=Decimal("0.00000008")),),
        ),
        ("search_none.json", Function.SEARCH, ("zzz",), ()),
        (
            "search_odd_rows.json",
            Function.SEARCH,
            ("tesco",),
            (
                Match("M&M.BSE", "MAHINDRA & MAHINDRA LTD", "Equity", "United Kingdom", "GBX", Decimal("0.7273")),
                Match("TSCO.LON", "Tesco's <b>stores</b>", "Equity", "United Kingdom", "GBX", Decimal("0.7273")),
            ),
        ),
        (
            "search.json",
            Function.SEARCH,
            ("tesco",),
            (
                Match("TSCO.LON", "Tesco PLC", "Equity", "United Kingdom", "GBX", Decimal("0.7273")),
                Match("500014.BSE", "Utique Enterprises Ltd", "Equity", "India/Bombay", "INR", Decimal("0.5000")),
                Match("BAAPV", "", "Mutual Fund", "United States", "USD", Decimal("0.4444")),
            ),
        ),
        (
            "daily.json",
            Function.DAILY,
            ("IBM",),
            (
                bar(date(2025, 12, 31), "293.3000", "294.1000", "290.9000", "291.7000", volume=2103394),
                bar(date(2026, 1, 2), "292.1000", "295.0000", "291.5000", "293.8000", volume=2950117),
                bar(date(2026, 1, 5), "294.0000", "296.5000", "293.2500", "295.9000", volume=3120450),
            ),
        ),
        (
            "daily_partial_day.json",
            Function.DAILY,
            ("IBM",),
            (
                bar(date(2020, 5, 7), "122.8900", "123.2600", "120.8500", "121.2300", volume=4412047),
                bar(date(2020, 5, 8), "122.9000", "123.2400", "121.0600", "122.7100", volume=1802365),
            ),
        ),
        (
            "daily_two_rows_a_day.json",
            Function.DAILY,
            ("IBM",),
            (
                bar(date(2026, 11, 25), "299.5000", "302.0000", "298.7500", "300.8000", volume=2950117),
                bar(date(2026, 11, 27), "301.0000", "304.5000", "300.1000", "304.1000", volume=3120450),
            ),
        ),
        (
            "daily_without_volume.json",
            Function.DAILY,
            ("IBM",),
            (
                bar(date(2026, 1, 2), "292.1000", "295.0000", "291.5000", "293.8000", volume=2950117),
                bar(date(2026, 1, 5), "294.0000", "296.5000", "293.2500", "295.9000", volume=None),
            ),
        ),
        (
            "daily_broken_bars.json",
            Function.DAILY,
            ("IBM",),
            (bar(date(2026, 1, 2), "292.1000", "295.0000", "291.5000", "293.8000", volume=2950117),),
        ),
        (
            "listing_with_bom.csv",
            Function.LISTING,
            ("",),
            (
                Listed("MMM", "3M Company", "NYSE", "Stock", date(1970, 1, 2)),
                Listed("JPC", "NUVEEN PREFERRED & INCOME SECURITIES FUND", "NYSE", "Stock", date(2003, 3, 26)),
            ),
        ),
        (
            "listing.csv",
            Function.LISTING,
            ("",),
            (
                Listed("A", "Agilent Technologies Inc", "NYSE", "Stock", date(1999, 11, 18)),
                Listed("BRK-B", "Berkshire Hathaway, Inc. Class B", "NYSE", "Stock", date(1996, 5, 9)),
                Listed("GAB-P-G:BAT", "", "BATS", "Stock", date(2016, 8, 1)),
                Listed("QQQ", "Invesco QQQ Trust Series 1", "NASDAQ", "ETF", None),
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_good_body_becomes_values(name: str, function: Function, subjects: tuple[str, ...], answer: Answer) -> None:
    assert answer == decipher(function, subjects, 200, sample(name))


def test_the_symbol_is_compared_without_case_and_named_as_it_was_asked_for() -> None:
    [price] = decipher(Function.QUOTE, ("DUOL",), 200, sample("quote_lower_case.json"))

    assert isinstance(price, Price)
    assert ("DUOL", Decimal("196.2500")) == (price.symbol, price.price)


def test_a_quote_of_another_symbol_is_no_data() -> None:
    assert refused(Function.QUOTE, ("AAPL",), sample("quote.json")).outcome == Outcome.NO_DATA


@pytest.mark.parametrize(
    "price",
    [
        *("0", "0.0000", "-1.5", "None", "-", ".", "null", "N/A", "n/a", "", "   ", None, "abc", "1,234.50"),
        *("NaN", "sNaN", "Infinity", "-Infinity", "1e12", "1e999999", float("nan"), float("inf"), [], {}, ["1"]),
    ],
)
def test_a_price_that_cannot_be_one_is_no_data(price: object) -> None:
    refusal = refused(Function.QUOTE, ("IBM",), quote_with(price=price))

    assert Outcome.NO_DATA == refusal.outcome


@pytest.mark.parametrize("price", ["1e1000000", "-1e1000000", "1e-1000000", "1e999999999999999999"])
def test_a_price_beyond_what_decimals_hold_is_no_data(price: str) -> None:
    refusal = refused(Function.QUOTE, ("IBM",), quote_with(price=price))

    assert Outcome.NO_DATA == refusal.outcome


@pytest.mark.parametrize("day", ["None", "", None, "2099-99-99", "yesterday", 5])
def test_a_quote_without_a_day_is_no_data(day: object) -> None:
    refusal = refused(Function.QUOTE, ("IBM",), quote_with(latest_trading_day=day))

    assert Outcome.NO_DATA == refusal.outcome


@pytest.mark.parametrize("volume", ["None", "-5", "NaN", None, "many"])
def test_a_volume_that_cannot_be_one_is_unknown_and_the_price_stands(volume: object) -> None:
    assert (replace(IBM, volume=None),) == decipher(Function.QUOTE, ("IBM",), 200, quote_with(volume=volume))


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"Note"', b"5", b"NaN", b"\xff\xfe\x00", b"{" * 5000])
@pytest.mark.parametrize("function", list(Function))
def test_what_is_no_object_is_unavailable(body: bytes, function: Function) -> None:
    assert Outcome.UNAVAILABLE == refused(function, ("IBM",), body).outcome


@pytest.mark.parametrize("key", ["Note", "Information", "Error Message", "note", " INFORMATION ", "error message\n"])
@pytest.mark.parametrize("function", list(Function))
def test_a_notice_is_found_under_each_key_whatever_its_case(key: str, function: Function) -> None:
    body = json.dumps({key: "Our standard API rate limit is 25 requests per day."}).encode()

    assert Outcome.DAY_USED_UP == refused(function, ("IBM",), body).outcome


def test_a_notice_beside_data_wins() -> None:
    body = json.dumps({**json.loads(sample("quote.json")), "Note": "5 calls per minute"}).encode()

    assert Outcome.THROTTLED_MINUTE == refused(Function.QUOTE, ("IBM",), body).outcome


def test_information_inside_the_meta_data_is_no_notice() -> None:
    body = sample("daily.json")

    assert b'"1. Information"' in body
    assert 3 == len(decipher(Function.DAILY, ("IBM",), 200, body))


def test_a_bulk_answer_gives_what_was_asked_for_in_the_order_of_asking() -> None:
    answer = decipher(Function.BULK, ("TSLA", "NOPE", "MSFT"), 200, sample("bulk.json"))

    assert MSFT == answer[1]
    assert ["TSLA", "MSFT"] == [price.symbol for price in answer if isinstance(price, Price)]


def test_a_bulk_row_without_a_price_takes_no_other_down() -> None:
    answer = decipher(Function.BULK, ("MSFT", "AAPL"), 200, sample("bulk_without_a_close.json"))

    assert ["AAPL"] == [price.symbol for price in answer if isinstance(price, Price)]


@pytest.mark.parametrize("name", ["bulk_other_message.json", "bulk.json"])
def test_bulk_quotes_need_the_word_success_and_a_symbol_that_was_asked_for(name: str) -> None:
    subjects = ("MSFT",) if name == "bulk_other_message.json" else ("IBM", "NOPE")

    assert Outcome.UNKNOWN_NOTICE == refused(Function.BULK, subjects, sample(name)).outcome


@pytest.mark.parametrize("message", ["THE DATA BELOW IS ARTIFICIAL", "This is a Premium Endpoint."])
def test_either_phrase_tells_artificial_prices(message: str) -> None:
    body = json.dumps({**json.loads(sample("bulk.json")), "message": message}).encode()

    assert Outcome.NOT_ENTITLED == refused(Function.BULK, ("MSFT",), body).outcome


def test_artificial_prices_are_refused_for_symbols_that_they_hold() -> None:
    body = sample("bulk_artificial.json")

    assert b'"close": "235.0"' in body
    assert Outcome.NOT_ENTITLED == refused(Function.BULK, ("MSFT", "AAPL", "IBM"), body).outcome


@pytest.mark.parametrize("token", ["None", "-", ".", "null", "N/A", "n/a", "", None])
def test_a_match_without_a_symbol_is_left_out_and_a_null_reads_as_nothing(token: str | None) -> None:
    [row] = json.loads(sample("search.json"))["bestMatches"][:1]
    nulls = {key: token for key in row if key != "1. symbol"}
    body = json.dumps({"bestMatches": [{**row, "1. symbol": token}, {**nulls, "1. symbol": "tsco.lon"}]}).encode()

    assert (Match("TSCO.LON", "", "", "", "", Decimal(0)),) == decipher(Function.SEARCH, ("tesco",), 200, body)


@pytest.mark.parametrize(
    ("function", "subjects", "parameters"),
    [
        (Function.QUOTE, ("IBM",), {"function": "GLOBAL_QUOTE", "symbol": "IBM"}),
        (Function.QUOTE, ("M&M.BSE",), {"function": "GLOBAL_QUOTE", "symbol": "M&M.BSE"}),
        (Function.QUOTE, ("^GSPC",), {"function": "GLOBAL_QUOTE", "symbol": "^GSPC"}),
        (Function.BULK, ("AAPL", "BC/PB"), {"function": "REALTIME_BULK_QUOTES", "symbol": "AAPL,BC/PB"}),
        (Function.SEARCH, ("a%b &c=d#?",), {"function": "SYMBOL_SEARCH", "keywords": "a%b &c=d#?"}),
        (
            Function.DAILY,
            ("GAB-P-G:BAT",),
            {"function": "TIME_SERIES_DAILY", "symbol": "GAB-P-G:BAT", "outputsize": "compact"},
        ),
        (Function.LISTING, ("",), {"function": "LISTING_STATUS"}),
        (Function.LISTING, (), {"function": "LISTING_STATUS"}),
    ],
)
def test_the_parameters_of_a_call_leave_symbols_as_they_are(
    function: Function, subjects: tuple[str, ...], parameters: Mapping[str, str]
) -> None:
    assert parameters == query(function, subjects)


def test_a_bulk_call_takes_as_many_symbols_as_the_provider_honours() -> None:
    assert BULK_LIMIT == 100


KEYS = st.sampled_from(
    [
        *("Global Quote", "Global Quote - DATA DELAYED BY 15 MINUTES", "bestMatches", "message", "data", "Meta Data"),
        *("Time Series (Daily)", "Note", "Information", "Error Message", "01. symbol", "05. price", "symbol", "close"),
        *("07. latest trading day", "06. volume", "timestamp", "1. symbol", "9. matchScore", "2026-01-02", "1. open"),
        *("2. high", "3. low", "4. close", "5. volume"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["success", "IBM", "2026-01-02", "133.69", "NaN", "Infinity", "0.42%", KEY])
    | st.builds("{}e{}".format, st.integers(), st.integers(-(10**7), 10**7))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=4), VALUES, max_size=6)
HEADER = b"symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"


def give_up_only_by_refusal(function: Function, body: bytes) -> None:
    """The property itself: any other exception ends the test."""
    try:
        said: object = decipher(function, ("IBM", "AAPL"), 200, body)
    except Refusal as refusal:
        said = refusal
    assert isinstance(said, tuple) or KEY not in str(said)


@given(function=st.sampled_from(Function), body=st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise_than_by_a_refusal(function: Function, body: bytes) -> None:
    give_up_only_by_refusal(function, body)


@given(function=st.sampled_from(Function), content=OBJECTS)
def test_no_object_makes_it_fail_otherwise_than_by_a_refusal(function: Function, content: dict[str, Any]) -> None:
    give_up_only_by_refusal(function, json.dumps(content).encode())


@given(price=SCALARS, day=SCALARS, volume=SCALARS, percent=SCALARS)
def test_no_field_of_a_quote_makes_it_fail_otherwise_than_by_a_refusal(
    price: object, day: object, volume: object, percent: object
) -> None:
    give_up_only_by_refusal(Function.QUOTE, quote_with(price=price, volume=volume, change_percent=percent))
    give_up_only_by_refusal(Function.QUOTE, quote_with(latest_trading_day=day))


@given(rows=st.binary(max_size=200) | st.text("ab,\r\n\"'\0;", max_size=60).map(str.encode))
def test_no_rows_of_a_listing_make_it_fail_otherwise_than_by_a_refusal(rows: bytes) -> None:
    give_up_only_by_refusal(Function.LISTING, HEADER + rows)


@pytest.mark.parametrize("rows", [b"A\rB,,,,,,Active\r\n", b"x" * 200_000, b'"' + b"x" * 200_000])
def test_a_listing_that_is_no_csv_is_refused(rows: bytes) -> None:
    assert refused(Function.LISTING, ("",), HEADER + rows).outcome in (Outcome.UNAVAILABLE, Outcome.UNKNOWN_NOTICE)


@given(key=st.sampled_from(["Note", "Information", "Error Message", "message"]), text=st.text(min_size=24, max_size=60))
def test_a_refusal_never_repeats_what_the_provider_wrote(key: str, text: str) -> None:
    refusal = refused(Function.BULK, ("IBM",), json.dumps({key: text}).encode())

    assert text not in f"{refusal} {refusal!r}"


def test_the_echoed_key_stays_out_of_the_refusal() -> None:
    body = sample("notice_day_used_up.json")
    refusal = refused(Function.QUOTE, ("IBM",), body)

    assert KEY.encode() in body
    assert KEY not in f"{refusal} {refusal!r} {refusal.notice}"


@pytest.mark.parametrize("body", [b'{"apikey": "SAMPLEKEY12345", ', b"<html>SAMPLEKEY12345</html>"])
def test_the_parsers_complaint_about_the_text_is_not_handed_on(body: bytes) -> None:
    refusal = refused(Function.QUOTE, ("IBM",), body)

    assert KEY not in f"{refusal} {refusal!r}"
    assert refusal.__suppress_context__
