"""Alpha Vantage without I/O: build a call's query, decipher its answer. It never sees the key.

An answer becomes models of common/core/models.py, or a `Refusal` with its outcome.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from common.core.models import Bar, Function, Listed, Match, Price
from common.core.provider.fields import (
    read_date,
    read_decimal,
    read_integer,
    read_moment,
    read_name,
    read_positive,
    read_symbol,
    read_text,
)
from common.core.provider.listing import read_listing
from common.core.provider.notices import notice
from common.core.provider.outcomes import Outcome

BULK_LIMIT = 100  # symbols of a bulk call
PRICED = (Function.QUOTE, Function.BULK, Function.DAILY)  # the functions that take an entitlement
FIRST_DAY = date(1970, 1, 1)  # an older price is an error of the provider
TOO_MANY = 429
BLANKS = b"\xef\xbb\xbf \t\r\n"  # a byte order mark or white space before a body
Answer = tuple[Price, ...] | tuple[Bar, ...] | tuple[Match, ...] | tuple[Listed, ...]


class Refusal(Exception):
    """The answer has no data. The message never repeats the provider's text, which may contain the key.

    `notice`: that text if it is unknown; only for the log, after the key has been removed. `wait`: from `Retry-After`.
    """

    def __init__(self, outcome: Outcome, message: str, notice: str = "", wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.notice = notice
        self.wait = wait


def query(function: Function, subjects: Sequence[str], *, entitlement: str = "") -> dict[str, str]:
    """The parameters of a call, without the key. `entitlement`: `realtime` or `delayed` if the plan has it; without one, prices are
    end-of-day."""
    asked = ",".join(subjects)
    extra = {
        Function.QUOTE: {"symbol": asked},
        Function.BULK: {"symbol": asked},
        Function.SEARCH: {"keywords": asked},
        Function.DAILY: {"symbol": asked, "outputsize": "compact"},
        Function.LISTING: {},
    }
    if entitlement and function in PRICED:
        extra[function]["entitlement"] = entitlement
    return {"function": function.value, **extra[function]}


def decipher(
    function: Function, subjects: Sequence[str], status: int, body: bytes, *, wait: timedelta | None = None
) -> Answer:
    """The data of an answer; raise `Refusal` for anything else. `wait`: from `Retry-After`."""
    if status != 200:
        _refuse_status(status, body, wait)
    body = body.lstrip(BLANKS)
    if function is Function.LISTING and not body.startswith(b"{"):
        return _listing(body)
    content = _object(body)
    _refuse_notices(content)
    return READERS[function](content, subjects)


def _refuse_status(status: int, body: bytes, wait: timedelta | None) -> NoReturn:
    """Raise by status, whatever the text; except that 401 and 403 mean a refused key only if the text says so."""
    if status == TOO_MANY:
        raise Refusal(Outcome.THROTTLED_MINUTE, f"status {status}: too many calls", wait=wait)
    if status in (401, 403) and _refuses_key(body):
        raise Refusal(Outcome.BAD_KEY, f"status {status}: the provider refuses the key")
    raise Refusal(Outcome.UNAVAILABLE, f"expected status 200, not {status}")


def _refuses_key(body: bytes) -> bool:
    try:
        _refuse_notices(_object(body.lstrip(BLANKS)))
    except Refusal as refusal:
        return refusal.outcome is Outcome.BAD_KEY
    return False


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body.decode())  # json.loads would guess UTF-16 too
    except (ValueError, RecursionError):
        raise Refusal(Outcome.UNAVAILABLE, "expected JSON") from None
    if not isinstance(content, dict):
        raise Refusal(Outcome.UNAVAILABLE, "expected a JSON object")
    return content


def _refuse_notices(content: Mapping[str, Any]) -> None:
    """Raise for a notice under a top-level key. A good series has "1. Information" too, but inside its Meta Data."""
    top = {key.strip().lower(): value for key, value in content.items()}
    message = text if isinstance(text := top.get("message"), str) else ""
    if "premium endpoint" in message.lower() or "ARTIFICIAL" in message:
        raise Refusal(Outcome.NOT_ENTITLED, "the data are artificial: the key lacks the right")
    for key in ("note", "information", "error message"):
        if isinstance(text := top.get(key), str):
            outcome = notice(text)
            unknown = text if outcome is Outcome.UNKNOWN_NOTICE else ""
            raise Refusal(outcome, f"the provider sent a notice: {outcome}", unknown)


def _beginning(content: Mapping[str, Any], name: str) -> Any:
    """The value of the key that starts with `name`. With an entitlement the key may end in ` - DATA DELAYED BY 15 MINUTES`."""
    return next((value for key, value in content.items() if key.startswith(name)), None)


def _no_data(what: str) -> Refusal:
    return Refusal(Outcome.NO_DATA, f"no {what} in the answer")


def _quote(content: Mapping[str, Any], subjects: Sequence[str]) -> tuple[Price, ...]:
    row = _beginning(content, "Global Quote")
    if not isinstance(row, dict) or not row:
        raise _no_data("quote")
    named = _named(row)
    if read_text(named.get("symbol")).upper() != subjects[0]:
        raise _no_data("quote of the requested symbol")
    return (_price(subjects[0], named, "price", "latest trading day", "previous close", "change percent"),)


def _price(symbol: str, row: Mapping[str, Any], price: str, day: str, previous: str, percent: str) -> Price:
    """A price that is above zero and has a day; all else may be unknown. Raise `Refusal` without them."""
    value, trading_day = read_positive(row.get(price)), read_date(row.get(day))
    if value is None or trading_day is None or trading_day < FIRST_DAY:
        raise _no_data("plausible price")
    return Price(
        symbol=symbol,
        price=value,
        trading_day=trading_day,
        change=read_decimal(row.get("change")),
        change_percent=read_decimal(read_text(row.get(percent)).removesuffix("%")),
        volume=read_integer(row.get("volume")),
        open=read_positive(row.get("open")),
        high=read_positive(row.get("high")),
        low=read_positive(row.get("low")),
        previous_close=read_positive(row.get(previous)),
    )


def _bulk(content: Mapping[str, Any], subjects: Sequence[str]) -> tuple[Price, ...]:
    """The requested rows. An answer without any of them says nothing about the symbols, so it is an unknown notice."""
    if content.get("message") != "success" or not isinstance(rows := content.get("data"), list):
        raise Refusal(Outcome.UNKNOWN_NOTICE, "expected bulk quotes with the message success")
    asked = {read_text(row.get("symbol")).upper(): row for row in rows if isinstance(row, dict)}
    prices = tuple(filter(None, (_bulk_price(symbol, asked.get(symbol)) for symbol in subjects)))
    if not prices:
        raise Refusal(Outcome.UNKNOWN_NOTICE, "no requested quote in the answer")
    return prices


def _bulk_price(symbol: str, row: Mapping[str, Any] | None) -> Price | None:
    """One row's price. A row without a price is no answer for its symbol, but does not invalidate other rows."""
    if row is None:
        return None
    try:
        return _price(symbol, row, "close", "timestamp", "previous_close", "change_percent")
    except Refusal:
        return None


