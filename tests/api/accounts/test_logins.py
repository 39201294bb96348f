"""Logins: refresh tokens that are good once, logout here and everywhere, locks, another password, on every process within a second."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import jwt
import pytest

from api.accounts.revocations import REVOCATIONS
from common.core.secrets import digest
from common.store.accounts.logins import delete_old_logins, end_logins, insert_login
from common.store.accounts.users import update_locked, update_seen
from common.store.connection.pool import acquire
from tests.api.accounts.devices import Device, log_in, me, out, pass_days, pass_grace, post, refresh, register
from tests.api.conftest import PASSWORD, Client, OpenApi
from tests.harness.polling import eventually

ANOTHER = "another correct horse"


@pytest.mark.parametrize("path", ["register", "login"])
async def test_who_comes_in_gets_what_goes_on(api: Client, path: str) -> None:
    content = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
    if path == "login":
        await post(api, "register", content)
    _, body = await post(api, path, content)

    assert ("Bearer", 3600) == (body["token_type"], body["expires_in"])
    assert 43 == len(body["refresh_token"])


async def test_a_refresh_token_gets_the_next_tokens_of_the_login(api: Client) -> None:
    device = await register(api)
    status, body = await refresh(api, device)
    next_device = Device(body["access_token"], body["refresh_token"])
    sids = [
        jwt.decode(text, options={"verify_signature": False})["sid"] for text in (device.access, next_device.access)
    ]

    assert 200 == status
    assert "ada" == body["user"]["username"]
    assert next_device.refresh != device.refresh
    assert sids[0] == sids[1]
    assert [200, 200] == [await me(api, each) for each in (device, next_device)]
    assert 200 == (await refresh(api, next_device))[0]


async def test_a_refresh_token_that_comes_again_ends_its_login_and_no_other(api: Client, db: asyncpg.Pool) -> None:
    stolen = await register(api)
    other = await log_in(api)
    _, body = await refresh(api, stolen)
    thief = Device(body["access_token"], body["refresh_token"])
    await pass_grace(db)
    status, refused = await refresh(api, stolen)

    assert (401, "invalid_token") == (status, refused["code"])
    assert 401 == (await refresh(api, thief))[0]
    await out(api, thief)
    assert 200 == await me(api, other)
    assert 1 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'token_reused'")


async def test_what_is_no_refresh_token_of_ours_is_401(api: Client) -> None:
    status, body = await post(api, "refresh", {"refresh_token": "x" * 43})

    assert (401, "invalid_token") == (status, body["code"])


@pytest.mark.parametrize(
    "content",
    [{}, {"refresh_token": 7}, {"refresh_token": ""}, {"refresh_token": "é\u0001"}, {"refresh_token": "x", "more": 1}],
)
async def test_a_wrong_body_is_400(api: Client, content: dict[str, Any]) -> None:
    for path in ("refresh", "logout"):
        status, body = await post(api, path, content)

        assert (400, "invalid_request") == (status, body["code"])


async def test_an_access_token_is_no_refresh_token_and_the_reverse(api: Client) -> None:
    device = await register(api)

    assert 400 == (await post(api, "refresh", {"refresh_token": device.access}))[0]
    assert 401 == await me(api, Device(device.refresh, device.refresh))


async def test_an_expired_refresh_token_is_refused(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    await db.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'")

    assert 401 == (await refresh(api, device))[0]


async def test_a_refresh_token_is_stored_as_a_hash_only(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    rows = [str(dict(row)) for row in await db.fetch("SELECT * FROM refresh_tokens")]

    assert 1 == len(rows)
    assert device.refresh not in rows[0]


async def test_a_refresh_gives_the_scope_that_the_account_has_by_now(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    await db.execute("UPDATE users SET scope = 'operator'")
    _, body = await refresh(api, device)

    assert "operator" == jwt.decode(body["access_token"], options={"verify_signature": False})["scope"]


async def test_a_logout_holds_on_every_process_within_a_second(api: Client, open_api: OpenApi) -> None:
    other = await open_api()
    device, stays = await register(api), await log_in(api)
    assert [200, 200] == [await me(client, device) for client in (api, other)]
    status, _ = await post(api, "logout", {"refresh_token": device.refresh})

    assert 200 == status
    await out(other, device)
    await out(api, device)
    assert 401 == (await refresh(other, device))[0]
    assert 200 == await me(other, stays)


async def test_a_logout_everywhere_ends_all_logins_of_the_account_and_no_other(api: Client, open_api: OpenApi) -> None:
    other = await open_api()
    devices = [await register(api), await log_in(api), await log_in(other)]
    bob = await register(api, "bob")
    await post(api, "logout", {"refresh_token": devices[0].refresh, "everywhere": True})

    for device in devices:
        await out(other, device)
    assert 200 == await me(other, bob)


async def test_a_logout_is_answered_alike_whatever_its_token_is(api: Client, db: asyncpg.Pool) -> None:
    """RFC 7009: a client that is logged out already has what it wants. The answer shows nobody which tokens exist."""
    device, other, expired = await register(api), await log_in(api), await log_in(api)
    await refresh(api, other)
    await db.execute(
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 second' WHERE hash = $1", digest(expired.refresh)
    )
    tokens = [device.refresh, device.refresh, other.refresh, expired.refresh, "x" * 43]
    answers = [await post(api, "logout", {"refresh_token": token}) for token in tokens]

    assert [(200, {"message": "logged out"})] * 5 == answers
    assert 2 == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("way", ["used", "used long ago", "logout", "everywhere", "password", "ended", "past its end"])
async def test_only_an_unused_token_of_an_open_login_logs_out(
    api: Client, db: asyncpg.Pool, way: str, everywhere: bool
) -> None:
    old = await register(api)
    if way.startswith("used"):
        await refresh(api, old)
    elif way in ("logout", "everywhere"):
        await post(api, "logout", {"refresh_token": old.refresh, "everywhere": way == "everywhere"})
    elif way == "password":
        content = {"current_password": PASSWORD, "new_password": ANOTHER}
        await post(api, "password", content, headers=old.headers)
    elif way == "ended":
        await db.execute("UPDATE logins SET ended_at = now()")
    else:
        await pass_days(db, 91)
    if way == "used long ago":
        await pass_grace(db)
    await log_in(api, password=ANOTHER if way == "password" else PASSWORD)
    before = await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")
    acts = await db.fetchval("SELECT count(*) FROM audit")
    status, _ = await post(api, "logout", {"refresh_token": old.refresh, "everywhere": everywhere})

    assert 200 == status
    assert before == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")
    assert acts == await db.fetchval("SELECT count(*) FROM audit")


async def test_a_logout_that_waits_for_a_new_password_ends_nothing(
    open_api: OpenApi, db: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is open when the logout begins, and ended when its turn comes. The login of the new password stays."""
    monkeypatch.setattr("api.app.STATEMENT_TIMEOUT", 10.0)  # it must wait for this test, however busy the machine is
    api = await open_api()
    old = await register(api)
    async with acquire(db) as connection, connection.transaction():
        user = await connection.fetchval("SELECT id FROM users FOR NO KEY UPDATE")
        leaving = asyncio.create_task(post(api, "logout", {"refresh_token": old.refresh, "everywhere": True}))
        await eventually(lambda: waits_for_a_lock(db))
        await end_logins(connection, user)
        await connection.execute("INSERT INTO logins (user_id) VALUES ($1)", user)

    assert 200 == (await leaving)[0]
    assert 1 == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")
    assert 0 == await db.fetchval("SELECT count(*) FROM audit WHERE event LIKE 'logged_out%'")


