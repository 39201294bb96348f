from datetime import UTC, datetime

import pytest

from simulator.answers.search import search
from tests.simulator.answers.calls import FREE, UNIVERSE, body_of


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
    ] == body_of(function="SYMBOL_SEARCH", keywords="m&m")["bestMatches"]
    assert {"bestMatches": []} == body_of(function="SYMBOL_SEARCH", keywords="zzzz")


@pytest.mark.parametrize(("month", "zone"), [(1, "UTC-05"), (7, "UTC-04")])
def test_new_yorks_zone_follows_the_season(month: int, zone: str) -> None:
    body = body_of(FREE, datetime(2026, month, 5, tzinfo=UTC), function="SYMBOL_SEARCH", keywords="IBM")

    assert body["bestMatches"][0]["7. timezone"] == zone


def test_search_prefers_the_exact_symbol_then_its_beginning_then_the_name() -> None:
    assert 1.0 == search(UNIVERSE, "msft")[0][1]
    assert "MSFT" == search(UNIVERSE, "micros")[0][0].symbol
    assert ["TSCO.LON"] == [s.symbol for s, _ in search(UNIVERSE, "tesco")]
    assert ["BRK-A", "BRK-B"] == [s.symbol for s, _ in search(UNIVERSE, "brk")]


def test_search_gives_ten_at_most_best_first() -> None:
    scores = [score for _, score in search(UNIVERSE, "a")]

    assert 10 == len(scores)
    assert scores == sorted(scores, reverse=True)
    assert [] == search(UNIVERSE, "zzzzzz")
