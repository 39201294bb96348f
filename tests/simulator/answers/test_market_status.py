from datetime import UTC, datetime

import pytest

from tests.simulator.answers.calls import FREE, body_of


@pytest.mark.parametrize(
    ("row", "now", "status"),
    [
        (0, datetime(2026, 11, 20, 14, 30, tzinfo=UTC), "open"),
        (0, datetime(2026, 11, 20, 14, 29, tzinfo=UTC), "closed"),
        (0, datetime(2026, 11, 20, 21, 15, tzinfo=UTC), "closed"),
        (0, datetime(2026, 11, 21, 16, 0, tzinfo=UTC), "closed"),  # Saturday
        (0, datetime(2026, 11, 26, 16, 0, tzinfo=UTC), "closed"),  # Thanksgiving
        (14, datetime(2026, 11, 20, 20, 59, tzinfo=UTC), "open"),
        (14, datetime(2026, 11, 20, 21, 0, tzinfo=UTC), "closed"),  # from Friday
        (14, datetime(2026, 11, 22, 21, 59, tzinfo=UTC), "closed"),
        (14, datetime(2026, 11, 22, 22, 0, tzinfo=UTC), "open"),  # to Sunday
    ],
)
def test_new_york_follows_hours_and_holidays_and_forex_rests_over_the_weekend(
    row: int, now: datetime, status: str
) -> None:
    markets = body_of(FREE, now, function="MARKET_STATUS")["markets"]

    assert 16 == len(markets)
    assert ("United States", "Forex") == (markets[0]["region"], markets[14]["market_type"])
    assert markets[row]["current_status"] == status
    assert ("Cryptocurrency", "open") == (markets[15]["market_type"], markets[15]["current_status"])
