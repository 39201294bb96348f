"""CSV as Alpha Vantage writes it: CRLF, the values of the JSON under other names. Pure; it knows which bodies have no table."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO

from simulator.series import SERIES, Series

QUOTE_COLUMNS = (
    *("symbol", "open", "high", "low", "price", "volume", "latestDay", "previousClose", "change", "changePercent"),
)
MATCH_COLUMNS = (
    *("symbol", "name", "type", "region", "marketOpen", "marketClose", "timezone", "currency", "matchScore"),
)
EVENT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "SPLITS": ("effective_date", "split_factor"),
    "DIVIDENDS": ("ex_dividend_date", "declaration_date", "record_date", "payment_date", "amount"),
}


def table_of(function: str, body: Mapping[str, object]) -> str | None:
    """A good JSON body as CSV; None for a notice, for a quote without fields, and for a function that speaks JSON only.

    What a quote of an unknown symbol looks like in CSV is not recorded; it stays JSON, as the other refusals do.
    """
    if function == "GLOBAL_QUOTE":
        quote = next(iter(body.values()), None)
        return to_csv(QUOTE_COLUMNS, [quote.values()]) if isinstance(quote, Mapping) and quote else None
    if function == "SYMBOL_SEARCH":
        return _rows(MATCH_COLUMNS, body.get("bestMatches"))
    if function in EVENT_COLUMNS:
        return _rows(EVENT_COLUMNS[function], body.get("data"))
    return _series(SERIES[function], body) if function in SERIES else None


def _rows(columns: Iterable[str], rows: object) -> str | None:
    return to_csv(columns, (row.values() for row in rows)) if isinstance(rows, list) else None


def _series(series: Series, body: Mapping[str, object]) -> str | None:
    """Adjusted days have underscores in their columns' names, adjusted weeks and months blanks."""
    rows = body.get(series.key)
    if not isinstance(rows, Mapping):
        return None
    names = [field.partition(". ")[2] for field in next(iter(rows.values()))]
    columns = [name.replace(" ", "_") if series.daily else name for name in names]
    return to_csv(("timestamp", *columns), ((day, *row.values()) for day, row in rows.items()))


def to_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
