"""What is stored about a person: the export has all of it, and a deletion leaves nothing, whichever way it comes.

`PERSONAL` and `ABOUT_NOBODY` name every table. A new one fails here until it is in one of them: with a part of the export, and forgotten
when its user is deleted.
"""

import json
import re
from typing import Any

import asyncpg
import pytest

from api.http.keys import RESOURCES
from common.core.models import CallClass, Function
from common.operations import personal
from common.operations.personal import erase_user
from common.store.budget.queue import enqueue
from common.store.connection.pool import Connection, acquire
from tests.api.conftest import PASSWORD, Client, User, register

PERSONAL = {  # table: its part of the export, and columns that are left out because they are secret or about nobody
    "users": ("account", {"password_hash", "password_scheme"}),
    "watchlist_items": ("watchlist", {"user_id"}),
    "logins": ("logins", {"user_id"}),
    "refresh_tokens": ("refresh_tokens", {"hash"}),
    "tickets": ("tickets", {"hash", "host"}),
    "api_keys": ("api_keys", {"user_id", "hash"}),
    "password_resets": ("resets", {"user_id", "hash", "mail_id"}),
    "outbox": ("mail", {"id"}),
    "demand": ("queued", {"asker", "groups", "call", "taken_until"}),
    "credits": ("credits", {"asker"}),
    "calls": ("calls", {"asker", "account", "caller", "groups"}),
    "refresh_jobs": ("refresh_jobs", {"queued_by"}),
    "audit": ("acts", set()),
}
ABOUT_NOBODY = {
    "attempts",
    "bars_state",
    "daily_bars",
    "history_thinning",
    "ledgers",
    "listing_state",
    "listings",
    "pulses",
    "quote_history",
    "quotes",
    "refresh_items",  # the symbols of a job
    "stream_hosts",
    "searches",  # texts without who searched
    "symbols",
}
TELLING = {"user_id", "asker", "actor", "address", "email", "username", "queued_by", "login_id", "requester"}
COLUMNS = """
    SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name !~ 'yoyo|^_function_hash$' GROUP BY table_name
"""
LEADING_TO_USERS = """
    WITH RECURSIVE led AS (
        SELECT 'users'::regclass::oid AS relation
        UNION SELECT conrelid FROM pg_constraint JOIN led ON confrelid = relation WHERE contype = 'f'
    )
    SELECT relation::regclass::text FROM led
"""


async def columns_of(db: asyncpg.Pool) -> dict[str, set[str]]:
    return {row["table_name"]: set(row["columns"]) for row in await db.fetch(COLUMNS)}


def address_of(user: User) -> str:
    return f"203.0.113.{user.id}"


async def plant(api: Client, user: User, db: asyncpg.Pool) -> None:
    """Store something about a user in every table that can hold it."""
    assert api.app is not None
    resources = api.app[RESOURCES]
    here = {"X-Request-ID": f"{user.name}-1"}
    await api.post("/api/watchlist", json={"symbol": "ORCL"}, headers=user.headers | here)
    await api.post("/api/auth/ticket", headers=user.headers)
    await api.post("/api/auth/login", json={"username": user.name, "password": "a wrong password"}, headers=here)
    await api.post("/api/auth/keys", json={"name": user.name}, headers=user.headers)
    name = f"user:{user.id}"
    async with acquire(resources.db) as connection:
        await enqueue(
            connection, resources.budget, Function.QUOTE, [f"OWN{user.id}"], CallClass.USER, requester=name, most=9
        )
    await db.execute("INSERT INTO credits VALUES ($1, 'NOSUCH', now()) ON CONFLICT DO NOTHING", name)
    await db.execute("INSERT INTO refresh_jobs (queued_at, queued_by, request_id) VALUES (now(), $1, 'a')", name)
    await db.execute("INSERT INTO audit (event, actor, subject) VALUES ('symbol_pinned', $1, 'IBM')", name)
    await db.execute("UPDATE audit SET address = $2 WHERE user_id = $1", user.id, address_of(user))
    await db.execute(
        """
        WITH mail AS (
            INSERT INTO outbox (kind, content, expires_at) VALUES ('reset', jsonb_build_object('name', upper($1::text)), now())
            RETURNING id
        )
        INSERT INTO password_resets (mail_id, user_id, hash, expires_at)
        SELECT id, $2, sha256(gen_random_uuid()::text::bytea), now() FROM mail
        """,
        user.name,
        user.id,
    )
    await db.execute(
        """
        INSERT INTO calls (account, function, subjects, granted_at, ends_at, outcome, caller, asker, class)
        SELECT 'a', 'GLOBAL_QUOTE', '{IBM}', now(), now(), 'ok', 'here', $1, 'user' FROM generate_series(1, 3)
        """,
        name,
    )


