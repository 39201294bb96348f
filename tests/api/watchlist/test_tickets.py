"""Who opens a private stream: a ticket for its first use and its own reconnects, or an access token; nobody else, on two processes."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import patch

import asyncpg
import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from api.accounts.tickets import TICKETS
from api.quotes.reads import READS
from common.errors import StoreUnavailable
from common.store.accounts.tickets import delete_old_tickets
from common.store.connection.pool import acquire
from tests.api.conftest import Client, OpenApi, User, register
from tests.api.listening import Listener, listening, tell, until_clients, until_followed
from tests.harness.polling import eventually

PATH = "/api/watchlist/stream"
BARE = 'Bearer realm="quotewell"'


@pytest.fixture
async def live(open_api: OpenApi) -> Client:
    """A process that follows the events, behind one proxy."""
    client = await open_api(trusted_proxies=1)
    await until_followed(client)
    return client


@pytest.fixture
async def other(open_api: OpenApi) -> Client:
    """Another one."""
    client = await open_api(trusted_proxies=1)
    await until_followed(client)
    return client


@pytest.fixture
async def ada(live: Client) -> User:
    return await register(live, "ada")


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A reconnect waits for its old stream as long as a busy machine may need."""
    with patch("api.accounts.tickets.RELEASE_WAIT", 20):
        yield


@pytest.fixture
def impatient(patient: None) -> Iterator[None]:
    """A ticket in use is refused at once."""
    with patch("api.accounts.tickets.RELEASE_WAIT", 0):
        yield


async def ticket_of(client: Client, user: User) -> str:
    async with client.post("/api/auth/ticket", headers=user.headers) as answer:
        assert 201 == answer.status
        return str((await answer.json())["ticket"])


async def connect(client: Client, ticket: str, network: str = "192.0.2", **headers: str) -> ClientResponse:
    """What a client of this network gets for a ticket."""
    headers = {"X-Forwarded-For": f"{network}.7", **headers}
    return await client.get(f"{PATH}?ticket={ticket}", headers=headers)


async def status(client: Client, ticket: str, network: str = "192.0.2") -> int:
    async with await connect(client, ticket, network) as answer:
        return answer.status


async def leave(client: Client, stream: ClientResponse, db: asyncpg.Pool) -> None:
    """Close a stream, and wait until that is noted."""
    stream.close()
    await eventually(lambda: noted(db))


async def noted(db: asyncpg.Pool) -> bool:
    return bool(await db.fetchval("SELECT bool_and(left_at IS NOT NULL) FROM tickets WHERE stream > 0"))


async def test_a_browser_that_reconnects_with_its_ticket_resumes(
    live: Client, other: Client, ada: User, db: asyncpg.Pool, redis: Redis
) -> None:
    """As EventSource does: the same address with the last id, at once, whichever process answers."""
    for symbol in ("AAPL", "MSFT"):
        await live.post("/api/watchlist", json={"symbol": symbol}, headers=ada.headers)
    await db.execute("UPDATE watchlist_items SET added_at = added_at - interval '1 hour'")
    ticket = await ticket_of(live, ada)
    await tell(redis, "AAPL", "1")
    last = ""
    for price, client in (("2", other), ("3", live), ("4", live)):
        stream = Listener(await connect(client, ticket, **({"Last-Event-ID": last} if last else {})))
        assert (200, {"retry": "3000"}) == (stream.response.status, await stream.block())
        told = await tell(redis, "MSFT", price)
        while (block := await stream.block()).get("id") != told:
            assert not last, block
        last = told
        stream.response.close()


