"""Streams of the callers' own lists, over two processes: for a ticket, following the list, and over with the login. How a ticket is taken:
test_tickets.py."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from api.accounts.revocations import REVOCATIONS
from api.accounts.tickets import TICKETS
from api.streams.fanout import Client as Told
from api.watchlist.stream import PRIVATE, PrivateStreams
from common.core.quotes.wire import encode, version
from common.core.secrets import digest
from common.process.servers import Postgres
from common.store.accounts.logins import end_login
from common.store.accounts.tickets import insert_ticket
from common.store.accounts.watchlists import select_lists
from common.store.connection.pool import acquire
from common.store.market import feed
from db.migrate import migrate
from tests.api.conftest import PASSWORD, Client, OpenApi, User, a_quote, close, register
from tests.api.listening import (
    READ,
    Listener,
    listening,
    memory_of,
    streams_of,
    tell,
    until_clients,
    until_followed,
)
from tests.harness.polling import BUSY, eventually

PATH = "/api/watchlist/stream"
SOON = 1.0  # second that a change and an end may take
Listen = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Connects a user to the stream of his list."""
    async with listening() as connect:

        async def to(client: Client, user: User, query: str = "", **headers: str) -> Listener:
            return await connect(client, f"{PATH}?ticket={await ticket_of(client, user)}{query}", **headers)

        yield to


@pytest.fixture
async def live(open_api: OpenApi) -> Client:
    """A process that follows the events."""
    client = await open_api()
    await until_followed(client)
    return client


@pytest.fixture
async def other(open_api: OpenApi) -> Client:
    """Another one."""
    return await open_api()


@pytest.fixture
async def ada(live: Client) -> User:
    return await register(live, "ada")


async def ticket_of(client: Client, user: User) -> str:
    response = await client.post("/api/auth/ticket", headers=user.headers)
    assert 201 == response.status
    return str((await response.json())["ticket"])


async def add(client: Client, user: User, *symbols: str) -> None:
    for symbol in symbols:
        response = await client.post("/api/watchlist", json={"symbol": symbol}, headers=user.headers)
        assert 201 == response.status


async def remove(client: Client, user: User, symbol: str) -> None:
    assert 200 == (await client.delete(f"/api/watchlist/{symbol}", headers=user.headers)).status


async def refusal(client: Client, query: str) -> tuple[int, str]:
    response = await client.get(f"{PATH}{query}")
    return response.status, (await response.json())["code"]


def private_of(client: Client) -> PrivateStreams:
    assert client.app is not None
    return client.app[PRIVATE]


async def until_listening(client: Client, *symbols: str) -> float:
    """Wait until exactly these symbols are listened to; how many seconds that took."""

    async def so() -> bool:
        return set(symbols) == set(streams_of(client)._by_symbol)

    began = time.monotonic()
    await eventually(so)
    return time.monotonic() - began


async def until_ended(listener: Listener) -> float:
    """Read the clean end of a stream; how many seconds it took to come."""
    began = time.monotonic()
    async with asyncio.timeout(READ):
        assert b"" == await listener.response.content.read()
    return time.monotonic() - began


async def test_the_current_quotes_of_the_list_come_first(live: Client, ada: User, redis: Redis, listen: Listen) -> None:
    await add(live, ada, "MSFT", "AAPL")
    told = [await tell(redis, "AAPL", "10"), await tell(redis, "MSFT", "20")]
    await tell(redis, "IBM", "30")
    listener = await listen(live, ada)
    await tell(redis, "IBM", "31")
    told.append(await tell(redis, "AAPL", "11"))

    assert told == [(await listener.block())["id"] for _ in range(3)]


async def test_everybody_hears_the_list_of_their_own(live: Client, ada: User, redis: Redis, listen: Listen) -> None:
    bob = await register(live, "bob")
    await add(live, ada, "AAPL")
    await add(live, bob, "MSFT")
    hers, his = await listen(live, ada), await listen(live, bob)
    await tell(redis, "MSFT", "2")
    await tell(redis, "AAPL", "1")

    assert (("AAPL", 1), ("MSFT", 2)) == (await hers.quote(), await his.quote())


