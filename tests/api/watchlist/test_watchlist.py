"""A user's watchlist: its shapes, its limit, its order, and what it puts in the line."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from api.quotes.listing import LISTING
from common.core.budget.policy import OPEN_POWER, Pace
from common.core.models import CallClass, Listed
from common.core.search.ranking import build_index
from common.store.accounts import watchlists
from common.store.budget.ledger import Grant, Wait, grant_call
from common.store.budget.queue import ADDED_TTL
from common.store.connection.pool import acquire, transaction
from common.store.market import feed
from tests.api.conftest import Client, OpenApi, Provider, User, a_quote, fill_line, register
from tests.harness.polling import eventually

Answer = tuple[int, dict[str, Any]]


async def add(client: Client, user: User, symbol: str) -> tuple[int, dict[str, object]]:
    response = await client.post("/api/watchlist", json={"symbol": symbol}, headers=user.headers)
    return response.status, await response.json()


async def remove(client: Client, user: User, symbol: str) -> tuple[int, dict[str, object]]:
    response = await client.delete(f"/api/watchlist/{symbol}", headers=user.headers)
    return response.status, await response.json()


async def arrange(client: Client, user: User, symbols: list[str]) -> Answer:
    response = await client.put("/api/watchlist", json={"watchlist": symbols}, headers=user.headers)
    return response.status, await response.json()


async def fill(client: Client, user: User, *symbols: str) -> None:
    for symbol in symbols:
        assert 201 == (await add(client, user, symbol))[0]


async def listed(client: Client, user: User) -> list[str]:
    body = await (await client.get("/api/watchlist", headers=user.headers)).json()
    assert body["count"] == len(body["watchlist"])
    return [str(symbol) for symbol in body["watchlist"]]


async def watchers(db: asyncpg.Pool, symbol: str) -> int | None:
    count: int | None = await db.fetchval("SELECT watchers FROM symbols WHERE symbol = $1", symbol)
    return count


async def test_a_new_account_watches_nothing(api: Client, ada: User) -> None:
    response = await api.get("/api/watchlist", headers=ada.headers)

    assert (200, {"watchlist": [], "count": 0}) == (response.status, await response.json())
    assert "no-store" == response.headers["Cache-Control"]


async def test_a_symbol_is_added(api: Client, ada: User) -> None:
    status, body = await add(api, ada, "AAPL")

    assert 201 == status
    assert {"message", "symbol"} <= set(body)
    assert ("AAPL", False) == (body["symbol"], body["verified"])
    assert isinstance(body["message"], str)


async def test_symbols_are_listed_in_the_order_of_adding(api: Client, ada: User) -> None:
    for symbol in ("TSLA", "AAPL", "IBM"):
        await add(api, ada, symbol)

    assert ["TSLA", "AAPL", "IBM"] == await listed(api, ada)


async def test_a_symbol_is_removed(api: Client, ada: User) -> None:
    await add(api, ada, "AAPL")
    await add(api, ada, "IBM")
    status, body = await remove(api, ada, "AAPL")

    assert (200, "AAPL", {"message", "symbol"}) == (status, body["symbol"], set(body))
    assert ["IBM"] == await listed(api, ada)


async def test_a_symbol_twice_is_409_and_changes_nothing(api: Client, ada: User, db: asyncpg.Pool) -> None:
    await add(api, ada, "AAPL")
    status, body = await add(api, ada, "aapl")

    assert (409, "already_on_watchlist") == (status, body["code"])
    assert ["AAPL"] == await listed(api, ada)
    assert 1 == await watchers(db, "AAPL")


async def test_what_is_not_on_the_list_cannot_be_removed(api: Client, ada: User, db: asyncpg.Pool) -> None:
    status, body = await remove(api, ada, "AAPL")

    assert (404, "not_on_watchlist") == (status, body["code"])
    assert 0 == await db.fetchval("SELECT count(*) FROM symbols")


@pytest.mark.parametrize("written", ["brk.b", "BRK.B", "brk-b", " BRK-B "])
async def test_a_symbol_is_kept_in_the_providers_spelling(api: Client, ada: User, written: str) -> None:
    status, body = await add(api, ada, written)

    assert (201, "BRK-B") == (status, body["symbol"])
    assert ["BRK-B"] == await listed(api, ada)
    assert 200 == (await remove(api, ada, "brk.b"))[0]


@pytest.mark.parametrize("symbol", ["A B", "A" * 21, "<b>", "AAPL\n", "-A", "é", "' OR 1=1 --", "../../etc"])
async def test_what_cannot_be_a_symbol_is_refused(api: Client, ada: User, db: asyncpg.Pool, symbol: str) -> None:
    status, body = await add(api, ada, symbol)

    assert (400, "invalid_symbol") == (status, body["code"])
    assert 0 == await db.fetchval("SELECT count(*) FROM watchlist_items")


@pytest.mark.parametrize("content", [{}, {"symbol": None}, {"symbol": 7}, {"symbol": ["AAPL"]}, {"symbol": ""}])
async def test_a_symbol_that_is_no_text_is_refused(api: Client, ada: User, content: dict[str, object]) -> None:
    response = await api.post("/api/watchlist", json=content, headers=ada.headers)

    assert (400, "invalid_request") == (response.status, (await response.json())["code"])


async def test_a_malformed_symbol_cannot_be_removed(api: Client, ada: User) -> None:
    status, body = await remove(api, ada, "A%20B")

    assert (400, "invalid_symbol") == (status, body["code"])


async def test_a_symbol_with_a_slash_is_added_and_removed(api: Client, ada: User) -> None:
    added, _ = await add(api, ada, "BC/PB")
    removed, _ = await remove(api, ada, "BC%2FPB")

    assert (201, 200) == (added, removed)
    assert [] == await listed(api, ada)


async def until_decided(act: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again where a busy process answers 503."""
    for _ in range(100):
        status, body = await act()
        if status != 503:
            break
    return status, body


