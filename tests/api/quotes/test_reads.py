"""What counts as a read: once an hour for each reader and symbol, within bounded memory."""

import pytest

from api.quotes import reads
from api.quotes.reads import Reads


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_reader_counts_once_an_hour_for_a_symbol() -> None:
    clock = Clock()
    counted = Reads(clock)
    for clock.now in (1000.0, 1001.0, 4599.9):
        counted.count("AAPL", by="192.0.2.0/24")

    assert {"AAPL": 1} == counted._counts


def test_a_reader_counts_again_in_the_next_hour() -> None:
    clock = Clock()
    counted = Reads(clock)
    for clock.now in (1000.0, 4600.0, 4601.0):
        counted.count("AAPL", by="192.0.2.0/24")

    assert {"AAPL": 2} == counted._counts


def test_a_reader_counts_once_an_hour_on_average_at_any_pace() -> None:
    clock = Clock()
    counted = Reads(clock)
    for minute in range(24 * 60):
        clock.now = 1000.0 + 60 * minute
        counted.count("AAPL", by="192.0.2.0/24")

    assert {"AAPL": 24} == counted._counts


def test_readers_and_symbols_count_apart() -> None:
    counted = Reads(Clock())
    for symbol, reader in (("AAPL", "user:1"), ("AAPL", "user:2"), ("AAPL", "192.0.2.0/24"), ("IBM", "user:1")):
        counted.count(symbol, by=reader)

    assert {"AAPL": 3, "IBM": 1} == counted._counts


def test_a_crowd_beyond_what_memory_may_hold_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_PAIRS", 2)
    counted = Reads(Clock())
    for reader in ("user:1", "user:2", "user:3", "user:3"):
        counted.count("AAPL", by=reader)

    assert {"AAPL": 2} == counted._counts
    assert 2 == len(counted._seen)
