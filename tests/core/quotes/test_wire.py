"""A quote on the wire between our own processes: what is decoded is what was encoded."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.models import Price, Quote
from common.core.quotes.wire import AMOUNTS, decode, encode, version

AT = datetime(2026, 11, 20, 19, 0, 0, 123457, tzinfo=UTC)
BARE = Quote(Price("IBM", Decimal("133.6900"), date(2026, 11, 20)), "alphavantage", AT)
FULL = Quote(
    Price(
        symbol="M&M.BSE",
        price=Decimal("0.0040"),
        trading_day=date(2026, 11, 20),
        change=Decimal("-0.0000"),
        change_percent=Decimal("17900.0"),
        volume=2850210,
        open=Decimal("0.1"),
        high=Decimal("123456789012.123456789012345678"),
        low=Decimal("1E+2"),
        previous_close=Decimal("1E-7"),
    ),
    "simulated",
    AT,
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | DECIMALS
QUOTES = st.builds(
    Quote,
    st.builds(
        Price,
        symbol=st.text(min_size=1, max_size=20),
        price=DECIMALS,
        trading_day=st.dates(),
        volume=st.none() | st.integers(0, 10**15),
        **{name: MAYBE for name in AMOUNTS if name != "price"},
    ),
    st.sampled_from(["alphavantage", "simulated"]),
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


def amounts(quote: Quote) -> list[str]:
    """As text: 1.0 and 1.00 are equal, and yet one of them was rounded."""
    return [str(getattr(quote.price, name)) for name in AMOUNTS]


@pytest.mark.parametrize("quote", [BARE, FULL], ids=["bare", "full"])
def test_a_quote_comes_back_as_it_went(quote: Quote) -> None:
    back = decode(encode(quote))

    assert quote == back
    assert amounts(quote) == amounts(back)


@given(quote=QUOTES)
def test_nothing_is_rounded_whatever_the_amounts(quote: Quote) -> None:
    back = decode(encode(quote).encode())

    assert quote == back
    assert amounts(quote) == amounts(back)


def test_amounts_travel_as_strings() -> None:
    content = json.loads(encode(FULL))

    assert ("0.0040", "123456789012.123456789012345678") == (content["price"], content["high"])
    assert all(isinstance(content[name], str) for name in AMOUNTS)


@pytest.mark.parametrize(
    ("at", "micros"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC), 1_000_001),
        (AT, 1_795_201_200_123_457),
    ],
)
def test_the_version_is_the_time_of_fetch_in_microseconds(at: datetime, micros: int) -> None:
    assert micros == version(Quote(BARE.price, "simulated", at))


def test_a_version_survives_the_double_that_redis_compares() -> None:
    far = Quote(BARE.price, "simulated", datetime(2200, 1, 1, tzinfo=UTC))
    next_one = Quote(BARE.price, "simulated", far.fetched_at + timedelta(microseconds=1))

    assert float(version(far)) < float(version(next_one))
    assert int(float(version(far))) == version(far)
