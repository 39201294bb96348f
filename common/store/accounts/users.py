"""Users. Names and email addresses are unique regardless of case; of passwords only hashes are stored."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from common.errors import EmailTaken, UsernameTaken
from common.store.connection.pool import Connection, affected

USERNAME = r"[A-Za-z0-9_.-]{3,32}"  # patterns; the API and the command line check new names against them
EMAIL = r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}"
SLEEPS_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class User:
    """A user; `scope`: space-separated additional rights, such as `operator`."""

    id: int
    username: str
    email: str
    scope: str
    created_at: datetime
    password_hash: str = field(repr=False)
    password_scheme: str
    locked: bool


async def insert_user(connection: Connection, username: str, email: str, hashed: str, scheme: str) -> User:
    """Insert a user; raise `UsernameTaken` or `EmailTaken`."""
    try:
        row = await connection.fetchrow(
            """
            INSERT INTO users (username, email, password_hash, password_scheme) VALUES ($1, $2, $3, $4)
            RETURNING *
            """,
            username,
            email,
            hashed,
            scheme,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email":
            raise EmailTaken("an account with this email exists already") from error
        raise UsernameTaken("an account with this username exists already") from error
    return _user(row)


async def select_user(connection: Connection, user: int) -> User | None:
    row = await connection.fetchrow("SELECT * FROM users WHERE id = $1", user)
    return _user(row) if row else None


async def select_user_by_name(connection: Connection, name: str) -> User | None:
    """By username or email, ignoring case."""
    row = await connection.fetchrow(
        "SELECT * FROM users WHERE lower(username) = lower($1) OR lower(email) = lower($1)", name
    )
    return _user(row) if row else None


async def lock_user(connection: Connection, user: int) -> None:
    """Block other changes of a user until the transaction ends. Lock a user before rows of `logins`, so that two changes never deadlock."""
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user)


async def select_users(connection: Connection, *, begins: str, after: int, most: int) -> list[asyncpg.Record]:
    """Users in the order of their ids, from the one behind `after` on, whose username or email begins so in any case; with the numbers of
    their symbols and of their open logins."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT id, username, email, scope, created_at, locked_at IS NOT NULL AS locked, seen_at,
            (SELECT count(*) FROM watchlist_items WHERE user_id = users.id) AS symbols,
            (SELECT count(*) FROM logins WHERE user_id = users.id AND ended_at IS NULL) AS open_logins
        FROM users WHERE id > $1 AND (starts_with(lower(username), lower($2)) OR starts_with(lower(email), lower($2)))
        ORDER BY id LIMIT $3
        """,
        after,
        begins,
        most,
    )
    return rows


async def select_count(connection: Connection) -> int:
    """The number of users."""
    return int(await connection.fetchval("SELECT count(*) FROM users"))


async def update_password(
    connection: Connection, user: int, hashed: str, scheme: str, *, instead_of: str | None = None
) -> bool:
    """Change a password; return whether it was changed. `instead_of`: the hash that the user must still have."""
    return bool(
        await connection.fetchval(
            """
            UPDATE users SET password_hash = $2, password_scheme = $3
            WHERE id = $1 AND ($4::text IS NULL OR password_hash = $4) RETURNING true
            """,
            user,
            hashed,
            scheme,
            instead_of,
        )
    )


async def update_locked(connection: Connection, user: int, *, locked: bool) -> None:
    """Lock or unlock a user. This ends no login."""
    await connection.execute(
        "UPDATE users SET locked_at = CASE WHEN $2 THEN coalesce(locked_at, now()) END WHERE id = $1", user, locked
    )


async def update_seen(connection: Connection, user: int) -> None:
    """Record that a user is active, at most once an hour. A sleeping user wakes up: the watchlist counts again."""
    await connection.execute(
        """
        UPDATE users SET seen_at = now(), asleep = false, firsts_at = CASE WHEN asleep THEN ledger_now() ELSE firsts_at END
        WHERE id = $1 AND (asleep OR seen_at < now() - interval '1 hour')
        """,
        user,
    )


async def update_asleep(connection: Connection, *, keep: timedelta, most: int) -> int:
    """Put users not seen for `keep` to sleep: their watchlists have no weight until they come back. Return how many."""
    done = await connection.execute(
        """
        UPDATE users SET asleep = true WHERE id IN (
            SELECT id FROM users WHERE NOT asleep AND seen_at < now() - $1::interval ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
        )
        """,
        keep,
        most,
    )
    return affected(done)


async def update_scope(connection: Connection, user: int, scope: str) -> None:
    await connection.execute("UPDATE users SET scope = $2 WHERE id = $1", user, scope)


async def delete_user(connection: Connection, user: int) -> bool:
    """Delete a user with all personal data (db/functions/forget_user.sql), in a transaction that holds the ledger's lock. Return whether
    there was one."""
    return bool(await connection.fetchval("DELETE FROM users WHERE id = $1 RETURNING true", user))


def _user(row: asyncpg.Record) -> User:
    return User(
        row["id"],
        row["username"],
        row["email"],
        row["scope"],
        row["created_at"],
        row["password_hash"],
        row["password_scheme"],
        row["locked_at"] is not None,
    )
