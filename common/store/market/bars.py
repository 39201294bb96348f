"""A symbol's past in PostgreSQL: its daily bars, when they came, who waits for newer ones, and the quotes that were collected.

One source at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from common.core.models import Bar
from common.store.connection.pool import Connection, affected

REFUSED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Collected:
    """A quote as it was once fetched: `fetched_at` aware, UTC; the price in the listing's currency, the volume in shares."""

    fetched_at: datetime
    price: Decimal
    volume: int | None
    trading_day: date


async def upsert_bars(connection: Connection, source: str, symbol: str, bars: Sequence[Bar]) -> None:
    """Take bars in, one a day; days that they do not name stay as they were."""
    await connection.execute(
        """
        INSERT INTO daily_bars AS stored (source, symbol, day, open, high, low, close, volume)
        SELECT $1, $2, * FROM unnest($3::date[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::bigint[])
        ON CONFLICT (source, symbol, day) DO UPDATE SET
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume
        WHERE (stored.open, stored.high, stored.low, stored.close, stored.volume)
            IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
        """,
        source,
        symbol,
        [bar.day for bar in bars],
        [bar.open for bar in bars],
        [bar.high for bar in bars],
        [bar.low for bar in bars],
        [bar.close for bar in bars],
        [bar.volume for bar in bars],
    )


async def select_other_days(connection: Connection, source: str, symbol: str, days: Sequence[date]) -> list[date]:
    """Days of bars that lie between the first and the last of these, and are none of them."""
    rows = await connection.fetch(
        """
        SELECT day FROM daily_bars WHERE source = $1 AND symbol = $2 AND day BETWEEN $3 AND $4 AND day <> ALL ($5::date[]) ORDER BY day
        """,
        source,
        symbol,
        min(days),
        max(days),
        list(days),
    )
    return [row["day"] for row in rows]


async def delete_bars(connection: Connection, source: str, symbol: str, days: Sequence[date]) -> None:
    """Take back the bars of these days."""
    await connection.execute(
        "DELETE FROM daily_bars WHERE source = $1 AND symbol = $2 AND day = ANY ($3::date[])",
        source,
        symbol,
        list(days),
    )


async def upsert_bars_fetched(connection: Connection, source: str, symbol: str, at: datetime) -> None:
    """Bars have come; what was refused before is forgotten."""
    await connection.execute(
        """
        INSERT INTO bars_state (source, symbol, fetched_at) VALUES ($1, $2, $3)
        ON CONFLICT (source, symbol) DO UPDATE SET fetched_at = excluded.fetched_at, refused_at = NULL
        """,
        source,
        symbol,
        at,
    )


async def upsert_bars_refused(connection: Connection, source: str, symbol: str, at: datetime) -> None:
    """The provider had no bars of it; those that are here stay."""
    await connection.execute(
        """
        INSERT INTO bars_state (source, symbol, refused_at) VALUES ($1, $2, $3)
        ON CONFLICT (source, symbol) DO UPDATE SET refused_at = excluded.refused_at
        """,
        source,
        symbol,
        at,
    )


async def select_bars(connection: Connection, source: str, symbol: str, *, most: int) -> list[Bar]:
    """The newest bars of one source, oldest first."""
    rows = await connection.fetch(
        """
        SELECT day, open, high, low, close, volume FROM daily_bars WHERE source = $1 AND symbol = $2
        ORDER BY day DESC LIMIT $3
        """,
        source,
        symbol,
        most,
    )
    return [Bar(**row) for row in reversed(rows)]


async def select_bars_fetched(connection: Connection, source: str, symbol: str) -> datetime | None:
    """When the provider last gave bars of it."""
    at: datetime | None = await connection.fetchval(
        "SELECT fetched_at FROM bars_state WHERE source = $1 AND symbol = $2", source, symbol
    )
    return at


async def insert_refresh(connection: Connection, symbol: str, *, closed_day: bool, ttl: timedelta) -> None:
    """Queue a refresh of a chart that nobody waits for (db/functions/chart_turn.sql); `closed_day`: it lacks a day that has closed."""
    await connection.execute(
        """
        INSERT INTO demand AS stored (function, subject, class, groups, since, expires)
        VALUES ('TIME_SERIES_DAILY', $1, 'refresh', $2, ledger_now(), ledger_now() + $3::interval)
        ON CONFLICT (function, subject) DO UPDATE SET expires = greatest(stored.expires, excluded.expires),
            groups = CASE WHEN stored.class = 'refresh' THEN excluded.groups ELSE stored.groups END
        """,
        symbol,
        ["waiting", "chart", *(["closed_day"] if closed_day else [])],
        ttl,
    )


async def select_bars_refused(connection: Connection, source: str, symbol: str) -> bool:
    """Whether the provider, asked within the hour, had no bars of it."""
    return bool(
        await connection.fetchval(
            """
            SELECT refused_at > ledger_now() - $3::interval FROM bars_state WHERE source = $1 AND symbol = $2
            """,
            source,
            symbol,
            REFUSED_FOR,
        )
    )


async def delete_old_bars(connection: Connection, *, keep: timedelta) -> int:
    """Forget the bars of symbols whose chart nobody asked for within this time; of how many symbols."""
    done = await connection.execute(
        """
        WITH forgotten AS (
            SELECT source, symbol FROM bars_state WHERE greatest(fetched_at, refused_at) < ledger_now() - $1::interval
        ), gone AS (
            DELETE FROM daily_bars USING forgotten
            WHERE daily_bars.source = forgotten.source AND daily_bars.symbol = forgotten.symbol
        )
        DELETE FROM bars_state USING forgotten
        WHERE bars_state.source = forgotten.source AND bars_state.symbol = forgotten.symbol
        """,
        keep,
    )
    return affected(done)


async def select_history(
    connection: Connection,
    source: str,
    symbol: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after: datetime | None = None,
    most: int,
) -> list[Collected]:
    """A page of the quotes that were collected, oldest first: since <= fetched_at < until, and later than `after`.

    `after` is the `fetched_at` of the page before's last one. A bound that is None bounds nothing.
    """
    rows = await connection.fetch(
        """
        SELECT fetched_at, price, volume, trading_day FROM quote_history
        WHERE source = $1 AND symbol = $2
            AND fetched_at >= coalesce($3::timestamptz, '-infinity') AND fetched_at < coalesce($4::timestamptz, 'infinity')
            AND fetched_at > coalesce($5::timestamptz, '-infinity')
        ORDER BY fetched_at LIMIT $6
        """,
        source,
        symbol,
        since,
        until,
        after,
        most,
    )
    return [Collected(**row) for row in rows]
