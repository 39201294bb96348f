"""A symbol's past over HTTP: the quotes that were collected, by the page."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Annotated

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.http import requests
from api.http.contract import Time, documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.stocks import STALE_FOR
from api.quotes.symbols import symbol_of
from common.errors import InvalidRequest, InvalidSymbol, StoreUnavailable
from common.store.connection.pool import acquire
from common.store.market import bars as store

DEFAULT_PAGE, LONGEST_PAGE = 100, 500

MOMENT = "a day or a time such as 2026-11-20T15:30:00Z"
Moment = Annotated[str, Meta(title=MOMENT, extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]})]

routes = web.RouteTableDef()


class HistoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when, and after which one; a day as `to` is a whole day."""

    since: Moment | UnsetType = field(name="from", default=UNSET)
    until: Moment | UnsetType = field(name="to", default=UNSET)
    after: Moment | UnsetType = UNSET
    limit: Annotated[int, Meta(title=f"a whole number from 1 to {LONGEST_PAGE}", ge=1, le=LONGEST_PAGE)] = DEFAULT_PAGE


class Collected(Struct, frozen=True):
    """A quote as it was collected."""

    fetched_at: Time
    price: float
    volume: int | None
    timestamp: date


class HistoryAnswer(Struct, frozen=True):
    """Oldest first; `next` is the following page's `after`, null on the last."""

    symbol: str
    quotes: list[Collected]
    next: Time | None


@routes.get("/api/stock/{symbol}/history")
@public
@documented(
    "The quotes of a symbol that were collected",
    query=HistoryQuery,
    answers={200: HistoryAnswer},
    errors=(InvalidSymbol, StoreUnavailable),
)
async def history(request: web.Request) -> web.Response:
    """The quotes that were collected, oldest first, a page at a time: ask again with `after` set to `next`.

    Of those older than a week the last of each hour and of each trading day is kept.
    """
    symbol = symbol_of(request)
    asked = requests.query(request, HistoryQuery)
    since, until, after = _moment("from", asked.since), _moment("to", asked.until), _moment("after", asked.after)
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
    """A day (its first moment; for `to` the next day's) or a time with its zone, from the query."""
    if text is UNSET:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text) + timedelta(days=1 if name == "to" else 0)
            return datetime.combine(day, clock_time(), UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name}: expected {MOMENT}, not {text[:40]!r}") from None