async def test_many_adds_at_once_end_exactly_at_the_limit(open_api: OpenApi, db: asyncpg.Pool) -> None:
    """A hundred of them, in two processes, where there is room for one."""
    processes = await open_api(), await open_api()
    user = await register(processes[0], "ada")
    async with acquire(db) as connection:
        await connection.executemany("SELECT add_to_watchlist($1, $2, 50)", [(user.id, f"OLD{n}") for n in range(49)])

    async def act(number: int) -> Answer:
        return await until_decided(lambda: add(processes[number % 2], user, f"NEW{number}"))

    answers = await asyncio.gather(*(act(number) for number in range(100)))
    codes = [body.get("code") for _, body in answers]

    added = codes.count(None) + codes.count("already_on_watchlist")  # by a first try that was answered 503 too soon
    assert (1, 99) == (added, codes.count("watchlist_full"))
    assert 50 == await db.fetchval("SELECT count(*) FROM watchlist_items")
    assert 50 == await db.fetchval("SELECT sum(watchers) FROM symbols")
    assert 50 == len(await listed(processes[0], user))


async def test_a_full_list_takes_another_symbol_after_one_was_removed(open_api: OpenApi) -> None:
    api = await open_api(max_watchlist_size=1)
    user = await register(api, "ada")
    await add(api, user, "AAPL")
    full, _ = await add(api, user, "IBM")
    await remove(api, user, "AAPL")
    free, _ = await add(api, user, "IBM")

    assert (409, 201) == (full, free)


async def test_a_symbol_that_is_there_is_not_called_full(open_api: OpenApi) -> None:
    api = await open_api(max_watchlist_size=1)
    user = await register(api, "ada")
    await add(api, user, "AAPL")
    _, body = await add(api, user, "AAPL")

    assert "already_on_watchlist" == body["code"]


async def test_one_symbol_added_many_times_at_once_is_added_once(open_api: OpenApi, db: asyncpg.Pool) -> None:
    processes = await open_api(), await open_api()
    user = await register(processes[0], "ada")

    async def act(number: int) -> Answer:
        return await until_decided(lambda: add(processes[number % 2], user, "AAPL"))

    answers = await asyncio.gather(*(act(number) for number in range(50)))

    assert [201] + [409] * 49 == sorted(status for status, _ in answers)
    assert {None, "already_on_watchlist"} == {body.get("code") for _, body in answers}
    assert 1 == await watchers(db, "AAPL")


