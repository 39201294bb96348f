"""A symbol's daily bars over HTTP: the provider's, with the quote as today's close (common/core/quotes/chart.py).

Bars are kept in PostgreSQL and fetched again only when there can be newer ones. Until they come the old ones are served at once.
"""

import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from api.accounts.requesters import requester_of
from api.http import requests
from api.http.answers import Answer
from api.http.contract import MISS_ERRORS, documented
from api.http.keys import RESOURCES
from api.http.middlewares import read
from api.quotes.chart_memory import RECHECK_INTERVAL
from api.quotes.lookup import QUOTES
from api.quotes.memory import MEMORY, Memory
from api.quotes.misses import MISSES, FetchRequest
from api.quotes.stocks import PREFER, judge_now, pace_of, wait_of
from api.quotes.symbols import symbol_of
from common.core.calendar.closes import LAG
from common.core.models import Bar, Function, Quote
from common.core.quotes.chart import Chart, Due, View, chart_due, judge_chart, reconcile
from common.core.quotes.freshness import Freshness, time_of
from common.core.quotes.outlook import Reason
from common.errors import InvalidSymbol, StoreUnavailable, UnknownSymbol
from common.market_calendar import open_calendar
from common.operations.types import Time
from common.process.resources import Resources
from common.store.budget.queue import QUEUE_TTL
from common.store.connection.pool import acquire
from common.store.market import bars as store

DEFAULT_DAYS, MOST_DAYS = 30, 100
OVERNIGHT = timedelta(days=1)  # how long a refresh stays queued if a closed day is missing

routes = web.RouteTableDef()


class ChartQuery(Struct, frozen=True):
    """How much of a chart."""

    days: Annotated[int, Meta(title=f"a whole number from 1 to {MOST_DAYS}", ge=1, le=MOST_DAYS)] = DEFAULT_DAYS
    wait: requests.Wait | UnsetType = UNSET


class BarAnswer(Struct, frozen=True):
    """One trading day, as traded; `partial`: the day was not over, or its closing price not yet published, when it was fetched."""

    date: date
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    partial: bool


class ChartAnswer(Struct, frozen=True):
    """Trading days, oldest first. Past `fresh_until` the chart is stale and has a reason and an estimate of its refresh.

    `fetched_at`: when the provider sent the bars. A newer quote overrides the newest bar.
    """

    symbol: str
    data: list[BarAnswer]
    source: Literal["alphavantage", "simulated"]
    fetched_at: Time
    fresh_until: Time
    stale: bool
    reason: Reason | UnsetType = UNSET
    next_refresh_at: Time | UnsetType | None = UNSET


@routes.get("/api/stock/{symbol}/chart")
@read
@documented(
    "The last trading days of a symbol",
    query=ChartQuery,
    headers=PREFER,
    answers={200: ChartAnswer},
    errors=(InvalidSymbol, UnknownSymbol, *MISS_ERRORS),
    cached=True,
)
async def chart(request: web.Request) -> web.Response:
    """The last trading days, oldest first."""
    symbol = symbol_of(request)
    asked = requests.query(request, ChartQuery)
    resources, memory = request.app[RESOURCES], request.app[MEMORY]
    found = memory.charts.recall(symbol)
    is_new_here = found is None
    if found is None:
        found = await _look_up(request, symbol, wait_of(request, asked.wait))
    quote = await request.app[QUOTES].lookup_beside(symbol)
    if is_new_here:
        await _queue_refresh(resources, found, quote)
    answer = answer_chart(found, quote, resources, memory, days=asked.days)
    paths = [f"/api/stock/{symbol}/chart?days={asked.days}"]
    if asked.days == DEFAULT_DAYS:
        paths.append(f"/api/stock/{symbol}/chart")
    for path in paths:
        memory.charts.keep_answer(symbol, path, answer)
    return answer.respond(request)


async def _look_up(request: web.Request, symbol: str, wait: float) -> Chart:
    """The stored chart, or else one fetched from the provider. Without the database, the chart in memory."""
    charts = request.app[MEMORY].charts
    try:
        found = await _look(request.app[RESOURCES], symbol) or await _obtain(request, symbol, wait)
    except StoreUnavailable:
        if (last := charts.last(symbol)) is None:
            raise
        return last
    charts.remember(found)
    return found


