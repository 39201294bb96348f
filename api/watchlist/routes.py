"""A user's watchlist over HTTP. Adding a symbol without a quote queues it and wakes a worker."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from api.accounts.credentials import Account, shape
from api.accounts.requesters import requester_of
from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import CALLER, QUEUE, REQUEST_ID, RESOURCES
from api.http.middlewares import readable
from api.quotes.listing import LISTING
from api.quotes.lookup import QUOTES
from api.quotes.stocks import Missing, QuoteAnswer, quotes_of
from api.quotes.symbols import Symbol, normalize, symbol_of
from common.core.budget.shares import misses_a_minute
from common.core.models import CallClass, Function
from common.core.symbols import stored_as, stored_spellings
from common.errors import (
    AlreadyOnWatchlist,
    InvalidRequest,
    InvalidSymbol,
    InvalidToken,
    NotOnWatchlist,
    StoreUnavailable,
    UnknownSymbol,
    WatchlistFull,
)
from common.operations.types import Time
from common.process.broker import wake_worker
from common.process.resources import Resources
from common.store.accounts import users, watchlists
from common.store.budget import queue
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market import symbols

MAX_WATCHLIST = 10_000  # symbols; a setting says how many a list may hold
FILE = {"Content-Disposition": 'attachment; filename="quotewell-watchlist.json"'}

routes = web.RouteTableDef()


class ListQuery(Struct, frozen=True):
    """What to include beside the symbols."""

    include: (
        Annotated[Literal["quotes"], Meta(title="quotes, or nothing", extra_json_schema={"type": "string"})] | UnsetType
    ) = UNSET


class Addition(Struct, frozen=True):
    """The symbol to add."""

    symbol: Annotated[Symbol, Meta(min_length=1)]


class Arrangement(Struct, frozen=True, forbid_unknown_fields=True):
    """All symbols of the list, in their new order."""

    watchlist: Annotated[list[Symbol], Meta(title="every symbol of the list, once", max_length=MAX_WATCHLIST)]


class WatchlistAnswer(Struct, frozen=True):
    """The caller's symbols. With `include=quotes` each is in `quotes` or in `missing`."""

    watchlist: list[str]
    count: int
    quotes: list[QuoteAnswer] | UnsetType = UNSET
    missing: list[Missing] | UnsetType = UNSET


class Item(Struct, frozen=True):
    """A symbol, and when it was added."""

    symbol: str
    added_at: Time


class ExportAnswer(Struct, frozen=True):
    """The data that is stored about the caller."""

    exported_at: Time
    user: Account
    watchlist: list[Item]


class AddedAnswer(Struct, frozen=True):
    """`verified`: the symbol has a quote already, or is in the provider's listing."""

    message: str
    symbol: str
    verified: bool


class RemovedAnswer(Struct, frozen=True):
    """`symbol` as the provider spells it."""

    message: str
    symbol: str


@routes.get("/api/watchlist")
@readable
@documented("The caller's symbols", query=ListQuery, answers={200: WatchlistAnswer}, errors=(StoreUnavailable,))
async def show(request: web.Request) -> web.Response:
    """In the user's order; later additions come last. `include=quotes` adds their quotes, from cache."""
    include = requests.query(request, ListQuery).include
    async with acquire(request.app[RESOURCES].db) as connection:
        items = await watchlists.select_items(connection, request[CALLER].id)
    quotes = await quotes_of(request, items) if include is not UNSET else {}
    return web.json_response({"watchlist": items, "count": len(items), **quotes}, headers=NO_STORE)


@routes.post("/api/watchlist")
@documented(
    "Add a symbol to the watchlist",
    body=Addition,
    answers={201: AddedAnswer},
    errors=(InvalidSymbol, UnknownSymbol, AlreadyOnWatchlist, WatchlistFull, StoreUnavailable),
)
async def add(request: web.Request) -> web.Response:
    symbol = normalize(request, (await requests.read(request, Addition)).symbol)
    resources = request.app[RESOURCES]
    known = await request.app[QUOTES].lookup(symbol)
    async with transaction(resources.db) as connection:
        if known is None:
            await _enqueue(connection, resources, symbol, (await requester_of(request)).name)
        await watchlists.insert_item(connection, request[CALLER].id, symbol, most=resources.settings.max_watchlist_size)
    if known is None:
        await wake_worker(request.app[QUEUE], request_id=request[REQUEST_ID])
    verified = known is not None or request.app[LISTING].index.has(symbol)
    body = {"message": f"{symbol} was added", "symbol": symbol, "verified": verified}
    return web.json_response(body, status=201, headers=NO_STORE)


