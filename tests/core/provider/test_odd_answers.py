"""Bodies that are not as recorded: every one of them is values that can be believed and stored, or a refusal."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.models import Bar, Function, Listed, Match, Price
from common.core.provider.alpha_vantage import Answer, Refusal, decipher, query
from common.core.provider.outcomes import Outcome
from common.core.symbols import normalize_symbol
from tests.core.provider.bodies import ANSWERS, HEADER, SYMBOLS

SAMPLES = Path(__file__).parents[2] / "samples"
BOM = b"\xef\xbb\xbf"
TEN = {"1. open": "10", "2. high": "10", "3. low": "10", "4. close": "10"}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def daily(closes: dict[str, object]) -> bytes:
    rows = {day: {**TEN, "4. close": close} for day, close in closes.items()}
    return json.dumps({"Time Series (Daily)": rows}).encode()


def closes(body: bytes) -> dict[date, Decimal]:
    return {bar.day: bar.close for bar in decipher(Function.DAILY, ("IBM",), 200, body) if isinstance(bar, Bar)}


@pytest.mark.parametrize(
    ("rows", "close"),
    [
        ({"2026-11-27 15:59:00": "2", "2026-11-27": "1"}, 1),
        ({"2026-11-27": "1", "2026-11-27 15:59:00": "2"}, 1),
        ({"2026-11-27 09:31:00": "2", "2026-11-27 15:59:00": "1", "2026-11-27 12:00:00": "3"}, 1),
        ({"2026-11-27 9:31:00": "2", "2026-11-27T15:59:00": "1"}, 1),
        ({"2026-11-27": None, "2026-11-27 15:59:00": "1"}, 1),  # a row without its prices is none
        ({"2026-11-27": "1", " 2026-11-27 ": "1", "2026-11-27 16:00:00": "2"}, 1),
    ],
)
def test_a_day_has_one_bar_its_own_or_else_the_latest(rows: dict[str, object], close: int) -> None:
    assert {date(2026, 11, 27): Decimal(close)} == closes(daily(rows))


@pytest.mark.parametrize(
    "day",
    ["2026-W48-5", "20261127", "2026-11-31", "0000-01-01", "١٩٩٩-01-01", "1969-12-31", "2026-11-26x", "9999-12-31"],
)
def test_a_row_whose_day_is_none_is_no_bar(day: str) -> None:
    assert [date(2026, 11, 27)] == list(closes(daily({day: "1", "2026-11-27": "1"})))


@pytest.mark.parametrize("number", ["1_000", "١٢", "0x10", "1e12", "-5", "0", "1" * 41, True, [], {"a": 1}, "1 000"])
def test_a_number_that_no_market_has_is_no_price(number: object) -> None:
    assert [date(2026, 11, 27)] == list(closes(daily({"2026-11-26": number, "2026-11-27": "1"})))


@pytest.mark.parametrize("volume", ["9223372036854775808", "1e18", "1e400", "NaN", "Infinity", 1e300, -1])
def test_a_volume_beyond_all_shares_is_unknown(volume: object) -> None:
    body = json.dumps({"Time Series (Daily)": {"2026-11-27": {**TEN, "5. volume": volume}}}).encode()
    [bar] = decipher(Function.DAILY, ("IBM",), 200, body)

    assert isinstance(bar, Bar)
    assert bar.volume is None


@pytest.mark.parametrize("zero", ["0", "0.0000", "-0.00", "0e5", 0, 0.0])
def test_zero_is_an_unknown_price_and_a_known_change(zero: object) -> None:
    row = {"symbol": "IBM", "timestamp": "2026-11-27", "close": "10", "change": zero, "change_percent": zero}
    prices = dict.fromkeys(("open", "high", "low", "previous_close"), zero)
    body = json.dumps({"message": "success", "data": [{**row, **prices, "volume": zero}]}).encode()
    [price] = decipher(Function.BULK, ("IBM",), 200, body)

    assert isinstance(price, Price)
    assert (None, None, None, None) == (price.open, price.high, price.low, price.previous_close)
    assert (Decimal(0), Decimal(0), 0) == (price.change, price.change_percent, price.volume)
    assert "-" not in f"{price.change} {price.change_percent}"


@pytest.mark.parametrize("name", ["quote.json", "daily.json", "search.json", "listing.csv", "notice_bad_key.json"])
@pytest.mark.parametrize("before", [BOM, BOM + b"\r\n ", b"\n" + BOM, BOM + BOM])
def test_a_byte_order_mark_changes_nothing(name: str, before: bytes) -> None:
    functions = {"daily.json": Function.DAILY, "search.json": Function.SEARCH, "listing.csv": Function.LISTING}
    function, subjects = functions.get(name, Function.QUOTE), ("IBM",)

    assert said(function, subjects, sample(name)) == said(function, subjects, before + sample(name))


def said(function: Function, subjects: tuple[str, ...], body: bytes, *, status: int = 200) -> Answer | Outcome:
    try:
        return decipher(function, subjects, status, body)
    except Refusal as refusal:
        return refusal.outcome


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037"])
@pytest.mark.parametrize(("name", "function"), [("quote.json", Function.QUOTE), ("listing.csv", Function.LISTING)])
def test_another_encoding_is_refused(name: str, function: Function, encoding: str) -> None:
    assert Outcome.UNAVAILABLE == said(function, ("IBM",), sample(name).decode().encode(encoding))


def test_a_latin_letter_is_refused_in_json_and_in_a_small_listing() -> None:
    row = b"S,Soci\xe9t\xe9,NYSE,Stock,null,null,Active\r\n"

    assert Outcome.UNAVAILABLE == said(Function.SEARCH, ("s",), b'{"bestMatches": [{"1. symbol": "\xe9"}]}')
    assert Outcome.UNAVAILABLE == said(Function.LISTING, ("",), HEADER.encode() + b"\r\n" + row)


def test_one_odd_letter_takes_no_whole_listing_down() -> None:
    rows = [b"S%d,Some Company,NYSE,Stock,null,null,Active" % number for number in range(13_000)]
    body = b"\r\n".join([HEADER.encode(), *rows, b"S,Soci\xe9t\xe9,NYSE,Stock,null,null,Active"])

    assert 13_001 == len(decipher(Function.LISTING, ("",), 200, body))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("A &AMP; B", "A & B"),
        ("A &amp; B", "A & B"),
        ("A &amp;amp; B", "A & B"),
        ("MACY&#39;S", "MACY'S"),
        ("MACY&#x27;S", "MACY'S"),
        ("MACY&APOS;S", "MACY'S"),
        ("SOCI&EACUTE;T&EACUTE;", "SOCIÉTÉ"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "<b>Bold</b>"),
        ("&QUOT;A&QUOT;&nbsp;B", '"A" B'),
        ("A&#10;B&#9;C", "A B C"),
        ("AT&T", "AT&T"),
        ("R&LT HOLDINGS", "R&LT HOLDINGS"),
        ("A &NOSUCH; B", "A &NOSUCH; B"),
        ("Nul\0 and half a pair\ud800", "Nul and half a pair"),
        ("null", ""),
        ("x" * 5000, "x" * 200),
    ],
)
def test_markup_in_a_name_is_read(written: str, name: str) -> None:
    body = json.dumps({"bestMatches": [{"1. symbol": "A", "2. name": written}]}).encode()
    [match] = decipher(Function.SEARCH, ("a",), 200, body)

    assert isinstance(match, Match)
    assert name == match.name


def test_markup_in_a_listing_is_read() -> None:
    row = "M&amp;M,MAHINDRA &AMP; MAHINDRA&#39;S,NYSE,Stock,0001-01-01,null,Active"
    [listed] = decipher(Function.LISTING, ("",), 200, f"{HEADER}\r\n{row}\r\n".encode())

    assert Listed("M&M", "MAHINDRA & MAHINDRA'S", "NYSE", "Stock", None) == listed


@pytest.mark.parametrize("symbol", ["TESCO PLC", "A\tB", "A" * 21, "É.PAR", "", "-", None, ["IBM"], "<b>", "A,B"])
def test_what_cannot_be_asked_for_is_neither_found_nor_listed(symbol: object) -> None:
    body = json.dumps({"bestMatches": [{"1. symbol": symbol}, {"1. symbol": "IBM"}]}).encode()
    row = f'"{symbol}",Name,NYSE,Stock,null,null,Active\r\nIBM,Name,NYSE,Stock,null,null,Active'
    found = decipher(Function.SEARCH, ("a",), 200, body)
    listed = decipher(Function.LISTING, ("",), 200, f"{HEADER}\r\n{row}".encode())

    assert ["IBM"] == [each.symbol for each in found if isinstance(each, Match)]
    assert ["IBM"] == [each.symbol for each in listed if isinstance(each, Listed)]


def test_a_symbol_that_is_found_twice_is_shown_once() -> None:
    rows = [{"1. symbol": symbol, "2. name": str(at)} for at, symbol in enumerate(("IBM", "AAPL", "ibm", " IBM "))]
    answer = decipher(Function.SEARCH, ("a",), 200, json.dumps({"bestMatches": rows}).encode())

    assert [("IBM", "0"), ("AAPL", "1")] == [(each.symbol, each.name) for each in answer if isinstance(each, Match)]


@pytest.mark.parametrize("function", list(Function))
@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000])
def test_a_body_as_deep_as_a_well_holds_nothing(function: Function, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    keys = (b"message", b"Global Quote", b"data", b"bestMatches", b"Time Series (Daily)", b"Note")
    quote = b'{"Global Quote": {"01. symbol": "IBM", "05. price": %s}}' % deep

    assert {Outcome.UNAVAILABLE, Outcome.NO_DATA, Outcome.UNKNOWN_NOTICE, ()} >= {
        said(function, ("IBM",), body) for body in [quote, *(b'{"%s": %s}' % (key, deep) for key in keys)]
    }


@pytest.mark.parametrize("function", list(Function))
def test_the_status_is_looked_at_before_the_text(function: Function) -> None:
    for name in ("quote.json", "notice_day_used_up.json", "notice_bad_key.json", "page_200.html", "listing.csv"):
        with pytest.raises(Refusal) as caught:
            decipher(function, ("IBM",), 429, sample(name), wait=timedelta(seconds=30))

        assert (Outcome.THROTTLED_MINUTE, timedelta(seconds=30)) == (caught.value.outcome, caught.value.wait)


@pytest.mark.parametrize("entitlement", ["realtime", "delayed"])
def test_prices_are_asked_for_with_the_entitlement_of_the_plan(entitlement: str) -> None:
    asked = {function: query(function, ("IBM",), entitlement=entitlement) for function in Function}

    assert {Function.QUOTE, Function.BULK, Function.DAILY} == {
        function for function, parameters in asked.items() if parameters.get("entitlement") == entitlement
    }
    assert not any("entitlement" in query(function, ("IBM",)) for function in Function)


def test_a_delayed_series_is_read_under_its_longer_name() -> None:
    body = sample("daily.json").replace(b'Time Series (Daily)"', b'Time Series (Daily) - DATA DELAYED BY 15 MINUTES"')

    assert decipher(Function.DAILY, ("IBM",), 200, sample("daily.json")) == decipher(
        Function.DAILY, ("IBM",), 200, body
    )


def texts(row: object) -> Iterator[str]:
    values = (getattr(row, field.name) for field in fields(row))  # type: ignore[arg-type]
    return (value for value in values if isinstance(value, str))


def numbers(row: object) -> Iterator[Decimal | int]:
    values = (getattr(row, field.name) for field in fields(row))  # type: ignore[arg-type]
    return (value for value in values if isinstance(value, Decimal | int))


def believe(answer: Answer) -> None:
    for row in answer:
        assert all(text.isprintable() and text == text.strip() and len(text) <= 200 for text in texts(row))
        assert all(
            -(10**12) < number < 10**12 and re.fullmatch(r"-?[0-9.]+", format(number, "f")) for number in numbers(row)
        )
        match row:
            case Price():
                assert row.symbol in SYMBOLS
                assert date(1970, 1, 1) <= row.trading_day < date(2200, 1, 1)
                prices: tuple[Decimal | None, ...] = (row.price, row.open, row.high, row.low, row.previous_close)
                assert all(price is None or price > 0 for price in prices)
                assert row.volume is None or row.volume >= 0
            case Bar():
                assert date(1970, 1, 1) <= row.day < date(2200, 1, 1)
                assert min(row.open, row.high, row.low, row.close) > 0
                assert row.volume is None or row.volume >= 0
            case Match():
                assert 0 <= row.score <= 1
                normalize_symbol(row.symbol)
            case Listed():
                assert row.listed_on is None or date(1700, 1, 1) <= row.listed_on < date(2200, 1, 1)
                normalize_symbol(row.symbol)


@given(asked=ANSWERS)
def test_what_is_read_from_any_body_can_be_believed(asked: tuple[Function, bytes]) -> None:
    function, body = asked
    answer = said(function, SYMBOLS, body)

    assert isinstance(answer, Outcome) or answer or function is Function.SEARCH
    if not isinstance(answer, Outcome):
        believe(answer)
    if function is Function.DAILY and not isinstance(answer, Outcome):
        assert len(answer) == len({bar.day for bar in answer if isinstance(bar, Bar)})


@given(
    function=st.sampled_from(Function),
    status=st.sampled_from([200, 401, 403, 404, 429, 500]),
    body=st.binary(max_size=100) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_any_status_with_any_bytes_is_an_answer_or_a_refusal(function: Function, status: int, body: bytes) -> None:
    outcome = said(function, SYMBOLS, body, status=status)

    assert (429 == status) == (outcome is Outcome.THROTTLED_MINUTE)
    assert 200 == status or isinstance(outcome, Outcome)
