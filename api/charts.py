"""A symbol's past over HTTP: daily bars for a chart, and the quotes that were collected.

Bars are kept in PostgreSQL and asked for again only when there can be something new; meanwhile the old ones are served at once.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Annotated, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from api import requests
from api.answers import Answer
from api.contract import WHILE_ASKING, Time, documented
from api.live import Wish
from api.middlewares import public
from api.requesters import requester_of
from api.state import LIVE, MEMORY, RESOURCES
from api.stocks import PREFER, STALE_FOR, wait_of
from common.core.chart import bars_due
from common.core.closes import LAG
from common.core.market_time import fresh_until
from common.core.models import Bar, Function
from common.errors import InvalidRequest, InvalidSymbol, StoreUnavailable, UnknownSymbol
from common.resources import Resources
from common.sessions import open_calendar
from common.store import bars as store
from common.store.pool import connection

DEFAULT_DAYS, MOST_DAYS = 30, 100
DEFAULT_PAGE, LONGEST_PAGE = 100, 500
LOOK_AGAIN = 60.0  # seconds that a chart is answered without a look at the database

MOMENT = "a day or a time such as 2026-11-20T15:30:00Z"
Moment = Annotated[str, Meta(title=MOMENT, extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]})]

routes = web.RouteTableDef()


class ChartQuery(Struct, frozen=True):
    """How much of a chart."""

    days: Annotated[int, Meta(title=f"a whole number from 1 to {MOST_DAYS}", ge=1, le=MOST_DAYS)] = DEFAULT_DAYS
    wait: requests.Wait | UnsetType = UNSET


class HistoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when, and after which one; a day as `to` is a whole day."""

    since: Moment | UnsetType = field(name="from", default=UNSET)
    until: Moment | UnsetType = field(name="to", default=UNSET)
    after: Moment | UnsetType = UNSET
    limit: Annotated[int, Meta(title=f"a whole number from 1 to {LONGEST_PAGE}", ge=1, le=LONGEST_PAGE)] = DEFAULT_PAGE


class BarAnswer(Struct, frozen=True):
    """One trading day, as traded."""

    date: date
    open: float
    high: float
    low: float
    close: float
    volume: int | None


class ChartAnswer(Struct, frozen=True):
    """Trading days, oldest first."""

    symbol: str
    data: list[BarAnswer]
    source: Literal["alphavantage", "simulated"]


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


@routes.get("/api/stock/{symbol}/chart")
@public
@documented(
    "The last trading days of a symbol",
    query=ChartQuery,
    headers=PREFER,
    answers={200: ChartAnswer},
    errors=(InvalidSymbol, UnknownSymbol, *WHILE_ASKING),
    cached=True,
)
async def chart(request: web.Request) -> web.Response:
    """The last trading days, oldest first."""
    symbol = requests.symbol_of(request)
    asked = requests.query(request, ChartQuery)
    days = asked.days
    resources, memory = request.app[RESOURCES], request.app[MEMORY]
    wait = wait_of(request, asked.wait)
    path = f"/api/stock/{symbol}/chart?days={days}"
    try:
        held, fetched_at = await _look(resources, symbol)
        if not held:
            held, fetched_at = await _obtain(request, await _wish(request, symbol, wait))
        elif _is_due(resources, fetched_at, held) and not await _refused(resources, symbol):
            request.app[LIVE].refresh(await _wish(request, symbol, wait))
    except StoreUnavailable:
        if (kept := memory.answers.last(path)) is None:
            raise
        return kept.respond(request)
    answer = memory.answers.keep(path, _answer(resources, symbol, held[-days:], fetched_at))
    if days == DEFAULT_DAYS:
        memory.answers.keep(f"/api/stock/{symbol}/chart", answer)
    return answer.respond(request)


Held = tuple[list[Bar], datetime | None]


async def _wish(request: web.Request, symbol: str, wait: float) -> Wish:
    return Wish(Function.DAILY, symbol, await requester_of(request), wait)


async def _look(resources: Resources, symbol: str) -> Held:
    source = resources.settings.source
    async with connection(resources.db) as held:
        bars = await store.select_bars(held, source, symbol, most=MOST_DAYS)
        return bars, await store.select_bars_fetched(held, source, symbol)


async def _refused(resources: Resources, symbol: str) -> bool:
    async with connection(resources.db) as held:
        return await store.select_bars_refused(held, resources.settings.source, symbol)


async def _obtain(request: web.Request, wish: Wish) -> Held:
    resources = request.app[RESOURCES]

    async def look() -> Held | None:
        found = await _look(resources, wish.subject)
        return found if found[0] else None

    async def unknown() -> bool:
        return await _refused(resources, wish.subject)

    return await request.app[LIVE].obtain(wish, look=look, unknown=unknown)


def _is_due(resources: Resources, fetched_at: datetime | None, held: Sequence[Bar]) -> bool:
    now, settings = datetime.now(UTC), resources.settings
    calendar = open_calendar(settings.market_hours, now)
    newest = held[-1].day if held else None
    return bars_due(calendar, settings.provider_data, fetched_at, now, settings.chart_ttl, newest=newest)


def _answer(resources: Resources, symbol: str, held: Sequence[Bar], fetched_at: datetime | None) -> Answer:
    settings, at = resources.settings, fetched_at or resources.started
    calendar = open_calendar(settings.market_hours, at)
    until = fresh_until(calendar, at, settings.chart_ttl, LAG[settings.provider_data]).timestamp()
    rows = [
        {
            "date": bar.day.isoformat(),
            "open": float(bar.open),
            "high": float(bar.high),
            "low": float(bar.low),
            "close": float(bar.close),
            "volume": bar.volume,
        }
        for bar in held
    ]
    body = json.dumps({"symbol": symbol, "data": rows, "source": settings.source}, separators=(",", ":")).encode()
    return Answer(body, at, until, int(STALE_FOR), time.time() + LOOK_AGAIN)


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
    symbol = requests.symbol_of(request)
    asked = requests.query(request, HistoryQuery)
    since, until, after = _moment("from", asked.since), _moment("to", asked.until), _moment("after", asked.after)
    if since is not None and until is not None and since > until:
        raise InvalidRequest("from: expected a time before `to`")
    resources = request.app[RESOURCES]
    async with connection(resources.db) as held:
        rows = await store.select_history(
            held, resources.settings.source, symbol, since=since, until=until, after=after, most=asked.limit
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
