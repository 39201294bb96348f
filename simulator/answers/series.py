"""The time series: days, weeks and months, raw and adjusted.

No security splits or pays a dividend, so adjusted prices are the raw ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from simulator.answers.answer import Answer, Table, refusal
from simulator.answers.query import Query
from simulator.market.bars import Bar, monthly, weekly

COMPACT_BARS, FULL_BARS = 100, 500  # the provider's full series, weeks and months go back twenty years
_RAW = ("open", "high", "low", "close", "volume")
_ADJUSTED = ("open", "high", "low", "close", "adjusted close", "volume", "dividend amount")


@dataclass(frozen=True, slots=True)
class Series:
    """How a function shows its bars: under `key`, with `fields`, joined into longer periods by `join`.

    Daily series have two sizes; the others show all there is.
    """

    key: str
    information: str
    fields: tuple[str, ...] = _RAW
    join: Callable[[Iterable[Bar]], list[Bar]] | None = None

    @property
    def daily(self) -> bool:
        return self.join is None


SERIES: Mapping[str, Series] = {
    "TIME_SERIES_DAILY": Series("Time Series (Daily)", "Daily Prices (open, high, low, close) and Volumes"),
    "TIME_SERIES_DAILY_ADJUSTED": Series(
        "Time Series (Daily)", "Daily Time Series with Splits and Dividend Events", (*_ADJUSTED, "split coefficient")
    ),
    "TIME_SERIES_WEEKLY": Series(
        "Weekly Time Series", "Weekly Prices (open, high, low, close) and Volumes", join=weekly
    ),
    "TIME_SERIES_WEEKLY_ADJUSTED": Series(
        "Weekly Adjusted Time Series", "Weekly Adjusted Prices and Volumes", _ADJUSTED, weekly
    ),
    "TIME_SERIES_MONTHLY": Series(
        "Monthly Time Series", "Monthly Prices (open, high, low, close) and Volumes", join=monthly
    ),
    "TIME_SERIES_MONTHLY_ADJUSTED": Series(
        "Monthly Adjusted Time Series", "Monthly Adjusted Prices and Volumes", _ADJUSTED, monthly
    ),
}


def time_series(query: Query) -> Answer:
    series, full = SERIES[query.function], query.params.get("outputsize") == "full"
    if series.daily and full and not query.provider.entitled:
        return refusal("not_entitled_full")
    security = query.security()
    if security is None:
        return query.no_such_symbol()
    bars = query.bars(security, COMPACT_BARS if series.daily and not full else FULL_BARS)
    rows = {bar.day.isoformat(): _values(series, bar) for bar in (series.join(bars) if series.join else bars)}
    size = ["Full size" if full else "Compact"] if series.daily else []
    meta = [series.information, query.symbol, max(rows), *size, "US/Eastern"]
    names = ["Information", "Symbol", "Last Refreshed", *(["Output Size"] if series.daily else []), "Time Zone"]
    shown = {day: _numbered(series.fields, values) for day, values in rows.items()}
    body = {"Meta Data": _numbered(names, meta), series.key: shown}
    return Answer("ok", body, _table(series, f"{_file_prefix(query.function)}_{security.symbol}", rows))


def _values(series: Series, bar: Bar) -> list[str]:
    values = {
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "adjusted close": bar.close,
        "volume": bar.volume,
        "dividend amount": "0.0000",
        "split coefficient": "1.0",
    }
    return [str(values[field]) for field in series.fields]


def _numbered(names: Iterable[str], values: Iterable[str]) -> Mapping[str, str]:
    return {f"{number}. {name}": value for number, (name, value) in enumerate(zip(names, values, strict=True), 1)}


def _table(series: Series, name: str, rows: Mapping[str, list[str]]) -> Table:
    """Columns of daily series have underscores in their names, those of weeks and months blanks."""
    columns = [field.replace(" ", "_") if series.daily else field for field in series.fields]
    return Table.of(name, ("timestamp", *columns), ((day, *values) for day, values in rows.items()))


def _file_prefix(function: str) -> str:
    """Of a daily series it is inferred from that of intraday prices, the only recorded one."""
    return function.removeprefix("TIME_SERIES_").lower()
