"""The header `Retry-After`, in seconds or as a date."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.provider.retry_after import read_wait

NOW = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
DAY = 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        (" 120 ", 120),
        ("0", 0),
        ("1.5", 1.5),
        ("86400", DAY),
        ("9999999999999999999999", DAY),
        ("9" * 400, DAY),
        ("Fri, 27 Nov 2026 19:05:00 GMT", 300),
        ("Friday, 27-Nov-26 19:05:00 GMT", 300),
        ("Fri Nov 27 19:05:00 2026", 300),
        ("Fri, 27 Nov 2026 14:05:00 -0500", 300),
        ("Fri, 27 Nov 2026 18:00:00 GMT", 0),
        ("Sat, 01 Jan 2040 00:00:00 GMT", DAY),
    ],
)
def test_seconds_and_dates_are_read_and_no_wait_is_longer_than_a_day(text: str, seconds: float) -> None:
    assert timedelta(seconds=seconds) == read_wait(text, NOW)


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-5", "1e3", "NaN", "inf", "١٢", "Fri, 99 Nov 2026 19:05:00 GMT", "0x10"]
)
def test_what_cannot_be_read_says_nothing(text: str) -> None:
    assert read_wait(text, NOW) is None


@given(text=st.text(max_size=40) | st.text("0123456789:, +-.GMTFriNov", max_size=40))
def test_any_header_is_a_wait_of_at_most_a_day_or_nothing(text: str) -> None:
    wait = read_wait(text, NOW)

    assert wait is None or timedelta() <= wait <= timedelta(days=1)
