"""Weeks and months of daily bars. Pure: it knows no prices of its own, so that they agree with the days."""

from collections.abc import Callable, Iterable
from itertools import groupby

from simulator.prices import Bar


def weekly(bars: Iterable[Bar]) -> list[Bar]:
    """Bars of a day each, newest first, as bars of a week, newest first; each has its last trading day's date.

    The newest week is as far as the days go. The oldest is left out, for its first days may be missing.
    """
    return _joined(bars, lambda bar: bar.day.isocalendar()[:2])


def monthly(bars: Iterable[Bar]) -> list[Bar]:
    """The same by months."""
    return _joined(bars, lambda bar: (bar.day.year, bar.day.month))


def _joined(bars: Iterable[Bar], period: Callable[[Bar], tuple[int, ...]]) -> list[Bar]:
    return [_bar(list(days)) for _, days in groupby(bars, period)][:-1]


def _bar(days: list[Bar]) -> Bar:
    newest, oldest = days[0], days[-1]
    low, high = min(bar.low for bar in days), max(bar.high for bar in days)
    return Bar(newest.day, oldest.open, high, low, newest.close, sum(bar.volume for bar in days))
