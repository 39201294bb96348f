"""What is stored about one user, in all tables. Left out are the hashes of secrets.

`tests/api/accounts/test_personal.py` compares this with the schema: a new table, or a new column, must be in a statement here and be
forgotten in `db/functions/forget_user.sql`, or be named there as about nobody.
"""

from collections.abc import Mapping
from typing import Any

from common.store.connection.pool import Connection

ACCOUNT = """
    SELECT id, username, email, scope, created_at, locked_at, watchlist_changed_at, seen_at, asleep, firsts_at FROM users WHERE id = $1
"""
PARTS: Mapping[str, str] = {  # $1: the user
    "watchlist": "SELECT symbol, added_at, position FROM watchlist_items WHERE user_id = $1 ORDER BY position, added_at, symbol",
    "logins": "SELECT id, opened_at, seen_at, address, user_agent, ended_at FROM logins WHERE user_id = $1 ORDER BY id",
    "refresh_tokens": """
        SELECT login_id, refresh_tokens.expires_at, used_at FROM refresh_tokens JOIN logins ON logins.id = login_id
        WHERE user_id = $1 ORDER BY refresh_tokens.expires_at
    """,
    "tickets": """
        SELECT login_id, expires_at, network, left_at, stream FROM tickets JOIN logins ON logins.id = login_id
        WHERE user_id = $1 ORDER BY expires_at
    """,
    "api_keys": """
        SELECT id, prefix, name, created_at, expires_at, used_at, ended_at FROM api_keys WHERE user_id = $1 ORDER BY id
    """,
    "resets": """
        SELECT issued_at, expires_at, ended_at FROM password_resets WHERE user_id = $1 ORDER BY issued_at
    """,
    "mail": """
        SELECT kind, outbox.content::text, queued_at, expires_at, due_at, tries FROM outbox JOIN users
        ON lower(outbox.content->>'name') IN (lower(username), lower(email)) WHERE users.id = $1 ORDER BY outbox.id
    """,
    "queued": """
        SELECT function, subject, class, since, expires, ready_at, tries, urgent_at, joined FROM demand
        WHERE asker = 'user:' || $1::bigint ORDER BY since, function, subject
    """,
    "credits": "SELECT symbol, used_at FROM credits WHERE asker = 'user:' || $1::bigint ORDER BY symbol",
    "refresh_jobs": "SELECT id, queued_at, request_id FROM refresh_jobs WHERE queued_by = 'user:' || $1::bigint ORDER BY id",
}
LONG_PARTS: Mapping[str, str] = {  # $2: the id of the last row of the page before, $3: the most rows
    "calls": """
        SELECT id, function, subjects, class, granted_at, ends_at, outcome FROM calls
        WHERE asker = 'user:' || $1::bigint AND id > $2 ORDER BY id LIMIT $3
    """,
    "acts": """
        SELECT id, at, event, user_id, CASE WHEN actor LIKE 'cli:%' THEN 'operator' ELSE actor END AS actor, address, subject, request_id
        FROM audit WHERE (user_id = $1 OR actor = 'user:' || $1::bigint) AND id > $2 ORDER BY id LIMIT $3
    """,
}


async def select_account(connection: Connection, user: int) -> dict[str, Any] | None:
    """The row of the user itself."""
    row = await connection.fetchrow(ACCOUNT, user)
    return dict(row) if row else None


async def select_part(connection: Connection, part: str, user: int) -> list[dict[str, Any]]:
    """All rows of one of `PARTS`."""
    return [dict(row) for row in await connection.fetch(PARTS[part], user)]


async def select_page(connection: Connection, part: str, user: int, *, after: int, most: int) -> list[dict[str, Any]]:
    """A page of one of `LONG_PARTS`, in the order of `id`."""
    return [dict(row) for row in await connection.fetch(LONG_PARTS[part], user, after, most)]


async def forget_calls(connection: Connection, user: int, *, most: int) -> int:
    """Make up to `most` of a user's calls nobody's; return how many. They go on counting against the limits."""
    return int(
        await connection.fetchval(
            """
            WITH forgotten AS (
                UPDATE calls SET asker = NULL WHERE id IN (SELECT id FROM calls WHERE asker = 'user:' || $1::bigint LIMIT $2)
                RETURNING id
            )
            SELECT count(*) FROM forgotten
            """,
            user,
            most,
        )
    )
