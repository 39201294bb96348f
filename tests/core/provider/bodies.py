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


def _row(good: dict[str, str]) -> st.SearchStrategy[object]:
    """A good row, of which up to three fields are odd."""
    return st.dictionaries(st.sampled_from(list(good)), LIKELY | DAYS | TEXTS, max_size=3).map(
        lambda odd: {**good, **odd}
    )


_PRICES = {"open": "133.36", "high": "136.05", "low": "133.18", "close": "133.69", "volume": "2850210"}
QUOTE = _row(
    {
        "01. symbol": "IBM",
        "02. open": "133.36",
        "03. high": "136.05",
        "04. low": "133.18",
        "05. price": "133.69",
        "06. volume": "2850210",
        "07. latest trading day": "2026-01-02",
        "08. previous close": "133.13",
        "09. change": "0.56",
        "10. change percent": "0.4207%",
    }
)
_TODAY = {
    "timestamp": "2026-01-02 15:59:00.123",
    "previous_close": "133.13",
    "change": "0.56",
    "change_percent": "0.42",
}
BULK = st.sampled_from(SYMBOLS).flatmap(lambda symbol: _row({"symbol": symbol, **_TODAY, **_PRICES}))
BAR = _row({f"{at}. {name}": value for at, (name, value) in enumerate(_PRICES.items(), 1)})
_MATCH = {
    "symbol": "TSCO.LON",
    "name": "Tesco PLC",
    "type": "Equity",
    "region": "",
    "currency": "GBX",
    "matchScore": "1",
}
MATCH = _row({f"{at}. {name}": value for at, (name, value) in enumerate(_MATCH.items(), 1)})
CELL = (DAYS | TEXTS).map(lambda text: text.replace("\ud800", "?"))
HEADER = "symbol,name,exchange,assetType,ipoDate,delistingDate,status"


def _csv(rows: list[list[str]]) -> bytes:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in [*row, "Active"]) for row in rows]
    return "\r\n".join([HEADER, *lines]).encode()


OBJECTS = {
    Function.QUOTE: QUOTE.map(lambda row: {"Global Quote": row}),
    Function.BULK: st.lists(BULK | BULK | NESTED, max_size=4).map(lambda rows: {"message": "success", "data": rows}),
    Function.DAILY: st.dictionaries(DAYS, BAR | BAR | NESTED, max_size=4).map(
        lambda rows: {"Time Series (Daily)": rows}
    ),
    Function.SEARCH: st.lists(MATCH | MATCH | NESTED, max_size=4).map(lambda rows: {"bestMatches": rows}),
}
BODIES: dict[Function, st.SearchStrategy[bytes]] = {
    **{function: rows.map(lambda content: json.dumps(content).encode()) for function, rows in OBJECTS.items()},
    Function.LISTING: st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=4).map(_csv),
}
ANSWERS = st.sampled_from(list(Function)).flatmap(lambda function: st.tuples(st.just(function), BODIES[function]))