async def traces(db: asyncpg.Pool, user: User) -> dict[str, list[str]]:
    """By table, the rows in which the user is named: by name, number, email or address."""
    telling = (
        rf"(\m{user.name}\M|\m{user.name.upper()}\M|user:{user.id}\M|{re.escape(address_of(user))}\M|\m{user.name}-1\M)"
    )
    found = {}
    for table, columns in (await columns_of(db)).items():
        keys = " OR ".join(f"{column} = {user.id}" for column in columns & {"user_id"})
        where = f"t::text ~ $1 OR {keys}" if keys else "t::text ~ $1"
        rows = [row[0] for row in await db.fetch(f"SELECT t::text FROM {table} t WHERE {where}", telling)]
        if rows:
            found[table] = rows
    return found


async def export(api: Client, user: User) -> dict[str, Any]:
    async with api.get("/api/auth/me/export", headers=user.headers) as answer:
        assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        body: dict[str, Any] = await answer.json()
        return body


async def test_every_table_is_known_to_be_about_a_person_or_about_nobody(db: asyncpg.Pool) -> None:
    columns = await columns_of(db)
    leading = {row[0] for row in await db.fetch(LEADING_TO_USERS)}
    telling = {table for table, names in columns.items() if names & TELLING}

    assert set(columns) == set(PERSONAL) | ABOUT_NOBODY
    assert set() == set(PERSONAL) & ABOUT_NOBODY
    assert leading | telling <= set(PERSONAL)


async def test_the_export_has_every_column_of_every_table_about_a_person(
    api: Client, ada: User, db: asyncpg.Pool
) -> None:
    await plant(api, ada, db)
    columns, exported = await columns_of(db), await export(api, ada)

    assert {"exported_at"} | {part for part, _ in PERSONAL.values()} == set(exported)
    for table, (part, left_out) in PERSONAL.items():
        rows = exported[part] if isinstance(exported[part], list) else [exported[part]]
        assert rows, table
        assert columns[table] - left_out == set(rows[0]) - {"items"}, table
    assert ("ada", "ada@example.com") == (exported["account"]["username"], exported["account"]["email"])
    assert ["ORCL"] == [item["symbol"] for item in exported["watchlist"]]
    assert 3 == len(exported["calls"])
    assert {"registered", "login_failed", "key_created", "symbol_pinned"} == {act["event"] for act in exported["acts"]}


async def test_an_export_has_nothing_of_others_and_no_secret(api: Client, ada: User, db: asyncpg.Pool) -> None:
    ben = await register(api, "ben")
    for user in (ada, ben):
        await plant(api, user, db)
    await db.execute(
        "INSERT INTO audit (event, actor, user_id) VALUES ('user_locked', 'cli:root@secret-host', $1)", ada.id
    )
    text = json.dumps(await export(api, ada))
    hashed = await db.fetchval("SELECT password_hash FROM users WHERE id = $1", ada.id)

    assert not [word for word in ("ben", f"user:{ben.id}", "secret-host", hashed, ada.refresh_token) if word in text]
    assert '"actor": "operator"' in text