async def _look(resources: Resources, symbol: str) -> Chart | None:
    source = resources.settings.source
    async with acquire(resources.db) as connection:
        # The time first: if a fetch comes between the two, the bars are newer than the time says, never older.
        fetched_at = await store.select_bars_fetched(connection, source, symbol)
        bars = await store.select_bars(connection, source, symbol, most=MOST_DAYS)
    return Chart(symbol, source, tuple(bars), fetched_at) if bars and fetched_at is not None else None


async def _obtain(request: web.Request, symbol: str, wait: float) -> Chart:
    resources = request.app[RESOURCES]
    fetch = FetchRequest(Function.DAILY, symbol, await requester_of(request), wait)
    look, unknown = partial(_look, resources, symbol), partial(_is_unknown, resources, symbol)
    return await request.app[MISSES].obtain(fetch, look=look, unknown=unknown)


async def _is_unknown(resources: Resources, symbol: str) -> bool:
    async with acquire(resources.db) as connection:
        return await store.select_bars_refused(connection, resources.settings.source, symbol)


async def _queue_refresh(resources: Resources, found: Chart, quote: Quote | None) -> None:
    """Queue a refresh of the bars if there can be newer ones. Nobody waits for it; quotes go first. Without the database, do nothing."""
    now, settings = datetime.now(UTC), resources.settings
    calendar = open_calendar(settings.market_hours, now)
    view = reconcile(found, quote, calendar, LAG[settings.provider_data])
    due = chart_due(found, view, calendar, now, data=settings.provider_data, ttl=settings.chart_ttl)
    if due is None:
        return
    try:
        async with acquire(resources.db) as connection:
            if not await store.select_bars_refused(connection, found.source, found.symbol):
                closed_day = due is Due.CLOSED_DAY
                ttl = OVERNIGHT if closed_day else QUEUE_TTL
                await store.insert_refresh(connection, found.symbol, closed_day=closed_day, ttl=ttl)
    except StoreUnavailable:
        return


def answer_chart(found: Chart, quote: Quote | None, resources: Resources, memory: Memory, *, days: int) -> Answer:
    """The answer for one chart. It is kept until a newer quote comes; a fresh one until it is stale, a stale one until its estimate is
    old. Caches keep a chart whose newest bar may still move no longer than a quote."""
    now, settings = datetime.now(UTC), resources.settings
    calendar = open_calendar(settings.market_hours, now)
    view = reconcile(found, quote, calendar, LAG[settings.provider_data])
    freshness = judge_chart(
        found,
        view,
        None if quote is None else judge_now(quote, resources, memory),
        calendar,
        now,
        data=settings.provider_data,
        ttl=settings.chart_ttl,
        outlook=memory.outlook,
    )
    pace = pace_of(resources)
    moves = view.bars[-1].day in view.partial
    cached_until = min(freshness.until, view.as_of + settings.quote_ttl) if moves else freshness.until
    good_until = now.timestamp() + pace if freshness.stale else freshness.until.timestamp()
    return Answer(
        body=json.dumps(_shape(found, view, freshness, days), separators=(",", ":")).encode(),
        modified=view.as_of,
        fresh_until=cached_until.timestamp(),
        stale_for=int(pace),
        good_until=min(good_until, now.timestamp() + RECHECK_INTERVAL),
    )


def _shape(found: Chart, view: View, freshness: Freshness, days: int) -> dict[str, object]:
    body: dict[str, object] = {
        "symbol": found.symbol,
        "data": [_shape_bar(bar, partial=bar.day in view.partial) for bar in view.bars[-days:]],
        "source": found.source,
        "fetched_at": time_of(found.fetched_at),
        "fresh_until": time_of(freshness.until),
        "stale": freshness.stale,
    }
    if freshness.stale:
        expected = freshness.next_refresh
        body |= {"reason": freshness.reason, "next_refresh_at": None if expected is None else time_of(expected)}
    return body


def _shape_bar(bar: Bar, *, partial: bool) -> dict[str, object]:
    return {
        "date": bar.day.isoformat(),
        "open": float(bar.open),
        "high": float(bar.high),
        "low": float(bar.low),
        "close": float(bar.close),
        "volume": bar.volume,
        "partial": partial,
    }
