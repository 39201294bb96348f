"""The provider's listing of US symbols in PostgreSQL: one table a source, replaced as a whole, and when it is due again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.models import Listed
from common.store.connection.pool import Connection

SUBJECT = "US"  # what a listing's row in the line is about
REFRESH_INTERVAL = timedelta(days=7)
RETRY = timedelta(hours=1)  # after a listing that failed or was refused


@dataclass(frozen=True, slots=True)
class ListingState:
    """Which listing is stored: the ledger's time of its response, and its rows."""

    refreshed_at: datetime
    rows: int


async def replace_listing(connection: Connection, source: str, listed: Iterable[Listed], at: datetime) -> bool:
    """Make this the listing, in one statement; False: it shrank by half or more, so it is broken and the old one stays.

    Of two at once the later leaves what the earlier brought: the caller holds the ledger's lock.
    """
    rows = list({row.symbol: row for row in listed}.values())
    taken = await connection.fetchval(
        """
        WITH taken AS (
            INSERT INTO listing_state AS stored (source, refreshed_at, rows) VALUES ($1, $2, $3)
            ON CONFLICT (source) DO UPDATE SET refreshed_at = excluded.refreshed_at, rows = excluded.rows
            WHERE excluded.rows * 2 > stored.rows
            RETURNING source
        ), gone AS (
            DELETE FROM listings USING taken
            WHERE listings.source = taken.source
                AND NOT EXISTS (SELECT FROM unnest($4::text[]) AS listed (symbol) WHERE listed.symbol = listings.symbol)
        ), come AS (
            INSERT INTO listings AS stored (source, symbol, name, exchange, asset_type, listed_on)
            SELECT taken.source, listed.*
            FROM taken CROSS JOIN unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::date[]) AS listed
            ON CONFLICT (source, symbol) DO UPDATE SET
                name = excluded.name, exchange = excluded.exchange, asset_type = excluded.asset_type,
                listed_on = excluded.listed_on
            WHERE (stored.name, stored.exchange, stored.asset_type, stored.listed_on)
                IS DISTINCT FROM (excluded.name, excluded.exchange, excluded.asset_type, excluded.listed_on)
        )
        SELECT true FROM taken
        """,
        source,
        at,
        len(rows),
        [row.symbol for row in rows],
        [row.name for row in rows],
        [row.exchange for row in rows],
        [row.asset_type for row in rows],
        [row.listed_on for row in rows],
    )
    return bool(taken)


async def select_listing(connection: Connection, source: str) -> list[Listed]:
    """All rows of one source's listing, by symbol."""
    rows = await connection.fetch(
        "SELECT symbol, name, exchange, asset_type, listed_on FROM listings WHERE source = $1 ORDER BY symbol", source
    )
    return [Listed(**row) for row in rows]


async def select_known(connection: Connection, source: str, symbols: Sequence[str]) -> frozenset[str] | None:
    """Those of them that are listed; None: there is no listing yet."""
    listed = await connection.fetchval(
        """
        SELECT ARRAY(SELECT symbol FROM listings WHERE source = $1 AND symbol = ANY ($2))
        WHERE EXISTS (SELECT FROM listing_state WHERE source = $1)
        """,
        source,
        list(symbols),
    )
    return None if listed is None else frozenset(listed)


async def select_listing_state(connection: Connection, source: str) -> ListingState | None:
    """Which listing is stored; None: none yet. Whoever keeps a copy compares `refreshed_at`."""
    row = await connection.fetchrow("SELECT refreshed_at, rows FROM listing_state WHERE source = $1", source)
    return ListingState(**row) if row else None


async def select_listing_due(connection: Connection, account: str, source: str) -> bool:
    """Whether the listing is missing or a week old, and was not asked for within the hour: the journal says so."""
    return bool(
        await connection.fetchval(
            """
            SELECT NOT EXISTS (
                SELECT FROM listing_state WHERE source = $2 AND refreshed_at > ledger_now() - $3::interval
            ) AND NOT EXISTS (
                SELECT FROM calls WHERE account = $1 AND function = 'LISTING_STATUS' AND outcome IS DISTINCT FROM 'unsent'
                    AND granted_at > ledger_now() - $4::interval
            )
            """,
            account,
            source,
            REFRESH_INTERVAL,
            RETRY,
        )
    )
