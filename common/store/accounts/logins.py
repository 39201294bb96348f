"""Logins, and the hashes of their refresh tokens. Times are the database's, not the ledger's.

A login ends at logout, and by itself at its end: `lasts` after it was opened, however often its tokens were renewed. `lasts` is a
setting, so every statement that needs an open login gets it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Login:
    """One login of a user, on one device, and when it ends by itself."""

    id: int
    user: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """An open login as its user sees it. `seen_at`: when it last got tokens, from `address`, by `user_agent`."""

    id: int
    opened_at: datetime
    seen_at: datetime
    address: str | None
    user_agent: str | None


async def insert_login(connection: Connection, user: int, hashed: str, *, lasts: timedelta) -> tuple[Login, str] | None:
    """Insert a login, if the user is not locked and still has this password; return it with the user's present scope.

    FOR NO KEY UPDATE waits for a concurrent lock, password change or scope change to commit. FOR SHARE would, too, but two logins at once
    would then wait for each other, because each also notes that the user is active.
    """
    row = await connection.fetchrow(
        """
        WITH owner AS (SELECT id, scope FROM users WHERE id = $1 AND password_hash = $2 AND locked_at IS NULL FOR NO KEY UPDATE),
        opened AS (INSERT INTO logins (user_id) SELECT id FROM owner RETURNING id, user_id, opened_at)
        SELECT opened.id, user_id, opened_at + $3::interval AS ends_at, owner.scope FROM opened CROSS JOIN owner
        """,
        user,
        hashed,
        lasts,
    )
    return (_login(row), row["scope"]) if row else None


async def update_login(connection: Connection, login: int, address: str, user_agent: str | None) -> None:
    """Record that a login gets tokens now, and who gets them."""
    await connection.execute(
        "UPDATE logins SET seen_at = clock_timestamp(), address = $2, user_agent = $3 WHERE id = $1",
        login,
        address,
        user_agent,
    )


async def insert_refresh_token(connection: Connection, login: Login, hashed: bytes, lasts: timedelta) -> None:
    """Insert a token that expires with its login at the latest. One that is there already stays as it is."""
    await connection.execute(
        """
        INSERT INTO refresh_tokens (hash, login_id, expires_at) VALUES ($1, $2, least(now() + $3::interval, $4))
        ON CONFLICT (hash) DO NOTHING
        """,
        hashed,
        login.id,
        lasts,
        login.ends_at,
    )


async def use_refresh_token(
    connection: Connection, hashed: bytes, *, grace: timedelta, lasts: timedelta
) -> Login | None:
    """Use up a token of an open login: return the login, or None if the token was used longer than `grace` ago.

    Of two concurrent uses the second waits for the first to commit, and then sees when that was.
    """
    row = await connection.fetchrow(
        """
        UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()) FROM logins
        WHERE hash = $1 AND expires_at > now() AND (used_at IS NULL OR used_at > clock_timestamp() - $2::interval)
            AND logins.id = login_id AND ended_at IS NULL AND opened_at > now() - $3::interval
        RETURNING logins.id, user_id, opened_at + $3::interval AS ends_at
        """,
        hashed,
        grace,
        lasts,
    )
    return _login(row) if row else None


async def select_reused(connection: Connection, hashed: bytes, *, grace: timedelta, lasts: timedelta) -> Login | None:
    """The open login of a token that was used up longer than `grace` ago: somebody else has a copy."""
    row = await connection.fetchrow(
        """
        SELECT logins.id, user_id, opened_at + $3::interval AS ends_at
        FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE hash = $1 AND used_at <= clock_timestamp() - $2::interval
            AND ended_at IS NULL AND opened_at > now() - $3::interval
        """,
        hashed,
        grace,
        lasts,
    )
    return _login(row) if row else None


async def select_open_login(connection: Connection, login: int, *, lasts: timedelta) -> Login | None:
    row = await connection.fetchrow(
        """
        SELECT id, user_id, opened_at + $2::interval AS ends_at FROM logins
        WHERE id = $1 AND ended_at IS NULL AND opened_at > now() - $2::interval
        """,
        login,
        lasts,
    )
    return _login(row) if row else None


async def select_sessions(connection: Connection, user: int, *, lasts: timedelta, most: int) -> list[Session]:
    """The open logins of a user that can still be renewed, the last seen first."""
    rows = await connection.fetch(
        """
        SELECT id, opened_at, coalesce(seen_at, opened_at) AS seen_at, address, user_agent FROM logins
        WHERE user_id = $1 AND ended_at IS NULL AND opened_at > now() - $2::interval AND EXISTS (
            SELECT FROM refresh_tokens WHERE login_id = logins.id AND used_at IS NULL AND expires_at > now()
        )
        ORDER BY coalesce(seen_at, opened_at) DESC, id DESC LIMIT $3
        """,
        user,
        lasts,
        most,
    )
    return [Session(**row) for row in rows]


async def end_login(connection: Connection, login: int, *, of: int | None = None) -> bool:
    """End a login, if it is open and, where `of` is given, that user's; return whether it was."""
    done = await connection.execute(
        """
        UPDATE logins SET ended_at = clock_timestamp()
        WHERE id = $1 AND ended_at IS NULL AND ($2::bigint IS NULL OR user_id = $2)
        """,
        login,
        of,
    )
    return affected(done) > 0


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
    """Whether a login has not ended. Its own end is in its access tokens."""
    return bool(await connection.fetchval("SELECT ended_at IS NULL FROM logins WHERE id = $1", login))


async def delete_old_logins(connection: Connection, *, keep: timedelta) -> int:
    """Delete logins that ended or whose last token expired `keep` ago; return how many."""
    done = await connection.execute(
        """
        DELETE FROM logins WHERE ended_at < now() - $1::interval OR NOT EXISTS (
            SELECT FROM refresh_tokens WHERE login_id = logins.id AND expires_at > now() - $1::interval
        )
        """,
        keep,
    )
    return affected(done)


def _login(row: asyncpg.Record) -> Login:
    return Login(row["id"], row["user_id"], row["ends_at"])