async def test_two_logins_of_an_account_after_an_idle_day_do_not_wait_for_each_other(
    api: Client, db: asyncpg.Pool
) -> None:
    """Each also notes that the user is active again."""
    await register(api)
    await db.execute("UPDATE users SET seen_at = now() - interval '1 day'")
    user, hashed = await db.fetchrow("SELECT id, password_hash FROM users")

    async def log_in_slowly(waited: Callable[[], Awaitable[None]]) -> bool:
        async with acquire(db) as connection, connection.transaction():
            opened = await insert_login(connection, user, hashed, lasts=timedelta(days=1))
            await waited()
            await update_seen(connection, user)
        return opened is not None

    async def for_the_second() -> None:
        second.append(asyncio.create_task(log_in_slowly(at_once)))
        await eventually(lambda: waits_for_a_lock(db))

    async def at_once() -> None:
        pass

    second: list[asyncio.Task[bool]] = []

    assert await log_in_slowly(for_the_second)
    assert await second[0]


async def waits_for_a_lock(db: asyncpg.Pool) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(await db.fetchval(waiting))


async def test_another_password_ends_all_logins_and_opens_one(api: Client, open_api: OpenApi) -> None:
    other = await open_api()
    device, second = await register(api), await log_in(api)
    content = {"current_password": PASSWORD, "new_password": ANOTHER}
    status, body = await post(api, "password", content, headers=device.headers)

    assert 200 == status
    for old in (device, second):
        await out(other, old)
    assert 200 == await me(other, Device(body["access_token"], body["refresh_token"]))
    assert 401 == (await post(api, "login", {"username": "ada", "password": PASSWORD}))[0]
    await log_in(api, password=ANOTHER)


