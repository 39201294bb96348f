"""Collected quotes in PostgreSQL: insert, thin out, delete. Durations are timedeltas, times are the ledger's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from common.core.models import Quote
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Thinned:
    """How many rows a batch read, and how many of those it deleted."""

    read: int
    deleted: int


async def insert_history(connection: Connection, quotes: Sequence[Quote], *, gap: timedelta = timedelta()) -> None:
    """Insert quotes, except those whose symbol has a row of the same source younger than `gap`."""
    await connection.execute(
        """
        INSERT INTO quote_history (symbol, fetched_at, source, price, volume, trading_day)
        SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::numeric[], $5::bigint[], $6::date[])
            AS fetched (symbol, fetched_at, source, price, volume, trading_day)
        WHERE (
            SELECT true FROM quote_history AS last WHERE last.symbol = fetched.symbol AND last.source = fetched.source
                AND last.fetched_at > fetched.fetched_at - $7::interval AND last.fetched_at <= fetched.fetched_at
            LIMIT 1 -- makes the planner look each symbol up; without it, it may read the whole table
        ) IS NULL
        ON CONFLICT DO NOTHING
        """,
        [quote.symbol for quote in quotes],
        [quote.fetched_at for quote in quotes],
        [quote.source for quote in quotes],
        [quote.price.price for quote in quotes],
        [quote.price.volume for quote in quotes],
        [quote.price.trading_day for quote in quotes],
        gap,
    )


async def delete_old_history(connection: Connection, *, keep: timedelta, most: int) -> int:
    """Delete at most `most` quotes older than `keep`, oldest first; return how many."""
    done = await connection.execute(
        """
        DELETE FROM quote_history WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM quote_history WHERE fetched_at < (SELECT ledger_now() - $1::interval)
            ORDER BY fetched_at LIMIT $2
        ))
        """,
        keep,
        most,
    )
    return affected(done)


async def thin_history(connection: Connection, *, age: timedelta, most: int) -> Thinned:
    """Of rows older than `age` keep the last of each symbol, source, trading day and hour (UTC).

    Each call reads about `most` rows and continues where the last one ended. A concurrent call finds nothing to do.
    """
    row = await connection.fetchrow(
        """
        WITH thinning AS MATERIALIZED (SELECT until FROM history_thinning FOR UPDATE SKIP LOCKED),
        batch AS MATERIALIZED (
            SELECT ctid AS place, symbol, source, trading_day, fetched_at FROM quote_history
            WHERE fetched_at > (SELECT until FROM thinning) AND fetched_at < (SELECT ledger_now() - $1::interval)
            ORDER BY fetched_at FETCH FIRST $2 ROWS WITH TIES
        ),
        thinned AS (
            DELETE FROM quote_history WHERE ctid = ANY (ARRAY(
                SELECT place FROM batch WHERE (
                    SELECT true FROM quote_history AS later
                    WHERE later.symbol = batch.symbol AND later.fetched_at > batch.fetched_at
                        AND later.fetched_at < date_trunc('hour', batch.fetched_at, 'UTC') + interval '1 hour'
                        AND later.source = batch.source AND later.trading_day = batch.trading_day
                    LIMIT 1 -- looks each row up, as in insert_history
                )
            )) RETURNING 1
        ),
        moved AS (
            UPDATE history_thinning SET until = (SELECT max(fetched_at) FROM batch) WHERE EXISTS (SELECT FROM batch)
        )
        SELECT (SELECT count(*) FROM batch) AS read, (SELECT count(*) FROM thinned) AS deleted
        """,
        age,
        most,
    )
    return Thinned(row["read"], row["deleted"])