async def test_a_reconnect_waits_until_its_old_stream_is_noted_as_ended(live: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    for _ in range(3):
        assert 200 == await status(live, ticket)


@pytest.mark.usefixtures("impatient")
async def test_of_uses_at_once_on_two_processes_one_succeeds(live: Client, other: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    answers = await asyncio.gather(*(connect((live, other)[number % 2], ticket) for number in range(8)))
    for answer in answers:
        answer.close()

    assert [200] + [401] * 7 == sorted(answer.status for answer in answers)


@pytest.mark.usefixtures("impatient")
async def test_of_reconnects_at_once_one_succeeds(live: Client, other: Client, ada: User, db: asyncpg.Pool) -> None:
    ticket = await ticket_of(live, ada)
    await leave(live, await connect(live, ticket), db)
    answers = await asyncio.gather(*(connect((live, other)[number % 2], ticket) for number in range(8)))
    for answer in answers:
        answer.close()

    assert [200] + [401] * 7 == sorted(answer.status for answer in answers)


@pytest.mark.usefixtures("impatient")
async def test_a_ticket_whose_stream_is_open_is_refused_and_the_stream_goes_on(
    live: Client, other: Client, ada: User, redis: Redis
) -> None:
    await live.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)
    ticket = await ticket_of(live, ada)
    stream = Listener(await connect(live, ticket))
    await stream.block()
    refused = [await connect(client, ticket, **{"Last-Event-ID": "1-1"}) for client in (live, other)]
    await tell(redis, "AAPL", "1")

    assert [401, 401] == [answer.status for answer in refused]
    assert ("AAPL", 1) == await stream.quote()


OWN = "192.0.2"  # the network of the first use
RECONNECTS = [  # what happens after the stream has ended, the network of the reconnect, its status
    ("", OWN, 200),
    ("", "192.0.3", 401),  # whoever found the ticket in a log
    ("", "198.51.100", 401),
    ("UPDATE tickets SET left_at = left_at - interval '110 seconds'", OWN, 200),
    ("UPDATE tickets SET left_at = left_at - interval '121 seconds'", OWN, 401),
    ("UPDATE tickets SET expires_at = expires_at - interval '23:59:00'", OWN, 200),
    ("UPDATE tickets SET expires_at = expires_at - interval '24:00:01'", OWN, 401),
    ("UPDATE logins SET opened_at = opened_at - interval '90 days'", OWN, 401),
    ("UPDATE logins SET ended_at = now()", OWN, 401),
]


async def test_a_reconnect_comes_soon_from_the_same_network_for_a_day_while_the_login_is_open(
    live: Client, ada: User, db: asyncpg.Pool
) -> None:
    found = []
    for happens, network, _ in RECONNECTS:
        await db.execute("DELETE FROM tickets; UPDATE logins SET opened_at = now()")
        ticket = await ticket_of(live, ada)
        await leave(live, await connect(live, ticket, OWN), db)
        await db.execute(happens or "SELECT")
        found.append((happens, network, await status(live, ticket, network)))

    assert RECONNECTS == found


async def test_the_first_use_must_come_within_thirty_seconds(live: Client, ada: User, db: asyncpg.Pool) -> None:
    tickets = [await ticket_of(live, ada) for _ in range(2)]
    await db.execute("UPDATE tickets SET expires_at = expires_at - interval '20 seconds'")
    early = await status(live, tickets[0])
    await db.execute("UPDATE tickets SET expires_at = expires_at - interval '10 seconds' WHERE stream = 0")

    assert (200, 401) == (early, await status(live, tickets[1]))


async def test_a_ticket_of_a_process_that_was_killed_is_good_for_another(
    live: Client, other: Client, ada: User, db: asyncpg.Pool
) -> None:
    """It never noted the end of its streams; three seconds without a sign say that it is dead."""
    ticket = await ticket_of(live, ada)
    await db.execute("INSERT INTO stream_hosts VALUES ('killed', clock_timestamp())")
    await db.execute(
        "UPDATE tickets SET stream = 1, host = 'killed', network = '192.0.2.0/24', expires_at = now() + interval '1 day'"
    )
    with patch("api.accounts.tickets.RELEASE_WAIT", 0):
        assert 401 == await status(other, ticket)
    await db.execute("UPDATE stream_hosts SET seen_at = clock_timestamp() - interval '4 seconds' WHERE id = 'killed'")

    assert [401, 200] == [await status(other, ticket, network) for network in ("198.51.100", "192.0.2")]


@pytest.mark.usefixtures("impatient")
async def test_a_ticket_of_a_process_that_died_long_ago_is_refused(live: Client, ada: User, db: asyncpg.Pool) -> None:
    ticket = await ticket_of(live, ada)
    await db.execute("UPDATE tickets SET stream = 1, host = 'killed', network = '192.0.2.0/24'")
    unknown = await status(live, ticket)
    await db.execute("INSERT INTO stream_hosts VALUES ('killed', clock_timestamp() - interval '2 minutes')")

    assert [401, 401] == [unknown, await status(live, ticket)]


async def test_a_process_gives_signs_while_it_has_private_streams(live: Client, ada: User, db: asyncpg.Pool) -> None:
    stream = await connect(live, await ticket_of(live, ada))
    first = await db.fetchval("SELECT max(seen_at) FROM stream_hosts")

    async def seen_again() -> bool:
        return bool(await db.fetchval("SELECT max(seen_at) > $1 FROM stream_hosts", first))

    await eventually(seen_again)
    stream.close()


async def test_the_end_of_an_old_stream_frees_no_newer_one(live: Client, ada: User, db: asyncpg.Pool) -> None:
    """Its process was thought dead, and the ticket was taken again meanwhile."""
    ticket = await ticket_of(live, ada)
    stream = await connect(live, ticket)
    await db.execute("UPDATE tickets SET stream = 2")
    stream.close()
    await until_clients(live, 0)
    await eventually(lambda: nothing_to_note(live))

    assert not await noted(db)


async def nothing_to_note(client: Client) -> bool:
    assert client.app is not None
    return not client.app[TICKETS]._left


async def test_a_stream_that_cannot_begin_gives_its_ticket_back(live: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    with patch("api.watchlist.stream.select_lists", side_effect=StoreUnavailable("away")):
        assert 503 == await status(live, ticket)

    assert 200 == await status(live, ticket)


async def test_an_access_token_opens_the_stream(live: Client, ada: User, redis: Redis) -> None:
    await live.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)
    async with listening() as listen:
        streams = [await listen(live, PATH + query, **ada.headers) for query in ("", "?ticket=")]
        await tell(redis, "AAPL", "1")

        assert [("AAPL", 1)] * 2 == [await stream.quote() for stream in streams]


async def test_the_stream_of_an_access_token_ends_with_its_login(live: Client, other: Client, ada: User) -> None:
    async with listening() as listen:
        stream = await listen(live, PATH, **ada.headers)
        await other.post("/api/auth/logout", json={"refresh_token": ada.refresh_token})
        async with asyncio.timeout(5):
            assert b"" == await stream.response.content.read()
    async with live.get(PATH, headers=ada.headers) as refused:
        assert 401 == refused.status


@pytest.mark.parametrize("way", ["token", "ticket"])
async def test_a_stream_ends_at_the_end_of_its_login(live: Client, ada: User, db: asyncpg.Pool, way: str) -> None:
    query = f"?ticket={await ticket_of(live, ada)}" if way == "ticket" else ""
    await db.execute("UPDATE logins SET opened_at = now() - interval '90 days' + interval '2 seconds'")
    async with listening() as listen:
        stream = await listen(live, PATH + query, **(ada.headers if way == "token" else {}))
        async with asyncio.timeout(10):
            assert b"" == await stream.response.content.read()
    async with live.get(PATH, headers=ada.headers) as refused:
        assert 401 == refused.status


async def test_the_challenge_is_that_of_rfc_6750(live: Client, ada: User) -> None:
    ticket = await ticket_of(live, ada)
    basic = {"Authorization": "Basic YTpi"}
    cases: list[tuple[str, dict[str, str], int, str]] = [
        ("", {}, 401, BARE),
        ("?ticket=", {}, 401, BARE),
        ("", basic, 401, BARE),
        ("?ticket=x", {}, 401, f'{BARE}, error="invalid_token"'),
        ("", {"Authorization": "Bearer x"}, 401, f'{BARE}, error="invalid_token"'),
        ("?ticket=x", basic, 401, f'{BARE}, error="invalid_token"'),
        (f"?ticket={ticket}", ada.headers, 400, f'{BARE}, error="invalid_request"'),
    ]
    for query, headers, expected, challenge in cases:
        async with live.get(PATH + query, headers=headers) as answer:
            assert (expected, challenge) == (answer.status, answer.headers["WWW-Authenticate"]), query
    async with live.get(f"{PATH}?ticket={ticket}", headers=basic) as answer:  # a site's own password is no second proof
        assert 200 == answer.status


async def test_whoever_reads_a_private_stream_counts_as_a_user(live: Client, ada: User, redis: Redis) -> None:
    await live.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)
    await tell(redis, "AAPL", "1")
    proofs: list[tuple[str, dict[str, str]]] = [(f"?ticket={await ticket_of(live, ada)}", {}), ("", ada.headers)]
    assert live.app is not None
    with patch.object(live.app[READS], "count") as counted:
        for query, headers in proofs:
            async with live.get(PATH + query, headers=headers) as answer:
                assert 200 == answer.status

    assert [f"user:{ada.id}"] * 2 == [call.kwargs["by"] for call in counted.call_args_list]


async def test_old_tickets_and_dead_processes_are_forgotten(live: Client, ada: User, db: asyncpg.Pool) -> None:
    kept, gone = await ticket_of(live, ada), await ticket_of(live, ada)
    await db.execute("UPDATE tickets SET expires_at = now() WHERE hash = sha256($1)", gone.encode())
    await db.execute("INSERT INTO stream_hosts VALUES ('old', now() - interval '2 days'), ('new', now())")
    async with acquire(db) as connection:
        assert 1 == await delete_old_tickets(connection, keep=timedelta(days=1))

    assert 0 == await db.fetchval("SELECT count(*) FROM stream_hosts WHERE id = 'old'")
    assert 200 == await status(live, kept)
