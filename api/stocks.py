"""Quotes over HTTP: at once whatever is known, live only for a symbol without any quote."""

import hashlib
from datetime import UTC, datetime

from aiohttp import web

from api import requests
from api.middlewares import public
from api.state import QUOTES, READS, RESOURCES
from common.core.freshness import judge, shape
from common.core.models import Quote
from common.core.symbols import normalize_symbol
from common.sessions import open_calendar
from common.settings import Settings

LONGEST_WAIT = 20.0  # seconds

routes = web.RouteTableDef()


@routes.get("/api/stock/{symbol}")
@public
async def stock(request: web.Request) -> web.Response:
    symbol = normalize_symbol(request.match_info["symbol"])
    settings = request.app[RESOURCES].settings
    wait = requests.seconds(request, "wait", settings.miss_wait.total_seconds(), most=LONGEST_WAIT)
    quotes = request.app[QUOTES]
    quote = await quotes.lookup(symbol) or await quotes.obtain(symbol, wait=wait, asker=asker(request))
    request.app[READS].count(symbol, by=request.remote or "")
    return web.json_response(shape_now(quote, settings))


def asker(request: web.Request) -> str:
    """Who asks, as a hash: it is written beside the call that was made for them."""
    return hashlib.sha256(f"address {request.remote}".encode()).hexdigest()[:16]


def shape_now(quote: Quote, settings: Settings) -> dict[str, object]:
    """A quote as it stands at this moment."""
    now = datetime.now(UTC)
    calendar = open_calendar(settings.market_hours, now)
    return shape(quote, judge(quote, calendar, now, ttl=settings.quote_ttl, data=settings.provider_data))
