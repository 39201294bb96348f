"""The outbox: mail that workers send, at least once. A mail is claimed, sent, and then deleted; one whose worker died is due again.

It serves any kind of mail: `kind` says who writes the text, from `content`. A transaction that causes a mail inserts it here.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.store.connection.pool import Connection, affected

RETRY_DELAY = timedelta(seconds=30)  # after the first try, then doubling; longer than a try takes
MAX_RETRY_DELAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to send. `tries` includes the present one. `expired`: it is too late to send it."""

    id: int
    kind: str
    content: Mapping[str, Any]
    tries: int
    expired: bool


async def insert_mail(connection: Connection, kind: str, content: Mapping[str, Any], *, lasts: timedelta) -> None:
    """Queue a mail, to be sent within `lasts`."""
    await connection.execute(
        "INSERT INTO outbox (kind, content, expires_at) VALUES ($1, $2, now() + $3::interval)",
        kind,
        json.dumps(content),
        lasts,
    )


async def claim_mail(connection: Connection, kinds: Collection[str]) -> Mail | None:
    """The mail of these kinds that is due for longest, or None. Nobody else gets it before its next try is due."""
    row = await connection.fetchrow(
        """
        UPDATE outbox SET tries = tries + 1, due_at = now() + least($1::interval * 2 ^ least(tries, 20), $2::interval)
        WHERE id = (
            SELECT id FROM outbox WHERE due_at <= now() AND kind = ANY($3::text[])
            ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING id, kind, content, tries, expires_at <= now() AS expired
        """,
        RETRY_DELAY,
        MAX_RETRY_DELAY,
        list(kinds),
    )
    if row is None:
        return None
    return Mail(row["id"], row["kind"], json.loads(row["content"]), row["tries"], row["expired"])


async def delete_mail(connection: Connection, mail: int) -> None:
    await connection.execute("DELETE FROM outbox WHERE id = $1", mail)


async def delete_expired_mail(connection: Connection, *, keep: timedelta) -> int:
    """Delete mail that expired `keep` ago; return how many."""
    return affected(await connection.execute("DELETE FROM outbox WHERE expires_at < now() - $1::interval", keep))
