"""The audit: registrations, logins and failed ones, operators' acts. It never holds passwords, tokens or names that were only tried."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Act:
    """`user`: the user concerned. `actor`: `user:<id>`, `cli:<name>@<host>` or `anybody`. `subject`: anything else concerned."""

    event: str
    actor: str
    user: int | None = None
    address: str | None = None
    subject: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit."""

    id: int
    at: datetime
    act: Act


async def insert_act(connection: Connection, act: Act) -> None:
    """Record an act. A user that has been deleted in the meantime is left out."""
    await connection.execute(
        """
        INSERT INTO audit (event, actor, user_id, address, subject, request_id)
        VALUES ($1, $2, (SELECT id FROM users WHERE id = $3 FOR KEY SHARE), $4, $5, $6)
        """,
        act.event,
        act.actor,
        act.user,
        act.address,
        act.subject,
        act.request_id,
    )


async def select_has_logged_in(connection: Connection, user: int, address: str, *, within: timedelta) -> bool:
    """Whether this user has logged in from this address within that time, by a registration or a new password, too."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM audit
                WHERE user_id = $1 AND event IN ('logged_in', 'registered', 'password_changed') AND address = $2
                    AND at > now() - $3::interval
            )
            """,
            user,
            address,
            within,
        )
    )


async def select_acts(connection: Connection, *, user: int | None = None, most: int = 100) -> list[Entry]:
    """The last acts, of all users or one, newest first."""
    rows = await connection.fetch(
        "SELECT * FROM audit WHERE ($1::bigint IS NULL OR user_id = $1) ORDER BY id DESC LIMIT $2", user, most
    )
    return [
        Entry(
            row["id"],
            row["at"],
            Act(row["event"], row["actor"], row["user_id"], row["address"], row["subject"], row["request_id"]),
        )
        for row in rows
    ]


async def delete_old_acts(connection: Connection, *, keep: timedelta) -> int:
    return affected(await connection.execute("DELETE FROM audit WHERE at < now() - $1::interval", keep))
