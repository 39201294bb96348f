"""Logins, and the hashes of their refresh tokens and tickets. Times are the database's, not the ledger's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Login:
    """One login of a user, on one device."""

    id: int
    user: int


async def insert_login(connection: Connection, user: int, hashed: str) -> tuple[Login, str] | None:
    """Insert a login, if the user is not locked and still has this password; return it with the user's present scope.

    FOR SHARE waits for a concurrent lock, password change or scope change to commit.
    """
    row = await connection.fetchrow(
        """
        WITH owner AS (SELECT id, scope FROM users WHERE id = $1 AND password_hash = $2 AND locked_at IS NULL FOR SHARE),
        opened AS (INSERT INTO logins (user_id) SELECT id FROM owner RETURNING id)
        SELECT opened.id, owner.scope FROM opened CROSS JOIN owner
        """,
        user,
        hashed,
    )
    return (Login(row["id"], user), row["scope"]) if row else None


async def insert_refresh_token(connection: Connection, login: int, hashed: bytes, lasts: timedelta) -> None:
    await connection.execute(
        "INSERT INTO refresh_tokens (hash, login_id, expires_at) VALUES ($1, $2, now() + $3::interval)",
        hashed,
        login,
        lasts,
    )


async def use_refresh_token(connection: Connection, hashed: bytes) -> Login | None:
    """Use up a token: return its open login, or None if it was used before. Of two concurrent uses one succeeds."""
    row = await connection.fetchrow(
        """
        UPDATE refresh_tokens SET used_at = clock_timestamp() FROM logins
        WHERE hash = $1 AND used_at IS NULL AND expires_at > now() AND logins.id = login_id AND ended_at IS NULL
        RETURNING logins.id, user_id
        """,
        hashed,
    )
    return _login(row)


async def select_reused(connection: Connection, hashed: bytes) -> Login | None:
    """The open login of a token that is already used up: somebody else has a copy."""
    row = await connection.fetchrow(
        """
        SELECT logins.id, user_id FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE hash = $1 AND used_at IS NOT NULL AND ended_at IS NULL
        """,
        hashed,
    )
    return _login(row)


async def select_login(connection: Connection, hashed: bytes) -> Login | None:
    """The login of a refresh token, used or not, open or ended; None if there is no such token or user."""
    row = await connection.fetchrow(
        """
        SELECT logins.id, user_id FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE hash = $1 AND user_id IS NOT NULL
        """,
        hashed,
    )
    return _login(row)


async def end_login(connection: Connection, login: int) -> None:
    await connection.execute("UPDATE logins SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL", login)


async def end_logins(connection: Connection, user: int) -> int:
    """End all open logins of a user; return how many."""
    done = await connection.execute(
        "UPDATE logins SET ended_at = clock_timestamp() WHERE user_id = $1 AND ended_at IS NULL", user
    )
    return affected(done)


async def select_open_logins(connection: Connection, user: int) -> int:
    """The number of a user's open logins."""
    return int(await connection.fetchval("SELECT count(*) FROM logins WHERE user_id = $1 AND ended_at IS NULL", user))


async def select_ended(connection: Connection, since: datetime) -> list[int]:
    """The ids of logins that ended after `since`, the database's time."""
    rows = await connection.fetch("SELECT id FROM logins WHERE ended_at > $1", since)
    return [row["id"] for row in rows]


async def select_now(connection: Connection) -> datetime:
    """The database's time, by which logins end."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def select_is_open(connection: Connection, login: int) -> bool:
    return bool(await connection.fetchval("SELECT ended_at IS NULL FROM logins WHERE id = $1", login))


async def insert_ticket(connection: Connection, login: int, hashed: bytes, lasts: timedelta) -> None:
    await connection.execute(
        "INSERT INTO tickets (hash, login_id, expires_at) VALUES ($1, $2, now() + $3::interval)", hashed, login, lasts
    )


async def take_ticket(connection: Connection, hashed: bytes) -> Login | None:
    """Use up a ticket: return its open login, or None if it has expired or does not exist."""
    row = await connection.fetchrow(
        """
        DELETE FROM tickets USING logins
        WHERE hash = $1 AND logins.id = login_id AND expires_at > now() AND ended_at IS NULL
        RETURNING logins.id, user_id
        """,
        hashed,
    )
    return _login(row)


async def delete_old_logins(connection: Connection, *, keep: timedelta) -> int:
    """Delete expired tickets, and logins that ended or whose last token expired `keep` ago; return how many logins."""
    await connection.execute("DELETE FROM tickets WHERE expires_at < now()")
    done = await connection.execute(
        """
        DELETE FROM logins WHERE ended_at < now() - $1::interval OR NOT EXISTS (
            SELECT FROM refresh_tokens WHERE login_id = logins.id AND expires_at > now() - $1::interval
        )
        """,
        keep,
    )
    return affected(done)


def _login(row: asyncpg.Record | None) -> Login | None:
    return Login(row["id"], row["user_id"]) if row else None
