"""The market overview: quotes of the pinned symbols. It makes no call and has no cache of its own."""

import time

from aiohttp import web

from api.http.answers import Answer
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import read
from api.quotes.lookup import QUOTES
from api.quotes.memory import MEMORY, OVERVIEW
from api.quotes.stocks import STALE_FOR, QuoteAnswer, encode, judge_now
from common.core.quotes.freshness import shape
from common.errors import StoreUnavailable

ANSWER_TTL = 1.0  # seconds; short, because its quotes become stale meanwhile

routes = web.RouteTableDef()


@routes.get(OVERVIEW)
@read
@documented(
    "Quotes of the best-known symbols", answers={200: list[QuoteAnswer]}, errors=(StoreUnavailable,), cached=True
)
async def overview(request: web.Request) -> web.Response:
    """A list in the order of the setting. Symbols without a quote are left out."""
    resources, memory = request.app[RESOURCES], request.app[MEMORY]
    wanted = resources.settings.overview_symbols
    found = await request.app[QUOTES].lookup_all(wanted)
    quotes = [found[symbol] for symbol in wanted if symbol in found]
    judged = [(quote, judge_now(quote, resources, memory)) for quote in quotes]
    now = time.time()
    body, vouched = encode([shape(quote, freshness) for quote, freshness in judged])
    answer = Answer(
        body=body,
        modified=max((quote.fetched_at for quote in quotes), default=resources.started),
        fresh_until=min((freshness.until.timestamp() for _, freshness in judged), default=now),
        stale_for=int(STALE_FOR),
        good_until=now + ANSWER_TTL,
        vouched=vouched,
    )
    return memory.answers.keep(OVERVIEW, answer).respond(request)
