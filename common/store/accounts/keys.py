"""API keys: their hashes, and who made them. Ids come from the sequence of logins; times are the database's."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from common.errors import InvalidToken, KeysFull
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Key:
    """An open key, as its owner sees it; `prefix`: its first characters."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


async def insert_key(
    connection: Connection,
    user: int,
    login: int,
    name: str,
    hashed: bytes,
    *,
    prefix: str,
    expires_at: datetime | None,
    most: int,
) -> Key:
    """Insert a key for the user of this login; raise `KeysFull`, or `InvalidToken` if the login or the user has gone.

    The user's row is locked first: keys that are made at once are counted one after another, and none is made after a change that
    ended the login.
    """
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user)
    row = await connection.fetchrow(
        """
        INSERT INTO api_keys (user_id, name, hash, prefix, expires_at)
        SELECT users.id, $3, $4, $5, $6 FROM users JOIN logins ON logins.user_id = users.id
        WHERE users.id = $1 AND logins.id = $2 AND ended_at IS NULL AND locked_at IS NULL
            AND $7 > (SELECT count(*) FROM api_keys WHERE user_id = $1 AND ended_at IS NULL AND (expires_at > now()) IS NOT false)
        RETURNING *
        """,
        user,
        login,
        name,
        hashed,
        prefix,
        expires_at,
        most,
    )
    if row is not None:
        return _key(row)
    if len(await select_keys(connection, user)) >= most:
        raise KeysFull(f"an account has at most {most} API keys")
    raise InvalidToken("the login of this token has ended; log in again")


async def select_keys(connection: Connection, user: int) -> list[Key]:
    """A user's open keys, oldest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM api_keys WHERE user_id = $1 AND ended_at IS NULL AND (expires_at > now()) IS NOT false ORDER BY id
        """,
        user,
    )
    return [_key(row) for row in rows]


async def select_key(connection: Connection, hashed: bytes) -> tuple[int, int] | None:
    """The ids of an open key and of its user; None if it has ended or expired, is unknown, or its user is locked."""
    row = await connection.fetchrow(
        """
        SELECT api_keys.id, user_id FROM api_keys JOIN users ON users.id = user_id
        WHERE hash = $1 AND ended_at IS NULL AND (expires_at > now()) IS NOT false AND locked_at IS NULL
        """,
        hashed,
    )
    return (row["id"], row["user_id"]) if row else None


async def select_ended_keys(connection: Connection, since: datetime) -> list[int]:
    """The ids of keys that ended or expired after `since`, the database's time."""
    rows = await connection.fetch(
        """
        SELECT id FROM api_keys
        WHERE least(ended_at, expires_at) > $1 AND least(ended_at, expires_at) <= clock_timestamp()
        """,
        since,
    )
    return [row["id"] for row in rows]


async def end_key(connection: Connection, user: int, key: int) -> bool:
    """End one of a user's keys; return whether it was open. As everywhere, the user's row is locked first."""
    return bool(
        await connection.fetchval(
            """
            WITH owner AS (SELECT id FROM users WHERE id = $1 FOR KEY SHARE)
            UPDATE api_keys SET ended_at = clock_timestamp() FROM owner
            WHERE api_keys.id = $2 AND user_id = owner.id AND ended_at IS NULL AND (expires_at > now()) IS NOT false
            RETURNING true
            """,
            user,
            key,
        )
    )


async def end_keys(connection: Connection, user: int) -> int:
    """End all open keys of a user; return how many."""
    done = await connection.execute(
        "UPDATE api_keys SET ended_at = clock_timestamp() WHERE user_id = $1 AND ended_at IS NULL", user
    )
    return affected(done)


async def update_used(connection: Connection, keys: Collection[int]) -> list[int]:
    """Record that keys were used, at most once a minute each; return the users whose keys it recorded."""
    rows = await connection.fetch(
        """
        UPDATE api_keys SET used_at = now() WHERE id IN (
            SELECT id FROM api_keys
            WHERE id = ANY($1::bigint[]) AND user_id IS NOT NULL AND (used_at < now() - interval '1 minute') IS NOT false
            ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING user_id
        """,
        list(keys),
    )
    return sorted({row["user_id"] for row in rows})


async def delete_old_keys(connection: Connection, *, keep: timedelta) -> int:
    """Delete keys that ended or expired `keep` ago; return how many."""
    done = await connection.execute(
        "DELETE FROM api_keys WHERE least(ended_at, expires_at) < now() - $1::interval", keep
    )
    return affected(done)


def _key(row: asyncpg.Record) -> Key:
    return Key(row["id"], row["name"], row["prefix"], row["created_at"], row["expires_at"], row["used_at"])
