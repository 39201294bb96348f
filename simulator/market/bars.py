"""Bars of a day, a week or a month, and the quote that the newest two days make. It knows no prices of its own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby

_FOUR_DECIMALS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day, or several joined. The newest may still be running. Prices have 4 decimals."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A bar of one day and the close before it."""

    bar: Bar
    previous_close: Decimal

    @property
    def change(self) -> Decimal:
        return self.bar.close - self.previous_close

    @property
    def change_percent(self) -> Decimal:
        return _percent(self.change, self.previous_close)


@dataclass(frozen=True, slots=True)
class Move:
    """What a quote says of a day, without its opening and its extremes."""

    day: date
    price: Decimal
    previous_close: Decimal
    volume: int

    @property
    def change(self) -> Decimal:
        return self.price - self.previous_close

    @property
    def change_percent(self) -> Decimal:
        return _percent(self.change, self.previous_close)


def _percent(change: Decimal, previous_close: Decimal) -> Decimal:
    return (change * 100 / previous_close).quantize(_FOUR_DECIMALS)


def quote_of(bars: Sequence[Bar]) -> Quote:
    """The quote that the newest two daily bars make; `bars` are newest first."""
    return Quote(bars[0], bars[1].close)


def weekly(bars: Iterable[Bar]) -> list[Bar]:
    """Join daily bars into weeks, both newest first. A week has the date of its last trading day.

    The newest week may still be running. The oldest is left out: its first days may be missing.
    """
    return _joined(bars, lambda bar: bar.day.isocalendar()[:2])


def monthly(bars: Iterable[Bar]) -> list[Bar]:
    """Join daily bars into months, as `weekly` does into weeks."""
    return _joined(bars, lambda bar: (bar.day.year, bar.day.month))


def _joined(bars: Iterable[Bar], period: Callable[[Bar], tuple[int, ...]]) -> list[Bar]:
    return [_join(list(days)) for _, days in groupby(bars, period)][:-1]


def _join(days: Sequence[Bar]) -> Bar:
    newest, oldest = days[0], days[-1]
    low, high = min(bar.low for bar in days), max(bar.high for bar in days)
    return Bar(newest.day, oldest.open, high, low, newest.close, sum(bar.volume for bar in days))
