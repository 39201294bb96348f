"""One spelling of a symbol on every route: the provider's, as its listing has it."""

import json
from collections.abc import Iterable

import asyncpg
import pytest

from api.quotes.listing import LISTING
from common.core.models import Listed
from common.core.search.ranking import build_index
from common.store.connection.pool import acquire
from common.store.market.listings import replace_listing
from tests.api.conftest import Client, Provider, User, register_operator

LISTED = ("AAPL", "BP", "BRK-A", "BRK-B", "BC/PB", "IBM")
WRITTEN = ["brk.b", "brk%2Fb", "brk%20b", "BRK-B"]


@pytest.fixture
async def listed(api: Client, db: asyncpg.Pool) -> Client:
    """A process that has the listing, over a database that has it."""
    assert api.app is not None
    listing = [Listed(symbol, f"{symbol} Inc", "NYSE", "Stock", None) for symbol in LISTED]
    async with acquire(db) as connection:
        await replace_listing(connection, "simulated", listing, await connection.fetchval("SELECT ledger_now()"))
    api.app[LISTING].index = build_index(listing)
    return api


async def items(client: Client, user: User) -> list[str]:
    return list((await (await client.get("/api/watchlist", headers=user.headers)).json())["watchlist"])


async def store(db: asyncpg.Pool, user: User, symbols: Iterable[str]) -> None:
    """As an earlier release has stored them."""
    async with acquire(db) as connection:
        for symbol in symbols:
            await connection.execute("SELECT add_to_watchlist($1, $2, 50)", user.id, symbol)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("path", ["/api/stock/{}?wait=10", "/api/stock/{}/chart?wait=10", "/api/stock/{}/history"])
async def test_a_class_share_is_one_in_every_spelling(listed: Client, path: str, written: str) -> None:
    response = await listed.get(path.format(written))

    assert (200, "BRK-B") == (response.status, (await response.json())["symbol"])


async def test_many_spellings_of_a_symbol_are_answered_once(listed: Client) -> None:
    await listed.get("/api/stock/BRK-B?wait=10")
    body = await (await listed.get("/api/stocks?symbols=brk.b,brk%2Fb,brk%20b,BRK-B")).json()

    assert ["BRK-B"] == [quote["symbol"] for quote in body["quotes"]]
    assert [] == body["missing"]


async def test_a_stream_takes_every_spelling(listed: Client) -> None:
    await listed.get("/api/stock/BRK-B?wait=10")
    async with listed.get("/api/stream?symbols=brk%2Fb") as response:
        while not (line := await response.content.readline()).startswith(b"data:"):
            assert line

    assert "BRK-B" == json.loads(line.removeprefix(b"data:"))["symbol"]


@pytest.mark.parametrize("symbol", ["BP.L", "BRK.C", "RY.T"])
async def test_a_dot_stays_where_the_listing_has_no_dash_form(
    listed: Client, ada: User, provider: Provider, symbol: str
) -> None:
    response = await listed.get(f"/api/stock/{symbol}?wait=10", headers=ada.headers)

    assert (404, [symbol]) == (response.status, await provider.asked())
    assert symbol in (await response.json())["error"]


async def test_a_listed_symbol_with_a_slash_stays_as_it_is(listed: Client, ada: User) -> None:
    response = await listed.post("/api/watchlist", json={"symbol": "bc/pb"}, headers=ada.headers)

    assert ("BC/PB", True) == ((body := await response.json())["symbol"], body["verified"])


@pytest.mark.parametrize("written", ["brk/b", "BRK B", "brk.b"])
async def test_a_class_share_is_added_put_in_order_and_removed_in_any_spelling(
    listed: Client, ada: User, written: str
) -> None:
    added = await listed.post("/api/watchlist", json={"symbol": written}, headers=ada.headers)
    again = await listed.post("/api/watchlist", json={"symbol": "BRK-B"}, headers=ada.headers)
    await listed.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)
    arranged = await listed.put("/api/watchlist", json={"watchlist": ["aapl", written]}, headers=ada.headers)
    order = await items(listed, ada)
    removed = await listed.delete(f"/api/watchlist/{written.replace('/', '%2F')}", headers=ada.headers)

    assert (201, "BRK-B", True) == (added.status, (body := await added.json())["symbol"], body["verified"])
    assert (409, 200, ["AAPL", "BRK-B"]) == (again.status, arranged.status, order)
    assert (200, "BRK-B") == (removed.status, (await removed.json())["symbol"])
    assert ["AAPL"] == await items(listed, ada)


@pytest.mark.parametrize(
    ("stored", "written"), [("BRK/B", "brk-b"), ("BRK/B", "BRK%2FB"), ("BP-L", "BP.L"), ("BP-L", "bp-l")]
)
async def test_what_an_earlier_release_stored_is_put_in_order_and_removed(
    listed: Client, ada: User, db: asyncpg.Pool, stored: str, written: str
) -> None:
    await store(db, ada, [stored, "AAPL"])
    order = {"watchlist": ["AAPL", written.replace("%2F", "/")]}
    arranged = await listed.put("/api/watchlist", json=order, headers=ada.headers)
    told = (await arranged.json())["watchlist"]
    removed = await listed.delete(f"/api/watchlist/{written}", headers=ada.headers)

    assert (200, ["AAPL", stored]) == (arranged.status, told)
    assert (200, ["AAPL"]) == (removed.status, await items(listed, ada))


async def test_of_two_spellings_on_a_list_the_one_that_is_named_goes(
    listed: Client, ada: User, db: asyncpg.Pool
) -> None:
    await store(db, ada, ["BRK/B", "BRK-B"])
    await listed.delete("/api/watchlist/BRK%2FB", headers=ada.headers)

    assert ["BRK-B"] == await items(listed, ada)


async def test_operators_name_a_symbol_in_any_spelling(listed: Client) -> None:
    operator = await register_operator(listed, "olga")
    pinned = await listed.put("/api/ops/symbols/brk%2Fb/pin", headers=operator.headers)
    job = await listed.post("/api/ops/refresh", json={"symbols": ["brk b", "BRK-B", "bp.l"]}, headers=operator.headers)
    calls = await listed.get("/api/ops/calls?symbol=brk.b", headers=operator.headers)
    unpinned = await listed.delete("/api/ops/symbols/brk.b/pin", headers=operator.headers)

    assert (200, "BRK-B") == (pinned.status, (await pinned.json())["symbol"])
    assert (202, ["BP.L", "BRK-B"]) == (job.status, [item["symbol"] for item in (await job.json())["items"]])
    assert (200, 200) == (calls.status, unpinned.status)


@pytest.mark.parametrize("symbol", ["%00", "A%00B", "%ED%A0%80", "A%20B", "BRK%20C"])
async def test_what_cannot_be_a_symbol_never_reaches_the_database(listed: Client, symbol: str) -> None:
    operator = await register_operator(listed, "olga")
    response = await listed.put(f"/api/ops/symbols/{symbol}/pin", headers=operator.headers)

    assert (400, "invalid_symbol") == (response.status, (await response.json())["code"])