async def _enqueue(connection: Connection, resources: Resources, symbol: str, by: str) -> None:
    """Queue a symbol without a quote; raise `UnknownSymbol` if the provider is known not to have it.

    Call it before the watchlist is changed: the ledger's lock is taken before rows are. `enqueue` may queue nothing, because the queue is
    full or the requester has queued many in the last minute; then background fetches the symbol. It also looks again whether a quote has
    come since the lookup, which was outside this transaction.
    """
    if await symbols.select_unknown(connection, resources.budget, symbol):
        raise UnknownSymbol(f"the provider does not have {symbol}")
    most = misses_a_minute(resources.budget.limits)
    await queue.enqueue(
        connection,
        resources.budget,
        Function.QUOTE,
        [symbol],
        CallClass.USER,
        ttl=queue.ADDED_TTL,
        requester=by,
        most=most,
    )


@routes.delete("/api/watchlist/{symbol}")
@documented(
    "Remove a symbol from the watchlist",
    answers={200: RemovedAnswer},
    errors=(InvalidSymbol, NotOnWatchlist, StoreUnavailable),
)
async def remove(request: web.Request) -> web.Response:
    """Under any spelling in which it may have been added."""
    symbol = symbol_of(request)
    user = request[CALLER].id
    stored = stored_spellings(request.match_info["symbol"], request.app[LISTING].known)
    async with acquire(request.app[RESOURCES].db) as connection:
        for spelt in stored:
            if await watchlists.delete_item(connection, user, spelt):
                break
        else:
            raise NotOnWatchlist(f"{symbol} is not on the watchlist")
    return web.json_response({"message": f"{symbol} was removed", "symbol": symbol}, headers=NO_STORE)


@routes.put("/api/watchlist")
@documented(
    "Put the watchlist in order",
    body=Arrangement,
    answers={200: WatchlistAnswer},
    errors=(InvalidSymbol, StoreUnavailable),
)
async def arrange(request: web.Request) -> web.Response:
    """It adds and removes nothing. Later additions come last."""
    given = (await requests.read(request, Arrangement)).watchlist
    known = request.app[LISTING].known
    user = request[CALLER].id
    async with transaction(request.app[RESOURCES].db) as connection:
        await watchlists.lock_list(connection, user)
        stored = set(await watchlists.select_items(connection, user))
        wanted = [stored_as(symbol, stored, known) for symbol in given]
        wrong = await watchlists.update_order(connection, user, wanted)
    if wrong:
        shown = f"{', '.join(wrong[:5])}{', ...' if len(wrong) > 5 else ''}"
        raise InvalidRequest(f"watchlist: expected every symbol of the list, once; not so: {shown}")
    return web.json_response({"watchlist": wanted, "count": len(wanted)}, headers=NO_STORE)


@routes.get("/api/watchlist/export")
@documented(
    "The caller's list, to keep", query=requests.NoQuery, answers={200: ExportAnswer}, errors=(StoreUnavailable,)
)
async def export(request: web.Request) -> web.Response:
    """As a file: the account, and when each symbol was added."""
    requests.query(request, requests.NoQuery)
    caller = request[CALLER].id
    async with acquire(request.app[RESOURCES].db) as connection:
        user = await users.select_user(connection, caller)
        lists = await watchlists.select_lists(connection, {(caller, None)})
    if user is None or caller not in lists:
        raise InvalidToken("the account of this token does not exist")
    body = {
        "exported_at": datetime.now(UTC).isoformat(),
        "user": shape(user),
        "watchlist": [{"symbol": symbol, "added_at": at.isoformat()} for symbol, at in lists[caller].added.items()],
    }
    return web.json_response(body, headers=NO_STORE | FILE)