async def test_another_password_needs_the_present_one_and_follows_the_policy(api: Client) -> None:
    device = await register(api)
    wrong = {"current_password": "wrong password", "new_password": ANOTHER}
    short = {"current_password": PASSWORD, "new_password": "short"}

    assert (401, "invalid_credentials") == await _code(post(api, "password", wrong, headers=device.headers))
    assert (400, "invalid_request") == await _code(post(api, "password", short, headers=device.headers))
    assert (401, "invalid_token") == await _code(post(api, "password", wrong))
    await log_in(api)


async def _code(answer: Awaitable[tuple[int, dict[str, Any]]]) -> tuple[int, str]:
    status, body = await answer
    return status, body["code"]


async def test_of_two_changes_at_once_one_wins(api: Client) -> None:
    device = await register(api)
    contents = [{"current_password": PASSWORD, "new_password": f"{ANOTHER} {number}"} for number in range(2)]
    answers = await asyncio.gather(*(post(api, "password", each, headers=device.headers) for each in contents))
    won = [status for status, _ in answers].index(200)

    assert [200, 401] == sorted(status for status, _ in answers)
    await log_in(api, password=contents[won]["new_password"])


async def test_a_locked_account_is_out_everywhere_and_stays_out(
    api: Client, open_api: OpenApi, db: asyncpg.Pool
) -> None:
    other = await open_api()
    device = await register(api)
    async with acquire(db) as connection, connection.transaction():
        user = await connection.fetchval("SELECT id FROM users")
        await update_locked(connection, user, locked=True)
        await end_logins(connection, user)

    await out(other, device)
    locked = await post(other, "login", {"username": "ada", "password": PASSWORD})
    wrong = await post(other, "login", {"username": "ada", "password": "wrong password"})
    assert (401, 401) == (locked[0], wrong[0])
    assert locked[1]["error"] == wrong[1]["error"]
    assert 401 == (await refresh(other, device))[0]


