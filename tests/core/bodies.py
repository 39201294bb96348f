"""Bodies that no provider should send, for properties: the keys that are known, with values of every kind."""

import json

from hypothesis import strategies as st

from common.core.models import Function

SYMBOLS = ("IBM", "AAPL")
DAYS = st.sampled_from(
    [
        *("2026-01-02", "2026-01-02 15:59:00", "2026-01-02T09:30:00Z", "2026-11-26", "1969-12-31", "0001-01-01"),
        *("9999-12-31", "2026-13-01", "2026-W01-5", "20260102", "2026-01-02x", "", "None"),
    ]
)
NUMBERS = st.sampled_from(
    [
        *("133.6900", "0.0000", "-0.0000", "-1", "8e-08", "1e11", "1e12", "1e30", "1e-400", "1e999999999999999999"),
        *("9223372036854775808", "NaN", "-Infinity", "1_000", "١٢", "None", "0.42%", "12,5", "1" * 60, "\0", "+5"),
    ]
) | st.builds("{}e{}".format, st.integers(-(10**9), 10**9), st.integers(-20, 20))
TEXTS = st.sampled_from(
    [
        *("IBM", "ibm", "AAPL", "TSCO.LON", "A B", "X" * 3000, "Nul\0 and half a pair\ud800", "\x1b[31m", "&AMP;"),
        *(
            "&#0;&#xD800;&#99999999;",
            "&lt;b&gt;",
            "null",
            "success",
            "Active",
            "\ufeff",
            "é日本",
            "'; DROP TABLE quotes",
        ),
    ]
) | st.text(max_size=12)
ODD = st.none() | st.booleans() | st.integers() | st.floats() | DAYS | NUMBERS | TEXTS
NESTED = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
LIKELY = NUMBERS | st.floats(0, 1000) | NESTED


def _row(prefix: dict[str, str], days: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> st.SearchStrategy[object]:
    """A row whose fields are mostly of the right kind, some of them missing."""
    kinds = {name: DAYS | NESTED if name in days else TEXTS | NESTED if name in texts else LIKELY for name in prefix}
    return st.fixed_dictionaries({}, optional={prefix[name]: kind for name, kind in kinds.items()})


_QUOTE = ("symbol", "open", "high", "low", "price", "volume", "latest trading day", "previous close", "change")
QUOTE = _row(
    {name: f"{at:02}. {name}" for at, name in enumerate([*_QUOTE, "change percent"], 1)},
    days=("latest trading day",),
    texts=("symbol",),
)
_BULK = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "previous_close", "change", "change_percent")
BULK = _row({name: name for name in _BULK}, days=("timestamp",), texts=("symbol",))
BAR = _row({name: f"{at}. {name}" for at, name in enumerate(("open", "high", "low", "close", "volume"), 1)})
_MATCH = ("symbol", "name", "type", "region", "currency", "matchScore")
MATCH = _row({name: f"{at}. {name}" for at, name in enumerate(_MATCH, 1)}, texts=_MATCH[:-1])
CELL = (DAYS | TEXTS).map(lambda text: text.replace("\ud800", "?"))
HEADER = "symbol,name,exchange,assetType,ipoDate,delistingDate,status"


def _csv(rows: list[list[str]]) -> bytes:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in [*row, "Active"]) for row in rows]
    return "\r\n".join([HEADER, *lines]).encode()


OBJECTS = {
    Function.QUOTE: QUOTE.map(lambda row: {"Global Quote": row}),
    Function.BULK: st.lists(BULK | NESTED, max_size=4).map(lambda rows: {"message": "success", "data": rows}),
    Function.DAILY: st.dictionaries(DAYS, BAR | NESTED, max_size=4).map(lambda rows: {"Time Series (Daily)": rows}),
    Function.SEARCH: st.lists(MATCH | NESTED, max_size=4).map(lambda rows: {"bestMatches": rows}),
}
BODIES: dict[Function, st.SearchStrategy[bytes]] = {
    **{function: rows.map(lambda content: json.dumps(content).encode()) for function, rows in OBJECTS.items()},
    Function.LISTING: st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=4).map(_csv),
}
ANSWERS = st.sampled_from(list(Function)).flatmap(lambda function: st.tuples(st.just(function), BODIES[function]))
