"""A user's watchlist: its shapes, its limit, and what it puts in the line."""

import asyncio

import asyncpg
import pytest
from redis.asyncio import Redis

from common.core.models import Purpose
from tests.api.conftest import Client, OpenApi, Provider, User, fill_line, register


async def add(client: Client, user: User, symbol: str) -> tuple[int, dict[str, object]]:
    response = await client.post("/api/watchlist", json={"symbol": symbol}, headers=user.headers)
    return response.status, await response.json()


async def remove(client: Client, user: User, symbol: str) -> tuple[int, dict[str, object]]:
    response = await client.delete(f"/api/watchlist/{symbol}", headers=user.headers)
    return response.status, await response.json()


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


async def test_many_adds_at_once_end_exactly_at_the_limit(open_api: OpenApi, db: asyncpg.Pool) -> None:
    one, other = await open_api(max_watchlist_size=5), await open_api(max_watchlist_size=5)
    user = await register(one, "ada")
    answers = await asyncio.gather(*(add((one, other)[number % 2], user, f"SIM{number}") for number in range(20)))
    codes = [body.get("code") for _, body in answers]

    assert (5, 15) == (codes.count(None), codes.count("watchlist_full"))
    assert {201, 409} == {status for status, _ in answers}
    assert 5 == await db.fetchval("SELECT count(*) FROM watchlist_items")
    assert 5 == len(await listed(one, user))


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


async def test_one_symbol_added_many_times_at_once_is_added_once(api: Client, ada: User, db: asyncpg.Pool) -> None:
    answers = await asyncio.gather(*(add(api, ada, "AAPL") for _ in range(10)))

    assert [201] + [409] * 9 == sorted(status for status, _ in answers)
    assert 1 == await watchers(db, "AAPL")


async def test_two_users_do_not_see_each_others_lists(api: Client, ada: User) -> None:
    bob = await register(api, "bob")
    await add(api, ada, "AAPL")
    await add(api, bob, "IBM")
    status, body = await remove(api, bob, "AAPL")

    assert (404, "not_on_watchlist") == (status, body["code"])
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
    row = await db.fetchrow("SELECT function, subject, purpose, expires - since AS stay FROM demand")

    assert (row["function"], row["subject"], row["purpose"]) == ("GLOBAL_QUOTE", "BRK-B", Purpose.INTERACTIVE)
    assert 60 == row["stay"].total_seconds()
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


async def test_a_full_line_does_not_stand_against_adding(api: Client, ada: User, db: asyncpg.Pool) -> None:
    await fill_line(db)
    status, _ = await add(api, ada, "AAPL")

    assert 201 == status
    assert ["AAPL"] == await listed(api, ada)


async def test_adding_makes_no_call_by_itself(api: Client, ada: User, provider: Provider) -> None:
    await add(api, ada, "AAPL")

    assert [] == await provider.asked()
