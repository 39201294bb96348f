from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.market.bars import Bar, quote_of
from simulator.market.noise import key_of, noise
from simulator.market.prices import Walk, bars_at, finished_bars_at, finished_move_at, move_at, quote_at
from simulator.market.sessions import is_trading_day

WALK = Walk(key_of(1, "AAPL"), 232.0, 0.27)
FRIDAY = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
MOMENTS = [
    FRIDAY,
    SUNDAY,
    datetime(2026, 11, 20, 5, 0, tzinfo=UTC),  # the first second of a session
    datetime(2026, 11, 20, 4, 59, 59, tzinfo=UTC),  # the last one
    datetime(2026, 11, 26, 12, 0, tzinfo=UTC),  # Thanksgiving
    datetime(2026, 3, 8, 12, 0, tzinfo=UTC),  # the clocks go forward
    datetime(2026, 11, 1, 12, 0, tzinfo=UTC),  # and back
    datetime(2019, 6, 3, 20, 0, tzinfo=UTC),
]


def is_sound(bar: Bar) -> bool:
    return 0 < bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high and bar.volume >= 0


@pytest.mark.parametrize("now", MOMENTS)
def test_history_agrees_with_the_quote(now: datetime) -> None:
    quote, bars = quote_at(WALK, now), bars_at(WALK, now, 100)

    assert quote.bar == bars[0]
    assert quote.previous_close == bars[1].close
    assert quote.change == bars[0].close - bars[1].close
    assert abs(quote.change_percent - quote.change * 100 / bars[1].close) < 1


@pytest.mark.parametrize("now", MOMENTS)
def test_a_hundred_bars_are_sound_and_fall_on_trading_days_newest_first(now: datetime) -> None:
    bars = bars_at(WALK, now, 100)

    assert 100 == len(bars)
    assert all(is_sound(bar) and is_trading_day(bar.day) for bar in bars)
    assert all(newer.day > older.day for newer, older in pairwise(bars))


@settings(max_examples=60)
@given(
    st.integers(1_420_000_000, 2_200_000_000),  # 2015 to 2039
    st.integers(0, 2**64 - 1),
    st.floats(0.5, 800_000),
    st.floats(0.01, 0.95),
)
def test_any_stock_has_a_sound_quote_at_any_time(seconds: int, key: int, base: float, volatility: float) -> None:
    quote = quote_at(Walk(key, base, volatility), datetime.fromtimestamp(seconds, UTC))

    assert is_sound(quote.bar)
    assert quote.previous_close > 0


@pytest.mark.parametrize("start", [FRIDAY, SUNDAY])
def test_successive_quotes_differ_even_on_a_sunday(start: datetime) -> None:
    prices = [quote_at(WALK, start + timedelta(seconds=3 * i)).bar.close for i in range(20)]

    assert len(set(prices)) > 15


def test_a_price_stands_for_three_seconds() -> None:
    start = FRIDAY

    assert quote_at(WALK, start) == quote_at(WALK, start + timedelta(seconds=2.9))


def test_within_a_session_highs_and_volumes_never_fall_and_lows_never_rise() -> None:
    bars = [quote_at(WALK, FRIDAY + timedelta(seconds=100 * i)).bar for i in range(300)]

    assert all(a.high <= b.high and a.low >= b.low and a.volume <= b.volume for a, b in pairwise(bars))
    assert all(a.open == b.open and a.day == b.day for a, b in pairwise(bars))


def test_yesterdays_bar_ends_where_its_last_quote_stood() -> None:
    last = quote_at(WALK, datetime(2026, 11, 20, 4, 59, 59, tzinfo=UTC)).bar
    kept = bars_at(WALK, FRIDAY, 2)[1]

    assert (kept.day, kept.open, kept.close, kept.volume) == (last.day, last.open, last.close, last.volume)
    assert kept.high >= last.high
    assert kept.low <= last.low


def test_the_same_seed_and_symbol_give_the_same_price() -> None:
    assert quote_at(WALK, FRIDAY) == quote_at(Walk(key_of(1, "AAPL"), 232.0, 0.27), FRIDAY)
    assert quote_at(WALK, FRIDAY) != quote_at(Walk(key_of(2, "AAPL"), 232.0, 0.27), FRIDAY)


def test_closes_move_about_as_much_as_their_volatility() -> None:
    closes = [float(bar.close) for bar in bars_at(WALK, FRIDAY, 250)]
    moves = [new / old - 1 for new, old in pairwise(closes)]

    assert 0.5 < pstdev(moves) * 252**0.5 / WALK.volatility < 2


def test_noise_fills_its_range_evenly() -> None:
    values = [noise(7, i) for i in range(10_000)]

    assert all(-1 <= value < 1 for value in values)
    assert abs(sum(values) / len(values)) < 0.02
    assert 0.56 < pstdev(values) < 0.60


@pytest.mark.parametrize("now", MOMENTS)
def test_a_move_says_what_the_quote_says(now: datetime) -> None:
    finished = quote_of(finished_bars_at(WALK, now, 2))
    for move, quote in ((move_at(WALK, now), quote_at(WALK, now)), (finished_move_at(WALK, now), finished)):
        bar = quote.bar
        expected = (bar.day, bar.close, quote.previous_close, bar.volume, quote.change, quote.change_percent)

        assert expected == (move.day, move.price, move.previous_close, move.volume, move.change, move.change_percent)
