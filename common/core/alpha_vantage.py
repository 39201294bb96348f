"""Alpha Vantage without I/O: build the query of a call, decipher the answer. It never sees the key, a socket or a clock.

Facts: design/provider.md. An answer is either a value of ours or a `Refusal` that names its outcome.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from common.core.fields import read_date, read_decimal, read_integer, read_text
from common.core.models import Bar, Function, Listed, Match, Price
from common.core.outcomes import Outcome

BULK_LIMIT = 100
FIRST_DAY = date(1970, 1, 1)  # no price that we ask for is older
Answer = tuple[Price, ...] | tuple[Bar, ...] | tuple[Match, ...] | tuple[Listed, ...]

# Judged in this order, over the lower-cased text: the notice for a second also speaks of the day and of premium endpoints.
NOTICES: tuple[tuple[Outcome, tuple[str, ...]], ...] = (
    (Outcome.THROTTLED_SECOND, ("spreading out", "per second", "burst pattern")),
    (
        Outcome.THROTTLED_MINUTE,
        ("minute-level rate limit", "calls per minute", "call frequency", "higher api call volume"),
    ),
    (Outcome.NOT_ENTITLED, ("premium endpoint", "premium feature", "not yet entitled")),
    (Outcome.BAD_KEY, ("**demo** api key", "apikey is invalid or missing")),
    (Outcome.DAY_USED_UP, ("requests per day", "calls per day", "detected your api key as")),
    (Outcome.BAD_REQUEST, ("invalid api call", "does not exist")),
)


class Refusal(Exception):
    """The answer holds no data. The message is ours, never the provider's text: that one can echo the key.

    `notice` is that text where nobody knows what it means: for the log alone, once the key is struck out of it.
    """

    def __init__(self, outcome: Outcome, message: str, notice: str = "") -> None:
        super().__init__(message)
        self.outcome = outcome
        self.notice = notice


def query(function: Function, subjects: Sequence[str]) -> dict[str, str]:
    """The parameters of a call, the key apart."""
    asked = ",".join(subjects)
    extra = {
        Function.QUOTE: {"symbol": asked},
        Function.BULK: {"symbol": asked},
        Function.SEARCH: {"keywords": asked},
        Function.DAILY: {"symbol": asked, "outputsize": "compact"},
        Function.LISTING: {},
    }
    return {"function": function.value, **extra[function]}


def decipher(function: Function, subjects: Sequence[str], status: int, body: bytes) -> Answer:
    """What the provider answered; raise `Refusal` for all that is not the data that was asked for."""
    if status != 200:
        raise Refusal(Outcome.UNAVAILABLE, f"expected status 200, not {status}")
    if function is Function.LISTING and not body.lstrip().startswith(b"{"):
        return _listing(body)
    content = _object(body)
    _refuse_notices(content)
    return READERS[function](content, subjects)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(Outcome.UNAVAILABLE, "expected JSON") from None
    if not isinstance(content, dict):
        raise Refusal(Outcome.UNAVAILABLE, "expected a JSON object")
    return content


def _refuse_notices(content: Mapping[str, Any]) -> None:
    """Only top-level keys count: a good series holds "1. Information" inside its Meta Data."""
    top = {key.strip().lower(): value for key, value in content.items()}
    message = str(top.get("message", ""))
    if "premium endpoint" in message.lower() or "ARTIFICIAL" in message:
        raise Refusal(Outcome.NOT_ENTITLED, "the data are artificial: the key lacks the right")
    for key in ("note", "information", "error message"):
        if isinstance(text := top.get(key), str):
            outcome = notice(text)
            unknown = text if outcome is Outcome.UNKNOWN_NOTICE else ""
            raise Refusal(outcome, f"the provider sent a notice: {outcome}", unknown)


def notice(text: str) -> Outcome:
    """Which notice a text is; `unknown_notice` where it cannot be told."""
    lowered = text.lower()
    for outcome, phrases in NOTICES:
        if any(phrase in lowered for phrase in phrases):
            return outcome
    return Outcome.UNKNOWN_NOTICE


def _no_data(what: str) -> Refusal:
    return Refusal(Outcome.NO_DATA, f"no {what} in the answer")


def _quote(content: Mapping[str, Any], subjects: Sequence[str]) -> tuple[Price, ...]:
    row = next((value for key, value in content.items() if key.startswith("Global Quote")), None)
    if not isinstance(row, dict) or not row:
        raise _no_data("quote")
    named = {key.partition(". ")[2]: value for key, value in row.items()}
    if str(named.get("symbol", "")).upper() != subjects[0]:
        raise _no_data("quote of the symbol that was asked for")
    return (_price(subjects[0], named, "price", "latest trading day", "previous close", "change percent"),)


def _price(symbol: str, row: Mapping[str, Any], price: str, day: str, previous: str, percent: str) -> Price:
    """A plausible price: above zero, finite, with a day; everything else may be unknown."""
    value, trading_day = read_decimal(row.get(price)), read_date(row.get(day))
    if value is None or value <= 0 or trading_day is None or trading_day < FIRST_DAY:
        raise _no_data("plausible price")
    return Price(
        symbol=symbol,
        price=value,
        trading_day=trading_day,
        change=read_decimal(row.get("change")),
        change_percent=read_decimal(str(row.get(percent, "")).removesuffix("%")),
        volume=read_integer(row.get("volume")),
        open=read_decimal(row.get("open")),
        high=read_decimal(row.get("high")),
        low=read_decimal(row.get("low")),
        previous_close=read_decimal(row.get(previous)),
    )


def _bulk(content: Mapping[str, Any], subjects: Sequence[str]) -> tuple[Price, ...]:
    """The rows that were asked for. An answer that holds none of them says nothing about any symbol."""
    if content.get("message") != "success" or not isinstance(rows := content.get("data"), list):
        raise Refusal(Outcome.UNKNOWN_NOTICE, "expected bulk quotes with the message success")
    asked = {row["symbol"].upper(): row for row in rows if isinstance(row, dict) and isinstance(row.get("symbol"), str)}
    prices = tuple(filter(None, (_bulk_price(symbol, asked.get(symbol)) for symbol in subjects)))
    if not prices:
        raise Refusal(Outcome.UNKNOWN_NOTICE, "no quote in the answer that was asked for")
    return prices


def _bulk_price(symbol: str, row: Mapping[str, Any] | None) -> Price | None:
    """One row, or nothing: a row that lacks its price is no answer for its symbol and takes no other symbol down."""
    if row is None:
        return None
    try:
        return _price(symbol, row, "close", "timestamp", "previous_close", "change_percent")
    except Refusal:
        return None


def _search(content: Mapping[str, Any], _: Sequence[str]) -> tuple[Match, ...]:
    if not isinstance(rows := content.get("bestMatches"), list):
        raise _no_data("matches")
    named = (
        {key.partition(". ")[2]: read_text(value) for key, value in row.items()}
        for row in rows
        if isinstance(row, dict)
    )
    return tuple(
        Match(
            symbol=row["symbol"].upper(),
            name=row.get("name", ""),
            type=row.get("type", ""),
            region=row.get("region", ""),
            currency=row.get("currency", ""),
            score=read_decimal(row.get("matchScore")) or Decimal(0),
        )
        for row in named
        if row.get("symbol")
    )


def _daily(content: Mapping[str, Any], _: Sequence[str]) -> tuple[Bar, ...]:
    """Oldest first; a row without its four prices is left out, a volume may be unknown."""
    rows = content.get("Time Series (Daily)")
    if not isinstance(rows, dict) or not rows:
        raise _no_data("daily bars")
    bars = [bar for day, row in rows.items() if (bar := _bar(day, row))]
    if not bars:
        raise _no_data("plausible daily bar")
    return tuple(sorted(bars, key=lambda bar: bar.day))


def _bar(day: str, row: Any) -> Bar | None:
    named = {key.partition(". ")[2]: value for key, value in row.items()} if isinstance(row, dict) else {}
    at = read_date(day)
    prices = [read_decimal(named.get(name)) for name in ("open", "high", "low", "close")]
    known = [price for price in prices if price is not None and price > 0]
    if at is None or len(known) < 4:
        return None
    return Bar(at, known[0], known[1], known[2], known[3], read_integer(named.get("volume")))


def _listing(body: bytes) -> tuple[Listed, ...]:
    """A CSV table; over a limit it is a good header over a notice spelt one letter a column, which no row survives."""
    rows = csv.DictReader(io.StringIO(body.decode("utf-8", "replace")))
    try:
        if not {"symbol", "name", "exchange", "assetType", "status"} <= set(rows.fieldnames or ()):
            raise Refusal(Outcome.UNAVAILABLE, "expected a listing in CSV")
        listed = tuple(
            Listed(
                row["symbol"], read_text(row["name"]), row["exchange"], row["assetType"], read_date(row.get("ipoDate"))
            )
            for row in rows
            if row["symbol"] and row["status"] == "Active"
        )
    except csv.Error:
        raise Refusal(Outcome.UNAVAILABLE, "expected a listing in CSV") from None
    if not listed:
        raise Refusal(Outcome.UNKNOWN_NOTICE, "the listing is empty")
    return listed


def _no_listing(_: Mapping[str, Any], __: Sequence[str]) -> Answer:
    raise Refusal(Outcome.UNAVAILABLE, "expected a listing in CSV")


READERS: dict[Function, Callable[[Mapping[str, Any], Sequence[str]], Answer]] = {
    Function.QUOTE: _quote,
    Function.BULK: _bulk,
    Function.SEARCH: _search,
    Function.DAILY: _daily,
    Function.LISTING: _no_listing,
}
