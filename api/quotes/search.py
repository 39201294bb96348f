"""Search over HTTP. The listing answers, so typing costs no call; the provider is asked only without a strong match there."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from api.accounts.requesters import requester_of
from api.http.answers import Answer
from api.http.contract import MISS_ERRORS, documented
from api.http.keys import RESOURCES
from api.http.middlewares import read
from api.quotes.listing import LISTING
from api.quotes.memory import MEMORY
from api.quotes.misses import MISSES, FetchRequest
from api.quotes.stocks import STALE_FOR
from common.core.models import Function, Match
from common.core.search.names import readable
from common.core.search.ranking import STRONG, merge, normalize_query
from common.errors import InvalidRequest, NotNow, StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market import searches
from common.store.market.searches import Search

ANSWER_TTL = 60.0  # seconds; a new listing may come
WEAK_ANSWER_TTL = 5.0  # seconds, while the provider has not answered
WEAK_WAIT = timedelta(seconds=2)  # for the provider, if the listing has weak matches to show

routes = web.RouteTableDef()


class MatchAnswer(Struct, frozen=True):
    """A symbol that matches."""

    symbol: str
    name: str
    type: str
    region: str
    currency: str


Matches = Annotated[list[MatchAnswer], Meta(max_length=10)]


@routes.get("/api/search/{query}")
@read
@documented(
    "Symbols by their letters or their company's name",
    answers={200: Matches},
    errors=(InvalidRequest, *MISS_ERRORS),
    cached=True,
)
async def search(request: web.Request) -> web.Response:
    """Spellings that mean the same get the same answer: `apple` and ` APPLE`."""
    query = normalize_query(request.match_info["query"])
    answers = request.app[MEMORY].answers
    question = f"search {query}"  # and not the path, which has any number of spellings
    answer = answers.find(question, time.time())
    if answer is None:
        try:
            answer = answers.keep(question, await _search(request, query))
        except StoreUnavailable:
            answer = answers.last(question)
            if answer is None:
                raise
    return answer.respond(request)


async def _search(request: web.Request, query: str) -> Answer:
    """The listing's answer, or the provider's where the listing has no strong match."""
    resources, listing = request.app[RESOURCES], request.app[LISTING]
    local = listing.index.find(query)
    if any(match.score >= STRONG for match in local):
        return _answer(local, listing.refreshed_at, resources)
    if local:
        return await _widen(request, query, local)
    found = await _search_provider(request, query, resources.settings.miss_wait)
    return _answer(found.matches, found.found_at, resources)


async def _widen(request: web.Request, query: str, local: Sequence[Match]) -> Answer:
    """Weak matches (misspelt words, parts of words) merged with the provider's; alone, and kept briefly, if it does not answer in time."""
    resources = request.app[RESOURCES]
    try:
        found = await _search_provider(request, query, min(WEAK_WAIT, resources.settings.miss_wait))
    except NotNow:
        return _answer(local, request.app[LISTING].refreshed_at, resources, ttl=WEAK_ANSWER_TTL)
    return _answer(merge(query, local, found.matches), found.found_at, resources)


async def _search_provider(request: web.Request, query: str, wait: timedelta) -> Search:
    """The provider's answer to this query. An old answer is served at once while a new one is fetched."""
    resources, misses = request.app[RESOURCES], request.app[MISSES]
    found = await _look(resources, query)
    if found is not None and found.found_at + resources.settings.search_ttl >= datetime.now(UTC):
        return found
    fetch = FetchRequest(Function.SEARCH, query, await requester_of(request), wait.total_seconds())
    if found is None:
        return await misses.obtain(fetch, look=partial(_look, resources, query), unknown=_never_unknown)
    misses.refresh(fetch)
    return found


async def _look(resources: Resources, query: str) -> Search | None:
    async with acquire(resources.db) as connection:
        return await searches.select_search(connection, resources.settings.source, query)


async def _never_unknown() -> bool:
    """A search without matches is an answer, too."""
    return False


def _answer(matches: Sequence[Match], at: datetime | None, resources: Resources, *, ttl: float = ANSWER_TTL) -> Answer:
    rows = [
        {
            "symbol": match.symbol,
            "name": readable(match.name),
            "type": match.type,
            "region": match.region,
            "currency": match.currency,
        }
        for match in matches[:10]
    ]
    now = time.time()
    good_until = now + min(resources.settings.search_ttl.total_seconds(), ttl)
    body = json.dumps(rows, separators=(",", ":")).encode()
    return Answer(body, at or resources.started, good_until, int(STALE_FOR), good_until)