def _search(content: Mapping[str, Any], _: Sequence[str]) -> tuple[Match, ...]:
    """Best match first. Repeated and invalid symbols are dropped."""
    if not isinstance(rows := content.get("bestMatches"), list):
        raise _no_data("matches")
    matches = [_match(_named(row)) for row in rows if isinstance(row, dict)]
    found: dict[str, Match] = {}
    for match in matches:
        found.setdefault(match.symbol, match)
    return tuple(match for symbol, match in found.items() if symbol)


def _match(row: Mapping[str, Any]) -> Match:
    return Match(
        symbol=read_symbol(row.get("symbol")),
        name=read_name(row.get("name")),
        type=read_text(row.get("type")),
        region=read_text(row.get("region")),
        currency=read_text(row.get("currency")),
        score=min(max(read_decimal(row.get("matchScore")) or Decimal(0), Decimal(0)), Decimal(1)),
    )


def _daily(content: Mapping[str, Any], _: Sequence[str]) -> tuple[Bar, ...]:
    """Oldest first, one bar a day. Of a day's several rows, one without a time counts, otherwise the latest.

    A row without its four prices is dropped; its volume may be unknown.
    """
    rows = _beginning(content, "Time Series (Daily)")
    if not isinstance(rows, dict) or not rows:
        raise _no_data("daily bars")
    bars = [(read_moment(key)[1], bar) for key, row in rows.items() if (bar := _bar(key, row))]
    if not bars:
        raise _no_data("plausible daily bar")
    latest = {bar.day: bar for time, bar in sorted(bars, key=lambda row: (not row[0], row[0]))}
    return tuple(sorted(latest.values(), key=lambda bar: bar.day))


def _bar(day: str, row: Any) -> Bar | None:
    named, at = _named(row) if isinstance(row, dict) else {}, read_date(day)
    prices = [read_positive(named.get(name)) for name in ("open", "high", "low", "close")]
    known = [price for price in prices if price is not None]
    if at is None or at < FIRST_DAY or len(known) < 4:
        return None
    return Bar(at, known[0], known[1], known[2], known[3], read_integer(named.get("volume")))


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without their numbers: `01. symbol` becomes `symbol`."""
    return {key.partition(". ")[2]: value for key, value in row.items()}


def _listing(body: bytes) -> tuple[Listed, ...]:
    """When throttled, the provider sends a valid header and the word "Information" one letter per column; such rows are dropped."""
    try:
        listed = read_listing(body)
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
