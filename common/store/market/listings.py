"""The provider's listing of US symbols in PostgreSQL: one per source, replaced as a whole, and when it is due."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.models import Listed
from common.store.connection.pool import Connection

SUBJECT = "US"  # of a request for the listing
REFRESH_INTERVAL = timedelta(days=7)
RETRY_DELAY = timedelta(hours=1)  # after a listing that failed or was refused


@dataclass(frozen=True, slots=True)
class ListingState:
    """The stored listing: the ledger's time of its response, and its number of rows."""

    refreshed_at: datetime
    rows: int


async def replace_listing(connection: Connection, source: str, listed: Iterable[Listed], at: datetime) -> bool:
    """Replace the listing, in one statement. Return False and keep the old one if the new one is half as long or shorter: it is broken.

    The caller holds the ledger's lock, so two replacements never run at once.
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
    """Those of `symbols` that are listed; None if there is no listing yet."""
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
    """The stored listing's state; None if there is none. Compare `refreshed_at` to see whether a copy is current."""
    row = await connection.fetchrow("SELECT refreshed_at, rows FROM listing_state WHERE source = $1", source)
    return ListingState(**row) if row else None


async def select_listing_due(connection: Connection, account: str, source: str) -> bool:
    """Whether the listing is missing or a week old, and no call for it was granted within the hour."""
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
            RETRY_DELAY,
        )
    )
