"""Answers of the provider's search, by source and normalised query. Matches from the listing are not stored."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from common.core.models import Match
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Search:
    """An answer: its matches, best first, possibly none; `found_at`: the ledger's time of the response."""

    matches: tuple[Match, ...]
    found_at: datetime


async def upsert_search(
    connection: Connection, source: str, query: str, matches: Sequence[Match], found_at: datetime
) -> None:
    """Save an answer, replacing the previous one."""
    await connection.execute(
        """
        INSERT INTO searches (source, query, matches, found_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (source, query) DO UPDATE SET matches = excluded.matches, found_at = excluded.found_at
        """,
        source,
        query,
        json.dumps([asdict(match) for match in matches], default=str),
        found_at,
    )


async def upsert_search_refused(connection: Connection, source: str, query: str, at: datetime) -> None:
    """The provider had no answer: keep the previous matches as if found now, or save that there are none."""
    await connection.execute(
        """
        INSERT INTO searches (source, query, matches, found_at) VALUES ($1, $2, '[]', $3)
        ON CONFLICT (source, query) DO UPDATE SET found_at = excluded.found_at
        """,
        source,
        query,
        at,
    )


async def select_search(connection: Connection, source: str, query: str) -> Search | None:
    """The last answer, however old; None if the provider was never asked."""
    row = await connection.fetchrow(
        "SELECT matches, found_at FROM searches WHERE source = $1 AND query = $2", source, query
    )
    if row is None:
        return None
    matches = (Match(**{**match, "score": Decimal(match["score"])}) for match in json.loads(row["matches"]))
    return Search(tuple(matches), row["found_at"])


async def delete_old_searches(connection: Connection, *, keep: timedelta) -> int:
    """Delete answers older than `keep`; return how many."""
    return affected(await connection.execute("DELETE FROM searches WHERE found_at < ledger_now() - $1::interval", keep))