async def test_one_symbol_removed_many_times_at_once_is_removed_once(open_api: OpenApi, db: asyncpg.Pool) -> None:
    processes = await open_api(), await open_api()
    user = await register(processes[0], "ada")
    await fill(processes[0], user, "AAPL", "IBM")

    async def act(number: int) -> Answer:
        return await until_decided(lambda: remove(processes[number % 2], user, "AAPL"))

    answers = await asyncio.gather(*(act(number) for number in range(30)))

    assert [200] + [404] * 29 == sorted(status for status, _ in answers)
    assert (0, 1) == (await watchers(db, "AAPL"), await watchers(db, "IBM"))
    assert ["IBM"] == await listed(processes[0], user)


async def test_all_symbols_removed_at_once_leave_nothing(api: Client, ada: User, db: asyncpg.Pool) -> None:
    symbols = [f"SIM{number}" for number in range(20)]
    await fill(api, ada, *symbols)
    answers = await asyncio.gather(*(remove(api, ada, symbol) for symbol in symbols))

    assert [200] * 20 == [status for status, _ in answers]
    assert 0 == await db.fetchval("SELECT sum(watchers) FROM symbols")
    assert [] == await listed(api, ada)


async def test_two_users_do_not_see_each_others_lists(api: Client, ada: User) -> None:
    bob = await register(api, "bob")
    await add(api, ada, "AAPL")
    await add(api, bob, "IBM")
    status, body = await remove(api, bob, "AAPL")

    arranged, _ = await arrange(api, bob, ["IBM", "AAPL"])

    assert (404, "not_on_watchlist", 400) == (status, body["code"], arranged)
    assert (["AAPL"], ["IBM"]) == (await listed(api, ada), await listed(api, bob))


async def test_the_count_of_watchers_follows_the_lists(api: Client, ada: User, db: asyncpg.Pool) -> None:
    bob = await register(api, "bob")
    counts = []
    await add(api, ada, "AAPL")
    counts.append(await watchers(db, "AAPL"))
    await add(api, bob, "AAPL")
    counts.append(await watchers(db, "AAPL"))
    await remove(api, ada, "AAPL")
    counts.append(await watchers(db, "AAPL"))
    await db.execute("DELETE FROM users WHERE id = $1", bob.id)
    counts.append(await watchers(db, "AAPL"))

    assert [1, 2, 1, 0] == counts


async def test_a_symbol_without_a_quote_is_wanted_at_once(
    api: Client, ada: User, db: asyncpg.Pool, redis: Redis
) -> None:
    await add(api, ada, "brk.b")
    row = await db.fetchrow("SELECT function, subject, class, expires - since AS stay FROM demand")

    assert (row["function"], row["subject"], row["class"]) == ("GLOBAL_QUOTE", "BRK-B", CallClass.USER)
    assert ADDED_TTL == row["stay"]
    assert 1 == await redis.llen("celery:quotewell")


async def test_a_symbol_with_a_quote_is_verified_and_not_asked_for_again(
    api: Client, ada: User, db: asyncpg.Pool, redis: Redis, provider: Provider
) -> None:
    assert 200 == (await api.get("/api/stock/AAPL")).status
    status, body = await add(api, ada, "AAPL")

    assert (201, True) == (status, body["verified"])
    assert 0 == await db.fetchval("SELECT count(*) FROM demand")
    assert 0 == await redis.llen("celery:quotewell")
    assert ["AAPL"] == await provider.asked()


async def test_a_symbol_that_the_provider_does_not_have_is_not_added(
    api: Client, ada: User, db: asyncpg.Pool, provider: Provider
) -> None:
    assert 404 == (await api.get("/api/stock/NOPE")).status
    status, body = await add(api, ada, "NOPE")

    assert (404, "unknown_symbol") == (status, body["code"])
    assert [] == await listed(api, ada)
    assert 0 == await watchers(db, "NOPE")
    assert 0 == await db.fetchval("SELECT count(*) FROM demand")
    assert ["NOPE"] == await provider.asked()


