"""The newest quote of each symbol, in PostgreSQL. `fetched_at` is its version."""

from collections.abc import Sequence
from datetime import date, timedelta

import asyncpg

from common.core.calendar.trading_day import ABROAD
from common.core.models import Price, Quote
from common.store.connection.pool import Connection


async def upsert_quote(connection: Connection, quote: Quote) -> bool:
    """Save a quote, unless a newer one of any source, or one of a later trading day of its source, is there. Return whether it was."""
    price = quote.price
    taken = await connection.fetchval(
        """
        INSERT INTO quotes (symbol, source, fetched_at, price, change, change_percent, volume, trading_day,
            open, high, low, previous_close)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (symbol) DO UPDATE SET
            source = excluded.source, fetched_at = excluded.fetched_at, price = excluded.price, change = excluded.change,
            change_percent = excluded.change_percent, volume = excluded.volume, trading_day = excluded.trading_day,
            open = excluded.open, high = excluded.high, low = excluded.low, previous_close = excluded.previous_close,
            published_at = NULL
        WHERE quotes.fetched_at < excluded.fetched_at
            AND (quotes.source <> excluded.source OR quotes.trading_day <= excluded.trading_day)
        RETURNING true
        """,
        quote.symbol,
        quote.source,
        quote.fetched_at,
        price.price,
        price.change,
        price.change_percent,
        price.volume,
        price.trading_day,
        price.open,
        price.high,
        price.low,
        price.previous_close,
    )
    return bool(taken)


async def select_quotes(connection: Connection, source: str, symbols: Sequence[str]) -> list[Quote]:
    """The newest quotes of one source; another source's are never served."""
    rows = await connection.fetch("SELECT * FROM quotes WHERE source = $1 AND symbol = ANY ($2)", source, list(symbols))
    return [_quote(row) for row in rows]


async def select_newest_day(connection: Connection, source: str) -> date | None:
    """The newest trading day of the source's quotes; of those abroad only if there are no others.

    A close of London is out hours before New York's, and says nothing about it.
    """
    day: date | None = await connection.fetchval(
        """
        SELECT coalesce(max(trading_day) FILTER (WHERE symbol !~ $2), max(trading_day)) FROM quotes WHERE source = $1
        """,
        source,
        ABROAD,
    )
    return day


async def select_unpublished(connection: Connection, source: str, *, most: int) -> list[Quote]:
    """Quotes saved but not yet published, oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM quotes WHERE published_at IS NULL AND source = $1 ORDER BY fetched_at LIMIT $2", source, most
    )
    return [_quote(row) for row in rows]


async def update_published(connection: Connection, quote: Quote) -> bool:
    """Mark this version as published; return False if a newer one has replaced it or it was deleted."""
    version = await connection.fetchval(
        "UPDATE quotes SET published_at = now() WHERE symbol = $1 AND fetched_at = $2 RETURNING true",
        quote.symbol,
        quote.fetched_at,
    )
    return bool(version)


async def update_unpublished(connection: Connection, source: str) -> None:
    """Mark all quotes as unpublished, because Redis lost them."""
    await connection.execute(
        "UPDATE quotes SET published_at = NULL WHERE source = $1 AND published_at IS NOT NULL", source
    )


async def delete_unwanted(connection: Connection, *, keep: timedelta, half_life: timedelta, most: int) -> list[Quote]:
    """Delete at most `most` quotes older than `keep` whose symbols were not tracked for as long; return them.

    A quote that is fetched again in the meantime stays.
    """
    rows = await connection.fetch(
        """
        DELETE FROM quotes WHERE fetched_at < ledger_now() - $1::interval AND symbol = ANY (ARRAY(
            SELECT symbol FROM quotes WHERE fetched_at < ledger_now() - $1::interval AND NOT EXISTS (
                SELECT FROM symbols WHERE symbols.symbol = quotes.symbol AND (
                    watchers > 0 OR pinned OR reads_at >= ledger_now() - $1::interval
                    OR decayed(reads, reads_at, ledger_now(), $2) >= 0.5
                )
            ) LIMIT $3
        ))
        RETURNING *
        """,
        keep,
        half_life,
        most,
    )
    return [_quote(row) for row in rows]


def _quote(row: asyncpg.Record) -> Quote:
    price = Price(
        symbol=row["symbol"],
        price=row["price"],
        trading_day=row["trading_day"],
        change=row["change"],
        change_percent=row["change_percent"],
        volume=row["volume"],
        open=row["open"],
        high=row["high"],
        low=row["low"],
        previous_close=row["previous_close"],
    )
    return Quote(price, row["source"], row["fetched_at"])
