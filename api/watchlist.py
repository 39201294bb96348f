"""A user's watchlist over HTTP. Adding a symbol that has no quote yet puts it in the line and wakes a worker."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from api import requests
from api.contract import documented
from api.state import CALLER, QUEUE, QUOTES, REQUEST_ID, RESOURCES
from common.core.models import Function, Purpose
from common.core.symbols import normalize_symbol
from common.errors import (
    AlreadyOnWatchlist,
    InvalidSymbol,
    NotOnWatchlist,
    StoreUnavailable,
    UnknownSymbol,
    WatchlistFull,
)
from common.queue import wake_worker
from common.resources import Resources
from common.store import line, symbols, watchlists
from common.store.pool import Connection, connection, transaction

NO_STORE = {"Cache-Control": "no-store"}

routes = web.RouteTableDef()


class Addition(Struct, frozen=True):
    """What to add."""

    symbol: Annotated[requests.Symbol, Meta(min_length=1)]


class WatchlistAnswer(Struct, frozen=True):
    """The caller's symbols."""

    watchlist: list[str]
    count: int


class AddedAnswer(Struct, frozen=True):
    """`verified`: the symbol has a quote already."""

    message: str
    symbol: str
    verified: bool


class RemovedAnswer(Struct, frozen=True):
    """`symbol` as the provider spells it."""

    message: str
    symbol: str


@routes.get("/api/watchlist")
@documented("The caller's symbols", answers={200: WatchlistAnswer}, errors=(StoreUnavailable,))
async def show(request: web.Request) -> web.Response:
    async with connection(request.app[RESOURCES].db) as held:
        items = await watchlists.select_items(held, request[CALLER].id)
    return web.json_response({"watchlist": items, "count": len(items)}, headers=NO_STORE)


@routes.post("/api/watchlist")
@documented(
    "Add a symbol to the watchlist",
    body=Addition,
    answers={201: AddedAnswer},
    errors=(InvalidSymbol, UnknownSymbol, AlreadyOnWatchlist, WatchlistFull, StoreUnavailable),
)
async def add(request: web.Request) -> web.Response:
    symbol = normalize_symbol((await requests.read(request, Addition)).symbol)
    resources = request.app[RESOURCES]
    known = await request.app[QUOTES].lookup(symbol)
    async with transaction(resources.db) as held:
        if known is None:
            await _ask_for(held, resources, symbol)
        await watchlists.insert_item(held, request[CALLER].id, symbol, most=resources.settings.max_watchlist_size)
    if known is None:
        await wake_worker(request.app[QUEUE], request_id=request[REQUEST_ID])
    body = {"message": f"{symbol} was added", "symbol": symbol, "verified": known is not None}
    return web.json_response(body, status=201, headers=NO_STORE)


async def _ask_for(held: Connection, resources: Resources, symbol: str) -> None:
    """Put a symbol without a quote in the line, unless the provider is known not to have it. First: its lock comes before rows."""
    if await symbols.select_unknown(held, resources.ask.account, symbol):
        raise UnknownSymbol(f"the provider does not have {symbol}")
    stay, source = line.INTERACTIVE_STAY, resources.settings.source
    await line.join_line(held, Function.QUOTE, [symbol], Purpose.INTERACTIVE, stay=stay, source=source)


@routes.delete("/api/watchlist/{symbol}")
@documented(
    "Remove a symbol from the watchlist",
    answers={200: RemovedAnswer},
    errors=(InvalidSymbol, NotOnWatchlist, StoreUnavailable),
)
async def remove(request: web.Request) -> web.Response:
    symbol = normalize_symbol(request.match_info["symbol"])
    async with connection(request.app[RESOURCES].db) as held:
        if not await watchlists.delete_item(held, request[CALLER].id, symbol):
            raise NotOnWatchlist(f"{symbol} is not on the watchlist")
    return web.json_response({"message": f"{symbol} was removed", "symbol": symbol}, headers=NO_STORE)
