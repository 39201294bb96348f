"""A symbol's collected quotes over HTTP, in pages."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Annotated

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.http import requests
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import read
from api.quotes.stocks import STALE_FOR
from api.quotes.symbols import symbol_of
from common.errors import InvalidRequest, InvalidSymbol, StoreUnavailable
from common.operations.types import Time
from common.store.connection.pool import acquire
from common.store.market import bars as store

DEFAULT_PAGE, MAX_PAGE = 100, 500  # quotes

MOMENT = "a day or a time such as 2026-11-20T15:30:00Z"
Moment = Annotated[str, Meta(title=MOMENT, extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]})]

routes = web.RouteTableDef()


class HistoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The range, and the time after which a page starts. A day as `to` includes the whole day."""

    since: Moment | UnsetType = field(name="from", default=UNSET)
    until: Moment | UnsetType = field(name="to", default=UNSET)
    after: Moment | UnsetType = UNSET
    limit: Annotated[int, Meta(title=f"a whole number from 1 to {MAX_PAGE}", ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class Collected(Struct, frozen=True):
    """A collected quote."""

    fetched_at: Time
    price: float
    volume: int | None
    timestamp: date


class HistoryAnswer(Struct, frozen=True):
    """Oldest first; `next` is the next page's `after`, null on the last page."""

    symbol: str
    quotes: list[Collected]
    next: Time | None


@routes.get("/api/stock/{symbol}/history")
@read
@documented(
    "The quotes of a symbol that were collected",
    query=HistoryQuery,
    answers={200: HistoryAnswer},
    errors=(InvalidSymbol, StoreUnavailable),
)
async def history(request: web.Request) -> web.Response:
    """The collected quotes, oldest first, in pages: for the next page set `after` to `next`.

    Of quotes older than a week only the last of each hour and of each trading day are kept.
    """
    symbol = symbol_of(request)
    asked = requests.query(request, HistoryQuery)
    since = _moment("from", asked.since)
    until = _moment("to", asked.until)
    after = _moment("after", asked.after)
    if since is not None and until is not None and since > until:
        raise InvalidRequest("from: expected a time before `to`")
    resources = request.app[RESOURCES]
    async with acquire(resources.db) as connection:
        rows = await store.select_history(
            connection, resources.settings.source, symbol, since=since, until=until, after=after, most=asked.limit
        )
    quotes = [
        {
            "fetched_at": row.fetched_at.isoformat().replace("+00:00", "Z"),
            "price": float(row.price),
            "volume": row.volume,
            "timestamp": row.trading_day.isoformat(),
        }
        for row in rows
    ]
    following = quotes[-1]["fetched_at"] if len(quotes) == asked.limit else None
    body = {"symbol": symbol, "quotes": quotes, "next": following}
    return web.json_response(body, headers={"Cache-Control": f"public, max-age={int(STALE_FOR)}"})


def _moment(name: str, text: str | UnsetType) -> datetime | None:
    """A time from the query, with its zone, or the start of a day; for `to`, the start of the next day."""
    if text is UNSET:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            if name == "to":
                day += timedelta(days=1)
            return datetime.combine(day, clock_time(), UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name}: expected {MOMENT}, not {text[:40]!r}") from None
