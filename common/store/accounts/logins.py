"""Logins and what proves them: refresh tokens and tickets, here as hashes only. Times are the database's own, not the ledger's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Login:
    """A log-in of an account on one device."""

    id: int
    user: int


async def insert_login(connection: Connection, user: int, hashed: str) -> tuple[Login, str] | None:
    """A login of an account that is not locked and still has this password, and the scope that it has by now.

    A lock, another password or scope that is under way is waited for.
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
    """The open login of a token that was not used before, and is now. Of two at once one wins."""
    row = await connection.fetchrow(
        """
        UPDATE refresh_tokens SET used_at = clock_timestamp() FROM logins
        WHERE hash = $1 AND used_at IS NULL AND expires_at > now() AND logins.id = login_id AND ended_at IS NULL
        RETURNING logins.id, user_id
        """,
        hashed,
    )
    return Login(row["id"], row["user_id"]) if row else None


async def select_reused(connection: Connection, hashed: bytes) -> Login | None:
    """The open login whose used token this is: somebody else has it too."""
    row = await connection.fetchrow(
        """
        SELECT logins.id, user_id FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE hash = $1 AND used_at IS NOT NULL AND ended_at IS NULL
        """,
        hashed,
    )
    return Login(row["id"], row["user_id"]) if row else None


async def select_login(connection: Connection, hashed: bytes) -> Login | None:
    """The login of a refresh token, used or not, open or not; None: no such token, or its account is gone."""
    row = await connection.fetchrow(
        """
        SELECT logins.id, user_id FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE hash = $1 AND user_id IS NOT NULL
        """,
        hashed,
    )
    return Login(row["id"], row["user_id"]) if row else None


async def end_login(connection: Connection, login: int) -> None:
    await connection.execute("UPDATE logins SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL", login)


async def end_logins(connection: Connection, user: int) -> int:
    """End all of an account; how many were open."""
    done = await connection.execute(
        "UPDATE logins SET ended_at = clock_timestamp() WHERE user_id = $1 AND ended_at IS NULL", user
    )
    return affected(done)


async def select_open_logins(connection: Connection, user: int) -> int:
    """How many of an account are open."""
    return int(await connection.fetchval("SELECT count(*) FROM logins WHERE user_id = $1 AND ended_at IS NULL", user))


async def select_ended(connection: Connection, since: datetime) -> list[int]:
    """The logins that ended since then, by the database's time."""
    rows = await connection.fetch("SELECT id FROM logins WHERE ended_at > $1", since)
    return [row["id"] for row in rows]


async def select_now(connection: Connection) -> datetime:
    """The database's time, which logins end by."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def select_is_open(connection: Connection, login: int) -> bool:
    return bool(await connection.fetchval("SELECT ended_at IS NULL FROM logins WHERE id = $1", login))


async def insert_ticket(connection: Connection, login: int, hashed: bytes, lasts: timedelta) -> None:
    await connection.execute(
        "INSERT INTO tickets (hash, login_id, expires_at) VALUES ($1, $2, now() + $3::interval)", hashed, login, lasts
    )


async def take_ticket(connection: Connection, hashed: bytes) -> Login | None:
    """The open login of a ticket that is still good; it is gone then."""
    row = await connection.fetchrow(
        """
        DELETE FROM tickets USING logins
        WHERE hash = $1 AND logins.id = login_id AND expires_at > now() AND ended_at IS NULL
        RETURNING logins.id, user_id
        """,
        hashed,
    )
    return Login(row["id"], row["user_id"]) if row else None


async def delete_old_logins(connection: Connection, *, keep: timedelta) -> int:
    """Forget tickets that are over, and logins that ended `keep` ago or whose last token has expired; how many logins."""
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