async def test_an_export_comes_in_pages_and_is_whole(
    api: Client, ada: User, db: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "BATCH", 2)
    for _ in range(2):
        await plant(api, ada, db)
    exported = await export(api, ada)

    for part, table in (("calls", "calls"), ("acts", "audit")):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == len(exported[part])
        assert sorted({row["id"] for row in exported[part]}) == [row["id"] for row in exported[part]]


async def test_an_export_needs_the_callers_token(api: Client) -> None:
    assert 401 == (await api.get("/api/auth/me/export")).status


async def test_a_second_export_at_the_same_time_is_told_to_wait(api: Client, ada: User) -> None:
    from api.accounts.export import EXPORTING

    assert api.app is not None
    async with api.app[EXPORTING], api.get("/api/auth/me/export", headers=ada.headers) as answer:
        assert (503, "overloaded") == (answer.status, (await answer.json())["code"])

    await export(api, ada)


@pytest.mark.parametrize("way", ["by the user", "by an operation", "by hand"])
async def test_nothing_about_a_deleted_person_is_left(
    api: Client, ada: User, db: asyncpg.Pool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "BATCH", 2)
    ben = await register(api, "ben")
    for user in (ada, ben):
        await plant(api, user, db)
    before = await traces(db, ben)
    assert set(PERSONAL) - {"refresh_tokens", "tickets"} <= set(await traces(db, ada))
    assert api.app is not None
    if way == "by the user":
        async with api.delete("/api/auth/me", json={"password": PASSWORD}, headers=ada.headers) as answer:
            assert 200 == answer.status
    elif way == "by an operation":
        assert await erase_user(api.app[RESOURCES], ada.id, record=nothing)
    else:
        await db.execute("DELETE FROM users WHERE id = $1", ada.id)
    left = await traces(db, ada)

    numbers = left.pop("audit")
    assert {} == left
    assert [] == [row for row in numbers if f"user:{ada.id}," not in row or address_of(ada) in row or "ada" in row]
    assert before == await traces(db, ben)
    for table in ("tickets", "refresh_tokens"):
        assert 0 == await db.fetchval(
            f"SELECT count(*) FROM {table} JOIN logins l ON l.id = login_id WHERE user_id IS NULL"
        )


async def nothing(_: Connection) -> None: ...


async def test_a_deletion_frees_what_waits_for_the_user_at_once_and_nothing_that_others_wait_for(
    api: Client, ada: User, db: asyncpg.Pool
) -> None:
    """Three requests of one user: one that somebody else joined, one under way, one that is the user's alone."""
    assert api.app is not None
    resources, name = api.app[RESOURCES], f"user:{ada.id}"
    async with acquire(resources.db) as connection:
        for subject, asker in (("BOTH", name), ("BOTH", "user:999"), ("GOES", name), ("ALONE", name), ("ALONE", name)):
            verdict = await enqueue(
                connection, resources.budget, Function.QUOTE, [subject], CallClass.USER, requester=asker, most=9
            )
            assert "joined" == verdict
    await db.execute("UPDATE demand SET call = 1, taken_until = now() + interval '1 minute' WHERE subject = 'GOES'")
    await db.execute("INSERT INTO watchlist_items (user_id, symbol) VALUES ($1, 'IBM')", ada.id)
    before = await db.fetchval("SELECT watchers FROM symbols WHERE symbol = 'IBM'")
    assert await erase_user(resources, ada.id, record=nothing)

    rows = await db.fetch("SELECT subject, asker FROM demand ORDER BY subject")
    assert [("BOTH", None), ("GOES", None)] == [tuple(row) for row in rows]
    assert (1, 0) == (before, await db.fetchval("SELECT watchers FROM symbols WHERE symbol = 'IBM'"))
    assert 0 == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")


async def test_a_deletion_without_a_user_changes_nothing(api: Client, db: asyncpg.Pool) -> None:
    assert api.app is not None
    assert not await erase_user(api.app[RESOURCES], 999, record=nothing)
