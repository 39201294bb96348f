"""Quotes over HTTP: at once whatever is known, live only for a symbol without any quote."""

import hashlib
import json
from datetime import UTC, datetime

from aiohttp import web

from api import requests
from api.answers import Answer
from api.memory import Memory
from api.middlewares import public
from api.state import MEMORY, QUOTES, READS, RESOURCES
from common.core.freshness import Freshness, judge, shape
from common.core.models import Quote
from common.core.symbols import normalize_symbol
from common.resources import Resources
from common.sessions import open_calendar
from common.store import symbols
from common.store.pool import connection

LONGEST_WAIT = 20.0  # seconds
STALE_FOR = 5.0  # seconds that a cache may keep a stale quote: nearly every quote is past a minute at 5 calls a minute
MOST_SYMBOLS = 100

routes = web.RouteTableDef()


@routes.get("/api/stock/{symbol}")
@public
async def stock(request: web.Request) -> web.Response:
    symbol = normalize_symbol(request.match_info["symbol"])
    resources, memory, quotes = request.app[RESOURCES], request.app[MEMORY], request.app[QUOTES]
    wait = requests.seconds(request, "wait", resources.settings.miss_wait.total_seconds(), most=LONGEST_WAIT)
    quote = await quotes.lookup(symbol) or await quotes.obtain(symbol, wait=wait, asker=asker(request))
    request.app[READS].count(symbol, by=request.remote or "")
    answer = answer_quote(quote, resources, memory)
    memory.answers.keep(f"/api/stock/{symbol}", answer)
    return answer.respond(request)


@routes.get("/api/stocks")
@public
async def stocks(request: web.Request) -> web.Response:
    """Many quotes from cache in one answer; what has none is named, with the reason."""
    wanted = requests.symbols(request, most=MOST_SYMBOLS)
    resources, memory = request.app[RESOURCES], request.app[MEMORY]
    found = await request.app[QUOTES].lookup_all(wanted)
    for symbol in found:
        request.app[READS].count(symbol, by=request.remote or "")
    lacking = [symbol for symbol in wanted if symbol not in found]
    unknown = await _unknown(resources, lacking) if lacking else set()
    body = {
        "quotes": [
            shape(found[symbol], judge_now(found[symbol], resources, memory)) for symbol in wanted if symbol in found
        ],
        "missing": [
            {"symbol": symbol, "reason": "unknown_symbol" if symbol in unknown else "no_quote"} for symbol in lacking
        ],
    }
    return web.json_response(body, headers={"Cache-Control": f"public, max-age={int(STALE_FOR)}"})


async def _unknown(resources: Resources, lacking: list[str]) -> set[str]:
    async with connection(resources.db) as held:
        return await symbols.select_unknown_among(held, resources.ask.account, lacking)


def asker(request: web.Request) -> str:
    """Who asks, as a hash: it is written beside the call that was made for them."""
    return hashlib.sha256(f"address {request.remote}".encode()).hexdigest()[:16]


def judge_now(quote: Quote, resources: Resources, memory: Memory) -> Freshness:
    """How a quote stands at this moment."""
    now = datetime.now(UTC)
    settings = resources.settings
    calendar = open_calendar(settings.market_hours, now)
    return judge(quote, calendar, now, ttl=settings.quote_ttl, policy=resources.policy, outlook=memory.outlook)


def answer_quote(quote: Quote, resources: Resources, memory: Memory) -> Answer:
    """The answer for one quote, as it may be kept: a fresh one until it is stale, a stale one until its estimate is old."""
    freshness = judge_now(quote, resources, memory)
    now = datetime.now(UTC).timestamp()
    pace = min(STALE_FOR, max(1.0, resources.policy.gap.total_seconds()))
    return Answer(
        body=json.dumps(shape(quote, freshness), separators=(",", ":")).encode(),
        modified=quote.fetched_at,
        fresh_until=freshness.until.timestamp(),
        stale_for=int(pace),
        good_until=now + pace if freshness.stale else freshness.until.timestamp(),
        symbol=quote.symbol,
    )