async def test_a_full_line_does_not_stand_against_adding(api: Client, ada: User) -> None:
    await fill_line(api)
    status, _ = await add(api, ada, "AAPL")

    assert 201 == status
    assert ["AAPL"] == await listed(api, ada)


async def test_adding_makes_no_call_by_itself(api: Client, ada: User, provider: Provider) -> None:
    await add(api, ada, "AAPL")

    assert [] == await provider.asked()


async def test_a_symbol_that_nobody_watches_any_more_rests(
    api: Client, ada: User, db: asyncpg.Pool, redis: Redis
) -> None:
    """It has a quote, and a call is free: it was watched, so it was due; now it is not."""
    await api.get("/api/stock/AAPL")
    await fill(api, ada, "AAPL")
    watched = await due(api)
    await remove(api, ada, "AAPL")
    rests = await due(api)

    assert isinstance(watched, Grant)
    assert ("AAPL",) == watched.subjects
    assert isinstance(rests, Wait)
    assert ("idle", 0) == (rests.reason, await watchers(db, "AAPL"))


async def due(client: Client) -> Grant | Wait:
    """What a worker would be told to fetch much later."""
    assert client.app is not None
    resources = client.app[RESOURCES]
    async with acquire(resources.db) as connection:
        later = datetime.now(UTC).timestamp() + 100_000
        return (await grant_call(connection, resources.budget, Pace(timedelta(seconds=1), later, OPEN_POWER)))[1]


def set_listing(client: Client, *symbols: str) -> None:
    assert client.app is not None
    client.app[LISTING].index = build_index([Listed(symbol, symbol, "NYSE", "Stock", None) for symbol in symbols])


@pytest.mark.parametrize(("written", "verified"), [("brk.b", True), ("BRK-B", True), ("BRK-C", False), ("BRK", False)])
async def test_a_symbol_of_the_providers_listing_is_verified_though_it_has_no_quote_yet(
    api: Client, ada: User, db: asyncpg.Pool, written: str, verified: bool
) -> None:
    set_listing(api, "AAPL", "BRK-B")
    status, body = await add(api, ada, written)

    assert (201, verified) == (status, body["verified"])
    assert 1 == await db.fetchval("SELECT count(*) FROM demand")


async def test_the_quotes_of_the_list_come_with_it_where_they_are_asked_for(
    api: Client, ada: User, redis: Redis
) -> None:
    await api.get("/api/stock/NOPE")
    await fill(api, ada, "MSFT", "NEW", "AAPL")
    for symbol in ("AAPL", "MSFT", "IBM"):
        await feed.publish(redis, a_quote(symbol, "10"))
    response = await api.get("/api/watchlist?include=quotes&more=1", headers=ada.headers)
    body = await response.json()
    many = await (await api.get("/api/stocks?symbols=MSFT,NEW,AAPL")).json()

    assert (["MSFT", "NEW", "AAPL"], 3) == (body["watchlist"], body["count"])
    assert ["MSFT", "AAPL"] == [quote["symbol"] for quote in body["quotes"]]
    assert [{"symbol": "NEW", "reason": "no_quote"}] == body["missing"]
    assert many == {"quotes": body["quotes"], "missing": body["missing"]}
    assert "no-store" == response.headers["Cache-Control"]


async def test_the_quotes_of_an_empty_list_are_none(api: Client, ada: User) -> None:
    response = await api.get("/api/watchlist?include=quotes", headers=ada.headers)

    assert {"watchlist": [], "count": 0, "quotes": [], "missing": []} == await response.json()


async def test_reading_the_list_makes_no_call_and_no_demand(
    api: Client, ada: User, db: asyncpg.Pool, provider: Provider
) -> None:
    await fill(api, ada, "AAPL")
    await db.execute("DELETE FROM demand")
    await api.get("/api/watchlist?include=quotes", headers=ada.headers)

    assert ([], 0) == (await provider.asked(), await db.fetchval("SELECT count(*) FROM demand"))