async def test_a_lock_that_comes_amid_a_login_wins(api: Client, db: asyncpg.Pool) -> None:
    await register(api)
    async with acquire(db) as connection, connection.transaction():
        user = await connection.fetchval("SELECT id FROM users")
        await update_locked(connection, user, locked=True)
        login = asyncio.create_task(post(api, "login", {"username": "ada", "password": PASSWORD}))

        async def waits() -> bool:
            return bool(await db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await eventually(waits)
        await end_logins(connection, user)

    assert 401 == (await login)[0]
    assert 0 == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")


async def test_a_scope_that_is_taken_amid_a_login_is_not_in_its_token(api: Client, db: asyncpg.Pool) -> None:
    await register(api)
    await db.execute("UPDATE users SET scope = 'operator'")
    async with acquire(db) as connection, connection.transaction():
        await connection.execute("UPDATE users SET scope = ''")
        login = asyncio.create_task(post(api, "login", {"username": "ada", "password": PASSWORD}))

        async def waits() -> bool:
            return bool(await db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await eventually(waits)
    _, body = await login

    assert "" == jwt.decode(body["access_token"], options={"verify_signature": False})["scope"]


async def test_when_nobody_tells_of_logouts_each_request_asks(api: Client, db: asyncpg.Pool) -> None:
    device, gone = await register(api), await log_in(api)
    assert api.app is not None
    revocations = api.app[REVOCATIONS]
    revocations.__init__(revocations._resources)  # type: ignore[misc]  # nothing is known
    await post(api, "logout", {"refresh_token": gone.refresh})
    revocations._known_at = float("-inf")

    assert (200, 401) == (await me(api, device), await me(api, gone))


async def test_a_deleted_account_leaves_nothing_personal(api: Client, open_api: OpenApi, db: asyncpg.Pool) -> None:
    other = await open_api()
    device = await register(api)
    await api.post("/api/watchlist", json={"symbol": "AAPL"}, headers=device.headers)
    async with api.delete("/api/auth/me", json={"password": "wrong password"}, headers=device.headers) as refused:
        assert 401 == refused.status
    async with api.delete("/api/auth/me", json={"password": PASSWORD}, headers=device.headers) as done:
        assert 200 == done.status

    await out(other, device)
    assert 401 == (await refresh(api, device))[0]
    for table in ("users", "watchlist_items", "tickets"):
        assert 0 == await db.fetchval(f"SELECT count(*) FROM {table}")
    assert 0 == await db.fetchval("SELECT watchers FROM symbols WHERE symbol = 'AAPL'")
    rows = await db.fetch("SELECT event, user_id, address FROM audit ORDER BY id")
    assert [("registered", None, None), ("account_deleted", None, None)] == [tuple(row) for row in rows]
    await register(api)


async def test_accounts_that_watch_the_same_are_deleted_at_once(api: Client, db: asyncpg.Pool) -> None:
    devices = [await register(api, f"user{number}") for number in range(8)]
    symbols = [f"S{number}" for number in range(30)]
    for number in range(len(devices)):
        await db.execute(
            """
            INSERT INTO watchlist_items (user_id, symbol, added_at)
            SELECT u.id, s, now() FROM users u, unnest($2::text[]) WITH ORDINALITY AS w (s, n) WHERE u.username = $1
            ORDER BY n * $3 % 31
            """,
            f"user{number}",
            symbols,
            number + 1,
        )

    async def delete(number: int) -> None:
        await db.execute("DELETE FROM users WHERE username = $1", f"user{number}")

    await asyncio.gather(*(delete(number) for number in range(len(devices))))

    assert [0] * 30 == [row["watchers"] for row in await db.fetch("SELECT watchers FROM symbols")]


async def test_the_audit_has_who_came_and_failed_and_no_secret(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    await post(api, "login", {"username": "ada", "password": "a wrong secret"})
    await post(api, "login", {"username": "a tried secret", "password": "a wrong secret"})
    await post(api, "logout", {"refresh_token": device.refresh}, headers={"X-Request-ID": "me-1"})
    rows = await db.fetch("SELECT * FROM audit ORDER BY id")
    user = await db.fetchval("SELECT id FROM users")

    assert [
        ("registered", user, f"user:{user}"),
        ("login_failed", user, "anybody"),
        ("login_failed", None, "anybody"),
        ("logged_out", user, f"user:{user}"),
    ] == [(row["event"], row["user_id"], row["actor"]) for row in rows]
    assert ("me-1", "127.0.0.1") == (rows[-1]["request_id"], rows[-1]["address"])
    assert not {"secret", device.refresh, PASSWORD} & set(str([dict(row) for row in rows]).split("'"))


async def test_old_logins_and_tickets_are_forgotten_open_ones_are_not(api: Client, db: asyncpg.Pool) -> None:
    over, gone, stays = await register(api), await log_in(api), await log_in(api)
    for device in (over, stays):
        await post(api, "ticket", {}, headers=device.headers)
    await post(api, "logout", {"refresh_token": over.refresh})
    await db.execute("UPDATE logins SET ended_at = now() - interval '3 days' WHERE ended_at IS NOT NULL")
    await db.execute(
        "UPDATE refresh_tokens SET expires_at = now() - interval '3 days' WHERE login_id = $1",
        int(jwt.decode(gone.access, options={"verify_signature": False})["sid"]),
    )
    async with acquire(db) as connection:
        forgotten = await delete_old_logins(connection, keep=(await connection.fetchval("SELECT interval '2 days'")))

    assert 2 == forgotten
    assert 200 == (await refresh(api, stays))[0]
    assert 1 == await db.fetchval("SELECT count(*) FROM tickets")


async def test_an_account_is_deleted_once_whoever_asks_at_once(api: Client) -> None:
    device = await register(api)

    async def delete() -> int:
        async with api.delete("/api/auth/me", json={"password": PASSWORD}, headers=device.headers) as response:
            return response.status

    statuses = sorted(await asyncio.gather(*(delete() for _ in range(5))))

    assert [200, 401, 401, 401, 401] == statuses


async def test_a_process_that_was_stopped_for_long_hears_of_what_ended_meanwhile(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    assert 200 == await me(api, device)
    assert api.app is not None
    revocations = api.app[REVOCATIONS]
    revocations._seen_at = await db.fetchval("SELECT now() - interval '10 minutes'")
    await db.execute("UPDATE logins SET ended_at = now() - interval '5 minutes'")
    await revocations._poll()

    assert 401 == await me(api, device)


async def test_a_dead_token_fills_no_audit(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    for _ in range(3):
        await post(api, "logout", {"refresh_token": device.refresh})

    assert 1 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'logged_out'")
