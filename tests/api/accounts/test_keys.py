"""API keys: made, listed, ended; what they open and what they do not; and that a known one costs no question to the database."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from api.accounts import keys, known_keys
from api.accounts.known_keys import KNOWN_KEYS
from api.accounts.revocations import REVOCATIONS
from api.http.keys import RESOURCES
from common.operations import user_reports, users
from common.store.accounts import keys as stored_keys
from common.store.accounts.users import delete_user
from common.store.connection.pool import acquire
from tests.api.conftest import PASSWORD, Client, OpenApi, Provider, User, register
from tests.harness.polling import eventually


async def make(client: Client, user: User, name: str = "a server", **more: object) -> dict[str, Any]:
    response = await client.post("/api/auth/keys", json={"name": name, **more}, headers=user.headers)
    body: dict[str, Any] = await response.json()
    assert 201 == response.status, body
    return body


async def listed(client: Client, user: User) -> list[dict[str, Any]]:
    response = await client.get("/api/auth/keys", headers=user.headers)
    found: list[dict[str, Any]] = (await response.json())["keys"]
    return found


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def status_of(client: Client, key: str, path: str = "/api/watchlist") -> int:
    return (await client.get(path, headers=bearer(key))).status


async def test_a_key_is_shown_once_and_stored_as_a_hash(api: Client, ada: User, db: asyncpg.Pool) -> None:
    made = await make(api, ada, " my server ", expires="2999-01-01T00:00:00Z")
    [row] = await listed(api, ada)
    [stored] = await db.fetch("SELECT * FROM api_keys")

    assert re.fullmatch("qw_[0-9a-f]{64}", made["key"])
    assert row == {name: value for name, value in made.items() if name != "key"}
    assert ("my server", "read", None) == (row["name"], row["scope"], row["used_at"])
    assert made["key"].startswith(row["prefix"])
    assert datetime(2999, 1, 1, tzinfo=UTC) == datetime.fromisoformat(row["expires_at"])
    assert made["key"] not in str(dict(stored))


async def test_a_key_reads_what_is_public_and_the_watchlist(api: Client, ada: User) -> None:
    await api.post("/api/watchlist", json={"symbol": "IBM"}, headers=ada.headers)
    key = (await make(api, ada))["key"]
    response = await api.get("/api/watchlist", headers=bearer(key))

    assert (200, ["IBM"]) == (response.status, (await response.json())["watchlist"])
    for path in ("/api/market/overview", "/api/stocks?symbols=IBM", "/api/health"):
        assert 200 == await status_of(api, key, path), path


WRITES = [
    ("GET", "/api/auth/me"),
    ("DELETE", "/api/auth/me"),
    ("POST", "/api/auth/password"),
    ("POST", "/api/auth/ticket"),
    ("POST", "/api/auth/keys"),
    ("GET", "/api/auth/keys"),
    ("DELETE", "/api/auth/keys/1"),
    ("POST", "/api/watchlist"),
    ("PUT", "/api/watchlist"),
    ("DELETE", "/api/watchlist/IBM"),
    ("GET", "/api/watchlist/export"),
    ("GET", "/api/ops/budget"),
    ("POST", "/api/ops/refresh"),
]


async def test_a_key_opens_no_route_that_writes_or_is_the_accounts_own(
    api: Client, ada: User, db: asyncpg.Pool
) -> None:
    await db.execute("UPDATE users SET scope = 'operator'")
    key = (await make(api, ada))["key"]

    for method, path in WRITES:
        response = await api.request(method, path, json={}, headers=bearer(key))
        assert (403, "insufficient_scope") == (response.status, (await response.json())["code"]), path


async def test_a_key_opens_no_route_but_those_that_say_so(api: Client, ada: User) -> None:
    """A new route is closed to keys until it is marked."""
    assert api.app is not None
    key = (await make(api, ada))["key"]
    private = [
        route
        for route in api.app.router.routes()
        if not getattr(route.handler, "is_public", False) and not getattr(route.handler, "is_readable", False)
    ]

    assert len(private) > len(WRITES)
    for route in private:
        assert route.resource is not None
        path = re.sub(r"{\w+}", "1", route.resource.canonical)
        assert 403 == (await api.request(route.method, path, headers=bearer(key))).status, (route.method, path)


@pytest.mark.parametrize(
    "form", ["qw_{}", "Bearer qw_{}0", "Bearer  qw_{}", "Basic qw_{}", "Bearer QW_{}", "Bearer qw_{}"]
)
async def test_what_is_not_a_key_of_ours_is_refused(api: Client, ada: User, form: str) -> None:
    await make(api, ada)
    response = await api.get("/api/watchlist", headers={"Authorization": form.format("0" * 64)})

    assert (401, "invalid_token") == (response.status, (await response.json())["code"])


async def test_two_authorization_headers_are_refused(api: Client, ada: User) -> None:
    key = (await make(api, ada))["key"]
    response = await api.get("/api/watchlist", headers=[("Authorization", f"Bearer {key}")] * 2)

    assert 400 == response.status


async def test_a_key_that_was_ended_stops_on_every_process_within_a_second(open_api: OpenApi) -> None:
    here, there = await open_api(), await open_api()
    ada = await register(here, "ada")
    made = await make(here, ada)
    key = made["key"]
    assert [200, 200] == [await status_of(process, key) for process in (here, there)]
    response = await here.delete(f"/api/auth/keys/{made['id']}", headers=ada.headers)
    again = await here.delete(f"/api/auth/keys/{made['id']}", headers=ada.headers)

    assert (200, 404) == (response.status, again.status)
    for process in (here, there):
        assert await eventually(partial(_is_refused, process, key), within=5)
    assert [] == await listed(here, ada)


async def _is_refused(client: Client, key: str) -> bool:
    return await status_of(client, key) == 401


async def lock(client: Client, user: User) -> None:
    await users.change_user(_resources(client), user.name, users.lock, by="cli:test")


async def reset(client: Client, user: User) -> None:
    step = lambda change: users.reset_password(change, "another horse battery")  # noqa: E731
    report = await users.change_user(_resources(client), user.name, step, by="cli:test")
    assert 1 == report.keys_ended


async def change_password(client: Client, user: User) -> None:
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert 200 == (await client.post("/api/auth/password", json=change, headers=user.headers)).status


async def delete(client: Client, user: User) -> None:
    async with acquire(_resources(client).db) as connection:
        assert await delete_user(connection, user.id)


def _resources(client: Client) -> Any:
    assert client.app is not None
    return client.app[RESOURCES]


@pytest.mark.parametrize("act", [lock, reset, change_password, delete])
async def test_a_new_password_a_lock_and_a_deletion_end_a_key(
    api: Client, ada: User, db: asyncpg.Pool, act: Callable[[Client, User], Awaitable[None]]
) -> None:
    grace = await register(api, "grace")
    key, other = [(await make(api, user))["key"] for user in (ada, grace)]
    assert [200, 200] == [await status_of(api, each) for each in (key, other)]

    await act(api, ada)

    assert await eventually(lambda: _is_refused(api, key), within=5)
    assert 200 == await status_of(api, other)
    assert act is not delete or ["", "a server"] == [
        row["name"] for row in await db.fetch("SELECT name FROM api_keys ORDER BY id")
    ]


async def test_logging_out_everywhere_leaves_keys(api: Client, ada: User) -> None:
    key = (await make(api, ada))["key"]
    await api.post("/api/auth/logout", json={"refresh_token": ada.refresh_token, "everywhere": True})

    assert 200 == await status_of(api, key)
    assert await eventually(lambda: _is_refused(api, ada.headers["Authorization"].partition(" ")[2]), within=5)
    assert 200 == await status_of(api, key)


async def test_a_key_that_expires_stops_although_this_process_knows_it(
    api: Client, ada: User, db: asyncpg.Pool
) -> None:
    key = (await make(api, ada))["key"]
    assert 200 == await status_of(api, key)
    await db.execute("UPDATE api_keys SET expires_at = clock_timestamp()")

    assert await eventually(lambda: _is_refused(api, key), within=5)
    assert [] == await listed(api, ada)


async def test_a_known_key_costs_no_question_to_the_database(
    api: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []

    async def select_key(*given: Any) -> tuple[int, int] | None:
        lookups.append(given)
        return await stored_keys.select_key(*given)

    monkeypatch.setattr(known_keys, "select_key", select_key)
    key = (await make(api, ada))["key"]
    for _ in range(5):
        assert 200 == await status_of(api, key)
        assert 200 == await status_of(api, key, "/api/stocks?symbols=IBM,MSFT")

    assert 1 == len(lookups)


async def test_while_the_poll_is_late_each_request_asks_whether_the_key_is_open(api: Client, ada: User) -> None:
    assert api.app is not None
    made = await make(api, ada)
    assert 200 == await status_of(api, made["key"])
    api.app[REVOCATIONS]._known_at = float("-inf")
    async with acquire(_resources(api).db) as connection:
        await connection.execute("UPDATE api_keys SET ended_at = clock_timestamp()")

    assert 401 == await status_of(api, made["key"])


async def test_the_keys_that_a_process_knows_are_bounded(
    api: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.app is not None
    monkeypatch.setattr(known_keys, "MAX_KNOWN", 2)
    made = [(await make(api, ada))["key"] for _ in range(4)]

    assert [200] * 4 == [await status_of(api, key) for key in made]
    assert 2 == len(api.app[KNOWN_KEYS]._known)


async def test_a_key_counts_for_its_account_everywhere(open_api: OpenApi, provider: Provider, db: asyncpg.Pool) -> None:
    api = await open_api(client_limit=8)
    ada = await register(api, "ada")
    key = (await make(api, ada))["key"]
    assert 200 == await status_of(api, key, "/api/stock/IBM?wait=10")
    spent = [await status_of(api, key, "/api/stocks?symbols=IBM") for _ in range(8)]

    assert f"user:{ada.id}" == await db.fetchval("SELECT asker FROM calls WHERE 'IBM' = ANY (subjects)")
    assert 429 == spent[-1]
    assert 429 == (await api.get("/api/auth/me", headers=ada.headers)).status
    assert 200 == (await api.get("/api/stocks?symbols=MSFT")).status


async def test_guessed_keys_are_limited_before_the_database_is_asked(
    open_api: OpenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []

    async def select_key(*given: Any) -> None:
        lookups.append(given)

    monkeypatch.setattr(known_keys, "select_key", select_key)
    api = await open_api(client_limit=3)
    private = [await status_of(api, f"qw_{number:064x}") for number in range(4)]
    public = await status_of(api, f"qw_{9:064x}", "/api/market/overview")

    assert [401, 401, 401, 429] == private
    assert 429 == public
    assert 3 == len(lookups)


async def test_an_unknown_key_reads_what_is_public_as_a_stranger(api: Client) -> None:
    assert 200 == await status_of(api, f"qw_{1:064x}", "/api/market/overview")


async def test_an_account_has_at_most_twenty_keys_also_if_made_at_once(
    api: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 3)
    statuses = await asyncio.gather(*(_try_to_make(api, ada) for _ in range(5)))
    first = (await listed(api, ada))[0]["id"]
    await api.delete(f"/api/auth/keys/{first}", headers=ada.headers)

    assert [201, 201, 201, 409, 409] == sorted(statuses)
    assert [201, 409] == [await _try_to_make(api, ada) for _ in range(2)]


async def _try_to_make(client: Client, user: User) -> int:
    response = await client.post("/api/auth/keys", json={"name": "x"}, headers=user.headers)
    assert response.status == 201 or (await response.json())["code"] == "keys_full"
    return response.status


async def test_a_login_that_has_just_ended_makes_no_key(api: Client, ada: User, db: asyncpg.Pool) -> None:
    """Its access token is still accepted until the next poll."""
    await db.execute("UPDATE logins SET ended_at = now() - interval '1 hour'")  # no poll looks so far back
    response = await api.post("/api/auth/keys", json={"name": "x"}, headers=ada.headers)

    assert (401, 0) == (response.status, await db.fetchval("SELECT count(*) FROM api_keys"))


async def test_nobody_sees_or_ends_anothers_key(api: Client, ada: User) -> None:
    made, grace = await make(api, ada), await register(api, "grace")
    answers = [
        (await api.delete(f"/api/auth/keys/{key}", headers=grace.headers)).status
        for key in (made["id"], "0", "x", "9" * 30, "-1", str(10**18 - 1))
    ]

    assert [] == await listed(api, grace)
    assert [404] * 6 == answers
    assert 200 == await status_of(api, made["key"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 101},
        {"name": 7},
        {"name": "x", "expires": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires": "2999-01-01T00:00:00"},
        {"name": "x", "expires": "9999-12-31T23:59:59-12:00"},
        {"name": "x", "expires": "tomorrow"},
        {"name": "x", "expires": 7},
        {"name": "x", "scope": "operator"},
    ],
)
async def test_a_wrong_key_is_refused_by_field(api: Client, ada: User, body: dict[str, object]) -> None:
    response = await api.post("/api/auth/keys", json=body, headers=ada.headers)

    assert (400, "invalid_request") == (response.status, (await response.json())["code"])


async def test_the_last_use_is_recorded_and_wakes_the_account(api: Client, ada: User, db: asyncpg.Pool) -> None:
    key = (await make(api, ada))["key"]
    await db.execute("UPDATE users SET asleep = true")
    await status_of(api, key)
    [row] = await listed(api, ada)

    assert datetime.fromisoformat(row["used_at"]) > datetime.now(UTC) - timedelta(minutes=5)
    assert not await db.fetchval("SELECT asleep FROM users")


async def test_making_and_ending_a_key_stand_in_the_audit(api: Client, ada: User, db: asyncpg.Pool) -> None:
    made = await make(api, ada)
    await api.delete(f"/api/auth/keys/{made['id']}", headers=ada.headers)
    acts = await db.fetch("SELECT event, actor, subject FROM audit WHERE event LIKE 'key%' ORDER BY id")
    report = await user_reports.report_user(_resources(api), "ada", most=5)

    about = (f"user:{ada.id}", f"key:{made['id']}")
    assert [("key_created", *about), ("key_ended", *about)] == [tuple(act) for act in acts]
    assert 0 == report.api_keys


async def test_keys_that_ended_long_ago_are_deleted(api: Client, ada: User, db: asyncpg.Pool) -> None:
    for _ in range(3):
        await make(api, ada)
    await db.execute(
        "UPDATE api_keys SET ended_at = now() - interval '3 days' WHERE id = (SELECT min(id) FROM api_keys)"
    )
    await db.execute(
        "UPDATE api_keys SET expires_at = now() - interval '3 days' WHERE id = (SELECT max(id) FROM api_keys)"
    )
    async with acquire(_resources(api).db) as connection:
        assert 2 == await stored_keys.delete_old_keys(connection, keep=timedelta(days=2))