@pytest.mark.parametrize("include", ["", "quote", "quotes,missing", "QUOTES", "quotes%0A"])
async def test_what_cannot_be_included_is_refused(api: Client, ada: User, include: str) -> None:
    response = await api.get(f"/api/watchlist?include={include}", headers=ada.headers)
    body = await response.json()

    assert (400, "invalid_request") == (response.status, body["code"])
    assert body["error"].startswith("include: expected quotes, or nothing, not ")


async def test_the_list_is_put_in_order_and_what_is_added_comes_last(api: Client, ada: User) -> None:
    await fill(api, ada, "AAPL", "BRK-B", "IBM")
    status, body = await arrange(api, ada, ["IBM", "aapl", " brk.b "])
    await fill(api, ada, "ACN", "AAA")
    await remove(api, ada, "AAPL")
    await fill(api, ada, "AAPL")

    assert (200, {"watchlist": ["IBM", "AAPL", "BRK-B"], "count": 3}) == (status, body)
    assert ["IBM", "BRK-B", "ACN", "AAA", "AAPL"] == await listed(api, ada)
    assert 200 == (await arrange(api, ada, ["AAA", "ACN", "AAPL", "BRK-B", "IBM"]))[0]
    assert ["AAA", "ACN", "AAPL", "BRK-B", "IBM"] == await listed(api, ada)


@pytest.mark.parametrize(
    ("symbols", "told"),
    [
        ([], "AAPL, IBM, MSFT"),
        (["IBM", "AAPL"], "MSFT"),
        (["IBM", "AAPL", "MSFT", "ACN"], "ACN"),
        (["IBM", "AAPL", "ACN"], "ACN, MSFT"),
        (["IBM", "AAPL", "MSFT", "MSFT", "MSFT"], "MSFT"),
        (["IBM", "AAPL", "AAPL"], "AAPL, MSFT"),
        ([f"S{number}" for number in range(60)], "AAPL, IBM, MSFT, S0, S1, ..."),
    ],
)
async def test_an_order_of_other_symbols_changes_nothing(api: Client, ada: User, symbols: list[str], told: str) -> None:
    await fill(api, ada, "AAPL", "IBM", "MSFT")
    await arrange(api, ada, ["MSFT", "IBM", "AAPL"])
    status, body = await arrange(api, ada, symbols)

    assert (400, "invalid_request") == (status, body["code"])
    assert f"watchlist: expected every symbol of the list, once; not so: {told}" == body["error"]
    assert ["MSFT", "IBM", "AAPL"] == await listed(api, ada)


async def test_an_empty_list_is_put_in_order(api: Client, ada: User) -> None:
    assert (200, {"watchlist": [], "count": 0}) == await arrange(api, ada, [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, "invalid_request"),
        ({"watchlist": None}, "invalid_request"),
        ({"watchlist": "AAPL"}, "invalid_request"),
        ({"watchlist": [7]}, "invalid_request"),
        ({"watchlist": ["AAPL"], "count": 1}, "invalid_request"),
        ({"watchlist": ["A"] * 10_001}, "invalid_request"),
        ({"watchlist": ["A B"]}, "invalid_symbol"),
        ({"watchlist": ["A\x00"]}, "invalid_symbol"),
        ({"watchlist": ["\ud800"]}, "invalid_symbol"),
    ],
)
async def test_what_is_no_order_is_refused(api: Client, ada: User, content: dict[str, object], code: str) -> None:
    response = await api.put("/api/watchlist", json=content, headers=ada.headers)

    assert (400, code) == (response.status, (await response.json())["code"])


