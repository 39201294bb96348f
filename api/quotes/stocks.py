"""Quotes over HTTP: a known quote is answered at once; the provider is asked only for a symbol without any quote."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Literal

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from api.accounts.requesters import reader_of, requester_of
from api.http import requests
from api.http.answers import Answer
from api.http.contract import MISS_ERRORS, documented
from api.http.keys import RESOURCES
from api.http.middlewares import read
from api.quotes.lookup import QUOTES
from api.quotes.memory import MEMORY, Memory
from api.quotes.reads import READS
from api.quotes.symbols import SymbolsQuery, symbol_of
from common.core.models import Quote
from common.core.quotes.freshness import Freshness, judge, shape
from common.core.quotes.outlook import Reason
from common.errors import InvalidSymbol, StoreUnavailable, UnknownSymbol
from common.market_calendar import open_calendar
from common.operations.types import Time
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market import symbols

STALE_FOR = 5.0  # seconds that a cache may keep a stale quote; at 5 calls a minute nearly every quote is stale
PREFERRED = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?![^,;\s])", re.I)
PREFER = {"Prefer": "`wait=` whole seconds, as the query's `wait`; larger values count as the largest."}

routes = web.RouteTableDef()


class StockQuery(Struct, frozen=True):
    """How long to wait for a first quote."""

    wait: requests.Wait | UnsetType = UNSET


class QuoteAnswer(Struct, frozen=True):
    """A quote. Past `fresh_until` it is stale and has a reason and the expected time of its refresh; null if the symbol is not tracked, or
    if nobody knows when calls resume."""

    symbol: str
    price: float
    change: float | None
    change_percent: str | None
    volume: int | None
    timestamp: date
    open: float | None
    high: float | None
    low: float | None
    previous_close: float | None
    fetched_at: Time
    fresh_until: Time
    stale: bool
    source: Literal["alphavantage", "simulated"]
    reason: Reason | UnsetType = UNSET
    next_refresh_at: Time | UnsetType | None = UNSET


class Missing(Struct, frozen=True):
    """A symbol without a quote, and why."""

    symbol: str
    reason: Literal["unknown_symbol", "no_quote"]


class StocksAnswer(Struct, frozen=True):
    """Every symbol is in one of the two lists."""

    quotes: list[QuoteAnswer]
    missing: list[Missing]


@routes.get("/api/stock/{symbol}")
@read
@documented(
    "The quote of a symbol",
    query=StockQuery,
    headers=PREFER,
    answers={200: QuoteAnswer},
    errors=(InvalidSymbol, UnknownSymbol, *MISS_ERRORS),
    cached=True,
)
async def stock(request: web.Request) -> web.Response:
    symbol = symbol_of(request)
    resources, memory, quotes = request.app[RESOURCES], request.app[MEMORY], request.app[QUOTES]
    wait = wait_of(request, requests.query(request, StockQuery).wait)
    quote = await quotes.lookup(symbol)
    if quote is None:
        quote = await quotes.obtain(symbol, wait=wait, by=await requester_of(request))
    request.app[READS].count(symbol, by=reader_of(request))
    answer = answer_quote(quote, resources, memory)
    memory.answers.keep(f"/api/stock/{symbol}", answer)
    return answer.respond(request)


@routes.get("/api/stocks")
@read
@documented(
    "Quotes of many symbols, from cache",
    query=SymbolsQuery,
    answers={200: StocksAnswer},
    errors=(InvalidSymbol, StoreUnavailable),
)
async def stocks(request: web.Request) -> web.Response:
    """Many quotes from cache in one answer. Symbols without a quote are listed with the reason."""
    wanted = requests.query(request, SymbolsQuery).wanted(request)
    body = await quotes_of(request, wanted)
    return web.json_response(body, headers={"Cache-Control": f"public, max-age={int(STALE_FOR)}"})


async def quotes_of(request: web.Request, wanted: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    """The body of a `StocksAnswer`, in the order of `wanted`."""
    resources, memory = request.app[RESOURCES], request.app[MEMORY]
    found = await request.app[QUOTES].lookup_all(wanted)
    for symbol in found:
        request.app[READS].count(symbol, by=reader_of(request))
    lacking = [symbol for symbol in wanted if symbol not in found]
    unknown = await _unknown(resources, lacking) if lacking else set()
    return {
        "quotes": [
            shape(found[symbol], judge_now(found[symbol], resources, memory)) for symbol in wanted if symbol in found
        ],
        "missing": [
            {"symbol": symbol, "reason": "unknown_symbol" if symbol in unknown else "no_quote"} for symbol in lacking
        ],
    }


async def _unknown(resources: Resources, lacking: list[str]) -> set[str]:
    """Those that the provider is known not to have; none without the database, so that the other quotes are served."""
    try:
        async with acquire(resources.db) as connection:
            return await symbols.select_unknown_among(connection, resources.budget, lacking)
    except StoreUnavailable:
        return set()


def wait_of(request: web.Request, asked: float | UnsetType) -> float:
    """Seconds to wait for the provider: from the query, else from `Prefer: wait=` (RFC 7240, whole seconds), else from the settings."""
    if asked is not UNSET:
        return asked
    preferred = PREFERRED.search(request.headers.get("Prefer", ""))
    if preferred is not None:
        return min(float(preferred[1]), requests.MAX_WAIT)
    return request.app[RESOURCES].settings.miss_wait.total_seconds()


def judge_now(quote: Quote, resources: Resources, memory: Memory) -> Freshness:
    """The freshness of a quote at this moment."""
    now = datetime.now(UTC)
    settings = resources.settings
    calendar = open_calendar(settings.market_hours, now)
    return judge(quote, calendar, now, ttl=settings.quote_ttl, policy=resources.policy, outlook=memory.outlook)


def answer_quote(quote: Quote, resources: Resources, memory: Memory) -> Answer:
    """The answer for one quote. A fresh one is kept until it is stale, a stale one until its estimate is old."""
    freshness = judge_now(quote, resources, memory)
    now = datetime.now(UTC).timestamp()
    pace = pace_of(resources)
    body, vouched = encode([shape(quote, freshness)])
    return Answer(
        body=body[1:-1],
        modified=quote.fetched_at,
        fresh_until=freshness.until.timestamp(),
        stale_for=int(pace),
        good_until=now + pace if freshness.stale else freshness.until.timestamp(),
        symbol=quote.symbol,
        vouched=vouched,
    )


def pace_of(resources: Resources) -> float:
    """Seconds that a stale answer may be kept: a newer quote cannot come sooner."""
    return min(STALE_FOR, max(1.0, resources.policy.gap.total_seconds()))


def encode(shapes: Sequence[dict[str, object]]) -> tuple[bytes, bytes | None]:
    """A list of quotes as JSON, and the same with each `next_refresh_at` replaced by whether there is one, for the validator.

    The second is None if no quote has an estimate.
    """
    body = json.dumps(shapes, separators=(",", ":")).encode()
    if not any(shaped.get("next_refresh_at") for shaped in shapes):
        return body, None
    vouched = [shaped | {"next_refresh_at": bool(shaped.get("next_refresh_at"))} for shaped in shapes]
    return body, json.dumps(vouched, separators=(",", ":")).encode()