async def test_nobody_between_may_keep_it(live: Client, ada: User, listen: Listen) -> None:
    headers = (await listen(live, ada)).response.headers

    assert "text/event-stream" == headers["Content-Type"]
    assert "no-store" == headers["Cache-Control"]
    assert "no" == headers["X-Accel-Buffering"]
    assert "nosniff" == headers["X-Content-Type-Options"]


async def test_an_empty_list_is_a_stream_of_heartbeats(live: Client, ada: User, redis: Redis, listen: Listen) -> None:
    listener = await listen(live, ada)
    with patch("api.streams.fanout.HEARTBEAT_INTERVAL", 0.05):
        assert [{"": ""}] * 2 == [await listener.block() for _ in range(2)]

    await add(live, ada, "AAPL")
    await tell(redis, "AAPL", "1")
    while "" in (block := await listener.block()):
        pass
    assert "quote" == block["event"]


async def test_a_symbol_without_a_quote_is_told_once_it_has_one(
    live: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    await add(live, ada, "NEW", "AAPL")
    await tell(redis, "AAPL", "1")
    listener = await listen(live, ada)
    assert ("AAPL", 1) == await listener.quote()

    await tell(redis, "NEW", "2")

    assert ("NEW", 2) == await listener.quote()


@pytest.mark.parametrize("query", ["?ticket=made-up", "?ticket=%00%ff", "?ticket=%ED%A0%80", "?ticket=" + "a" * 4000])
async def test_what_is_no_ticket_is_refused(live: Client, query: str) -> None:
    answer = await live.get(f"{PATH}{query}")

    assert (401, "invalid_token") == (answer.status, (await answer.json())["code"])
    assert 'Bearer realm="quotewell", error="invalid_token"' == answer.headers["WWW-Authenticate"]


async def test_a_token_is_no_ticket(live: Client, ada: User) -> None:
    token = ada.headers["Authorization"].partition(" ")[2]

    assert (401, "invalid_token") == await refusal(live, f"?ticket={token}")


async def test_an_old_ticket_is_refused(live: Client, ada: User, db: asyncpg.Pool) -> None:
    login = await login_of(db, ada)
    async with acquire(db) as connection:
        await insert_ticket(connection, login, digest("old"), timedelta(seconds=-1))

    assert (401, "invalid_token") == await refusal(live, "?ticket=old")


async def test_a_ticket_of_a_login_that_ended_is_refused(live: Client, ada: User, db: asyncpg.Pool) -> None:
    ticket = await ticket_of(live, ada)
    async with acquire(db) as connection:
        await end_login(connection, await login_of(db, ada))

    assert (401, "invalid_token") == await refusal(live, f"?ticket={ticket}")


async def test_a_refused_question_costs_no_ticket(live: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    with patch("api.streams.fanout.MAX_CLIENTS", 0):
        full = await refusal(live, f"?ticket={ticket}")

    assert (503, "overloaded") == full
    assert (400, "invalid_request") == await refusal(live, f"?ticket={ticket}&symbols=AAPL")
    assert (400, "invalid_request") == await refusal(live, f"?ticket={ticket}&ticket={ticket}")
    async with live.get(f"{PATH}?ticket={ticket}") as answer:
        assert 200 == answer.status


async def test_what_is_added_elsewhere_is_told_and_followed_within_a_second(
    live: Client, other: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    await tell(redis, "MSFT", "5")
    await add(live, ada, "AAPL")
    listener = await listen(live, ada)
    await add(other, ada, "MSFT")
    began = time.monotonic()

    assert ("MSFT", 5) == await listener.quote()
    assert time.monotonic() - began < SOON + BUSY
    await tell(redis, "MSFT", "6")
    assert ("MSFT", 6) == await listener.quote()


async def test_what_is_added_and_only_the_stores_know_is_told(
    live: Client, other: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    listener = await listen(live, ada)
    quote = a_quote("AAPL", "7")
    mapping: dict[Any, Any] = {"version": version(quote), "body": encode(quote), "event": "5-0"}
    await redis.hset(feed.key(quote.source, "AAPL"), mapping=mapping)
    await add(other, ada, "AAPL")

    assert ("AAPL", 7) == await listener.quote()


async def test_what_is_removed_elsewhere_is_told_no_more_within_a_second(
    live: Client, other: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    await add(live, ada, "AAPL", "MSFT")
    listener = await listen(live, ada)
    await remove(other, ada, "AAPL")

    assert await until_listening(live, "MSFT") < SOON + BUSY
    await tell(redis, "AAPL", "1")
    await tell(redis, "MSFT", "2")
    assert ("MSFT", 2) == await listener.quote()


async def test_what_is_removed_is_not_told_though_it_waits(live: Client, ada: User, redis: Redis) -> None:
    """A client that is slow has it in its slot still."""
    await tell(redis, "AAPL", "1")
    await tell(redis, "MSFT", "2")

    async def known() -> bool:
        return None not in (memory_of(live).entry("AAPL"), memory_of(live).entry("MSFT"))

    await eventually(known)
    streams, client = streams_of(live), Told(["AAPL", "MSFT"], asyncio.Transport())
    streams.offer(client, client.symbols)

    assert ["IBM"] == streams.follow(client, ["MSFT", "IBM"])
    assert ["MSFT"] == list(client.pending)


async def test_all_streams_of_a_user_follow_the_list(
    live: Client, other: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    await tell(redis, "AAPL", "1")
    one = await listen(live, ada)
    await add(other, ada, "AAPL")
    two, three = await listen(live, ada), await listen(other, ada)

    assert [("AAPL", 1)] * 3 == [await listener.quote() for listener in (one, two, three)]
    await remove(live, ada, "AAPL")
    await add(live, ada, "MSFT")
    await until_listening(live, "MSFT")
    await until_listening(other, "MSFT")
    await tell(redis, "AAPL", "2")
    await tell(redis, "MSFT", "3")
    assert [("MSFT", 3)] * 3 == [await listener.quote() for listener in (one, two, three)]


async def test_another_order_changes_nothing(live: Client, ada: User, redis: Redis, listen: Listen) -> None:
    await add(live, ada, "AAPL", "MSFT")
    listener = await listen(live, ada)
    await live.put("/api/watchlist", json={"watchlist": ["MSFT", "AAPL"]}, headers=ada.headers)
    await add(live, ada, "IBM")
    await until_listening(live, "AAPL", "MSFT", "IBM")
    await tell(redis, "MSFT", "1")

    assert ("MSFT", 1) == await listener.quote()


@pytest.mark.parametrize("way", ["header", "query"])
async def test_who_resumes_anywhere_gets_only_what_is_newer(
    way: str, live: Client, other: Client, ada: User, db: asyncpg.Pool, redis: Redis, listen: Listen
) -> None:
    await until_followed(other)
    await add(live, ada, "AAPL", "MSFT")
    await db.execute("UPDATE watchlist_items SET added_at = added_at - interval '1 hour'")
    await tell(redis, "MSFT", "1")
    last = await tell(redis, "AAPL", "2")
    first = await listen(live, ada)
    assert [("MSFT", 1), ("AAPL", 2)] == [await first.quote(), await first.quote()]
    first.response.close()
    await tell(redis, "AAPL", "3")

    given: Any = ("", {"Last-Event-ID": last}) if way == "header" else (f"&lastEventId={last}", {})
    resumed = await listen(other, ada, given[0], **given[1])

    assert ("AAPL", 3) == await resumed.quote()
    await tell(redis, "MSFT", "4")
    assert ("MSFT", 4) == await resumed.quote()


async def test_who_resumes_is_told_what_was_added_meanwhile(
    live: Client, other: Client, ada: User, redis: Redis, listen: Listen
) -> None:
    """Though the quote is older than the last event that came; its id would go back, so it has none."""
    await add(live, ada, "AAPL")
    await tell(redis, "MSFT", "1")
    last = await tell(redis, "AAPL", "2")
    await add(other, ada, "MSFT")
    resumed = await listen(live, ada, f"&lastEventId={last}")
    blocks = [await resumed.block(), await resumed.block()]

    assert [None, None] == [block.get("id") for block in blocks]
    assert ["MSFT" in blocks[0]["data"], "AAPL" in blocks[1]["data"]] == [True, True]


@pytest.mark.parametrize("event", ["1-0", "x", "99999999999999999999-0"])
async def test_an_unknown_id_is_a_snapshot(event: str, live: Client, ada: User, redis: Redis, listen: Listen) -> None:
    await add(live, ada, "AAPL")
    await tell(redis, "AAPL", "1")
    resumed = await listen(live, ada, f"&lastEventId={event}")

    assert ("AAPL", 1) == await resumed.quote()


async def login_of(db: asyncpg.Pool, user: User) -> int:
    """The newest login of an account."""
    login: int = await db.fetchval("SELECT max(id) FROM logins WHERE user_id = $1", user.id)
    return login


async def log_in(client: Client, user: User) -> tuple[User, str]:
    """One more login of the account, and its refresh token."""
    response = await client.post("/api/auth/login", json={"username": user.name, "password": PASSWORD})
    body = await response.json()
    assert 200 == response.status
    return User(user.id, user.name, {"Authorization": f"Bearer {body['access_token']}"}), body["refresh_token"]


async def end(way: str, client: Client, user: User, db: asyncpg.Pool, refresh: str) -> None:
    """End a login, as people and operators do."""
    if way in ("logout", "everywhere"):
        content: dict[str, object] = {"refresh_token": refresh, **({"everywhere": True} if way == "everywhere" else {})}
        assert 200 == (await client.post("/api/auth/logout", json=content)).status
    elif way == "password":
        change = {"current_password": PASSWORD, "new_password": "another horse battery"}
        assert 200 == (await client.post("/api/auth/password", json=change, headers=user.headers)).status
    elif way == "delete":
        await db.execute("DELETE FROM users WHERE id = $1", user.id)
    else:
        async with acquire(db) as connection:
            await end_login(connection, await login_of(db, user))


@pytest.mark.parametrize("way", ["logout", "everywhere", "password", "delete", "by itself"])
async def test_a_stream_ends_within_a_second_of_its_login_wherever_that_ends(
    way: str, live: Client, other: Client, ada: User, db: asyncpg.Pool, listen: Listen
) -> None:
    await add(live, ada, "AAPL")
    user, refresh = await log_in(live, ada)
    listener = await listen(live, user)
    await end(way, other, user, db, refresh)

    assert await until_ended(listener) < SOON + BUSY
    await until_listening(live)
    assert not private_of(live)._open


async def test_other_logins_streams_go_on(live: Client, other: Client, ada: User, redis: Redis, listen: Listen) -> None:
    await add(live, ada, "AAPL")
    user, refresh = await log_in(live, ada)
    ending, going_on = await listen(live, user), await listen(live, ada)
    await other.post("/api/auth/logout", json={"refresh_token": refresh})
    await until_ended(ending)
    await tell(redis, "AAPL", "1")

    assert ("AAPL", 1) == await going_on.quote()


async def test_a_login_that_ends_before_the_first_look_ends_the_stream(
    live: Client, ada: User, db: asyncpg.Pool, listen: Listen
) -> None:
    """The process may know of the end before it has the stream."""
    login = await login_of(db, ada)

    async def known() -> bool:
        assert live.app is not None
        return bool(live.app[REVOCATIONS].have_ended({login}))

    with patch.object(PrivateStreams, "_end_logged_out"):
        listener = await listen(live, ada)
        async with acquire(db) as connection:
            await end_login(connection, login)
        await eventually(known)

    assert await until_ended(listener) < SOON + BUSY


async def test_one_statement_looks_for_all_lists_and_none_for_no_stream(
    live: Client, ada: User, listen: Listen
) -> None:
    bob = await register(live, "bob")
    with patch("api.watchlist.stream.select_lists", wraps=select_lists) as looks:
        await private_of(live)._follow_lists(frozenset())
        before = looks.call_count
        listeners = [await listen(live, user) for user in (ada, bob, ada)]
        opened = looks.call_count

        async def looked() -> bool:
            return looks.call_count > opened + 1

        await eventually(looked)

    assert 0 == before
    assert {ada.id, bob.id} == {user for user, _ in looks.call_args.args[1]}
    assert (2, 3) == (len(looks.call_args.args[1]), len(listeners))


async def test_public_and_private_streams_share_the_room(live: Client, ada: User, listen: Listen) -> None:
    tickets = [await ticket_of(live, ada) for _ in range(2)]
    with patch("api.streams.fanout.MAX_CLIENTS", 2):
        held = [
            await live.get("/api/stream?symbols=AAPL"),
            await live.get(f"{PATH}?ticket={tickets[0]}"),
        ]
        await until_clients(live, 2)
        answers = [await refusal(live, f"?ticket={tickets[1]}"), (await live.get("/api/stream?symbols=AAPL")).status]
    for each in held:
        each.close()

    assert [(503, "overloaded"), 503] == answers


async def test_a_client_that_is_gone_is_forgotten(live: Client, ada: User, listen: Listen) -> None:
    await add(live, ada, "AAPL")
    listener = await listen(live, ada)
    await until_listening(live, "AAPL")
    listener.response.close()
    await until_clients(live, 0)

    assert ({}, set()) == (streams_of(live)._by_symbol, private_of(live)._open)


async def test_a_shutdown_ends_private_streams_too(live: Client, ada: User, listen: Listen) -> None:
    listener = await listen(live, ada)
    closing = asyncio.create_task(close(live))

    await until_ended(listener)
    await closing


async def test_no_ticket_is_logged_or_told(live: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    with capture_logs() as logged, patch("api.http.middlewares.SLOW_REQUEST", 0.0):
        with patch.object(live.app[TICKETS], "redeem", side_effect=RuntimeError):
            broken = await live.get(f"{PATH}?ticket={ticket}")
        async with live.get(f"{PATH}?ticket={ticket}") as used:
            with patch("api.accounts.tickets.RELEASE_WAIT", 0):
                refused = await live.get(f"{PATH}?ticket={ticket}")

    assert [500, 200, 401] == [broken.status, used.status, refused.status]
    assert ["request_failed", "request", "request", "request"] == [line["event"] for line in logged]
    assert ticket not in str(logged)
    assert ticket not in await broken.text() + await refused.text()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server of this test alone."""
    with TemporaryDirectory(prefix="quotewell-") as home:
        server = Postgres(Path(home), throwaway=True)
        server.start()
        migrate(server.url())
        yield server
        server.stop()


async def test_streams_go_on_while_the_database_is_away_and_catch_up(
    postgres: Postgres, open_api: OpenApi, redis: Redis, listen: Listen
) -> None:
    live = await open_api(database_url=postgres.url())
    await until_followed(live)
    ada = await register(live, "ada")
    await add(live, ada, "AAPL")
    listener = await listen(live, ada)
    ticket = await ticket_of(live, ada)
    await asyncio.to_thread(postgres.stop)
    refused = await refusal(live, f"?ticket={ticket}")
    await tell(redis, "AAPL", "1")
    told = await listener.quote()
    await asyncio.to_thread(postgres.start)

    async def added() -> bool:
        response = await live.post("/api/watchlist", json={"symbol": "MSFT"}, headers=ada.headers)
        return response.status in (201, 409)

    await eventually(added)
    await tell(redis, "MSFT", "2")

    assert (503, "store_unavailable") == refused
    assert ("AAPL", 1) == told
    assert ("MSFT", 2) == await listener.quote()