async def test_orders_adds_and_removes_at_once_lose_nothing(open_api: OpenApi, db: asyncpg.Pool) -> None:
    """Some symbols stay, some come and some go, all while the list is put in order over and over. Deadlocks would be many 503."""
    processes = await open_api(), await open_api()
    user = await register(processes[0], "ada")
    ttl, come, go = ([f"{word}{number}" for number in range(12)] for word in ("STAY", "COME", "GO"))
    await fill(processes[0], user, *ttl, *go)
    arranged, changed, refused = list[int](), list[int](), list[str]()

    async def shuffle(process: Client, chance: random.Random) -> None:
        while len(changed) < len(come + go):
            symbols = await listed(process, user)
            arranged.append((await arrange(process, user, chance.sample(symbols, len(symbols))))[0])

    async def change(act: Callable[[Client, User, str], Awaitable[Answer]], symbols: list[str]) -> None:
        for number, symbol in enumerate(symbols):
            while (status := (await act(processes[number % 2], user, symbol))[0]) == 503:  # on a busy machine
                refused.append(symbol)
            done = symbol in refused and status in (404, 409)
            changed.append({404: 200, 409: 201}[status] if done else status)

    changes = [change(act, symbols[half::2]) for act, symbols in ((add, come), (remove, go)) for half in (0, 1)]
    await asyncio.gather(*changes, *(shuffle(processes[number % 2], random.Random(number)) for number in range(4)))

    assert [200] * 12 + [201] * 12 == sorted(changed)
    assert {200, 400} == set(arranged) - {503}
    assert len(refused) + arranged.count(503) <= 3
    assert sorted(ttl + come) == sorted(await listed(processes[0], user))
    assert 24 == await db.fetchval("SELECT sum(watchers) FROM symbols")


@pytest.mark.parametrize(("act", "after"), [(add, ["IBM", "AAPL", "NEW"]), (remove, ["IBM", "AAPL"])])
async def test_a_change_waits_for_an_order_that_is_under_way(
    api: Client,
    ada: User,
    db: asyncpg.Pool,
    act: Callable[[Client, User, str], Awaitable[Answer]],
    after: list[str],
) -> None:
    """It holds nothing meanwhile that the order needs: neither ends the other."""
    there = ["AAPL", "IBM", *(["NEW"] if act is remove else [])]
    await fill(api, ada, *there)

    async def waits() -> bool:
        query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return await db.fetchrow(query) is not None

    async with transaction(db) as connection:
        await watchlists.lock_list(connection, ada.id)
        changing = asyncio.ensure_future(act(api, ada, "NEW"))
        await eventually(waits)
        wrong = await watchlists.update_order(connection, ada.id, sorted(there, key=["NEW", "IBM", "AAPL"].index))
    status, _ = await changing

    assert ([], True) == (wrong, status in (200, 201))
    assert after == await listed(api, ada)


async def test_the_list_is_exported_as_a_file(api: Client, ada: User) -> None:
    await fill(api, ada, "AAPL", "IBM")
    await arrange(api, ada, ["IBM", "AAPL"])
    response = await api.get("/api/watchlist/export", headers=ada.headers)
    body = await response.json()
    me = await (await api.get("/api/auth/me", headers=ada.headers)).json()
    times = [
        datetime.fromisoformat(text) for text in (body["exported_at"], *(i["added_at"] for i in body["watchlist"]))
    ]

    assert 'attachment; filename="quotewell-watchlist.json"' == response.headers["Content-Disposition"]
    assert "no-store" == response.headers["Cache-Control"]
    assert {"exported_at", "user", "watchlist"} == set(body)
    assert me["user"] == body["user"]
    assert ["IBM", "AAPL"] == [item["symbol"] for item in body["watchlist"]]
    assert times == sorted(times, reverse=True)
    assert datetime.now(UTC) - times[0] < timedelta(seconds=10)


async def test_only_the_callers_list_is_exported(api: Client, ada: User) -> None:
    bob = await register(api, "bob")
    await fill(api, bob, "AAPL")
    body = await (await api.get("/api/watchlist/export", headers=ada.headers)).json()

    assert ("ada", []) == (body["user"]["username"], body["watchlist"])


async def test_an_export_refuses_what_it_does_not_know(api: Client, ada: User) -> None:
    response = await api.get("/api/watchlist/export?user=2", headers=ada.headers)

    assert 400 == response.status


@pytest.mark.parametrize("symbol", ["EXPORT", "STREAM", "export", "stream"])
async def test_a_symbol_may_be_called_as_a_route_is(api: Client, ada: User, symbol: str) -> None:
    await fill(api, ada, symbol)
    status, _ = await remove(api, ada, symbol)

    assert (200, []) == (status, await listed(api, ada))
