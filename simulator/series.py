"""The time series' bodies. Pure: bars in, JSON out; numbers become strings here.

No security splits or pays a dividend, so adjusted prices are the raw ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from simulator.bodies import Body
from simulator.periods import monthly, weekly
from simulator.prices import Bar


@dataclass(frozen=True, slots=True)
class Series:
    """How a function shows its bars: under `key`, with `adjusted` fields, joined to longer `period`s of time.

    Daily ones have sizes, the others show all there is. `file` begins the name of the CSV; of a daily one it is inferred from intraday's.
    """

    key: str
    information: str
    file: str
    adjusted: tuple[str, ...] = ()
    period: Callable[[Iterable[Bar]], list[Bar]] = list

    @property
    def daily(self) -> bool:
        return self.period is list


_DIVIDEND = "dividend amount"
_CLOSE = "adjusted close"
SERIES: Mapping[str, Series] = {
    "TIME_SERIES_DAILY": Series("Time Series (Daily)", "Daily Prices (open, high, low, close) and Volumes", "daily"),
    "TIME_SERIES_DAILY_ADJUSTED": Series(
        "Time Series (Daily)",
        "Daily Time Series with Splits and Dividend Events",
        "daily_adjusted",
        (_CLOSE, _DIVIDEND, "split coefficient"),
    ),
    "TIME_SERIES_WEEKLY": Series(
        "Weekly Time Series", "Weekly Prices (open, high, low, close) and Volumes", "weekly", period=weekly
    ),
    "TIME_SERIES_WEEKLY_ADJUSTED": Series(
        "Weekly Adjusted Time Series",
        "Weekly Adjusted Prices and Volumes",
        "weekly_adjusted",
        (_CLOSE, _DIVIDEND),
        period=weekly,
    ),
    "TIME_SERIES_MONTHLY": Series(
        "Monthly Time Series", "Monthly Prices (open, high, low, close) and Volumes", "monthly", period=monthly
    ),
    "TIME_SERIES_MONTHLY_ADJUSTED": Series(
        "Monthly Adjusted Time Series",
        "Monthly Adjusted Prices and Volumes",
        "monthly_adjusted",
        (_CLOSE, _DIVIDEND),
        period=monthly,
    ),
}


def time_series(series: Series, spelling: str, bars: Iterable[Bar], *, full: bool = False) -> Body:
    """`spelling` is the symbol as the caller wrote it; bars are of a day each, newest first."""
    rows = {bar.day.isoformat(): _row(series, bar) for bar in series.period(bars)}
    meta = [series.information, spelling, max(rows), *_size(series, full), "US/Eastern"]
    names = ["Information", "Symbol", "Last Refreshed", *(["Output Size"] if series.daily else []), "Time Zone"]
    return {"Meta Data": _numbered(zip(names, meta, strict=True)), series.key: rows}


def _size(series: Series, full: bool) -> list[str]:
    return ["Full size" if full else "Compact"] if series.daily else []


def _row(series: Series, bar: Bar) -> Mapping[str, str]:
    """The adjusted close goes before the volume, the rest after it."""
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    made = {_CLOSE: bar.close, "volume": bar.volume, _DIVIDEND: "0.0000", "split coefficient": "1.0"}
    fields = prices | {name: value for name, value in made.items() if name in (*series.adjusted, "volume")}
    return _numbered(fields.items())


def _numbered(fields: Iterable[tuple[str, object]]) -> Mapping[str, str]:
    return {f"{number}. {name}": str(value) for number, (name, value) in enumerate(fields, 1)}
