"""A symbol's history in PostgreSQL: its daily bars, when they were fetched or refused, and collected quotes. One source at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from common.core.models import Bar
from common.store.connection.pool import Connection, affected

REFUSAL_TTL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Collected:
    """A quote of the past: `fetched_at` aware, UTC; the price in the listing's currency, the volume in shares."""

    fetched_at: datetime
    price: Decimal
    volume: int | None
    trading_day: date


async def upsert_bars(connection: Connection, source: str, symbol: str, bars: Sequence[Bar]) -> None:
    """Save bars, one a day; other days are unchanged."""
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
    """Days with a stored bar that lie between the first and the last of `days` but are not among them."""
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
    """Delete the bars of these days."""
    await connection.execute(
        "DELETE FROM daily_bars WHERE source = $1 AND symbol = $2 AND day = ANY ($3::date[])",
        source,
        symbol,
        list(days),
    )


async def upsert_bars_fetched(connection: Connection, source: str, symbol: str, at: datetime) -> None:
    """Record that bars were fetched; forget an earlier refusal."""
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
    """Record that the provider had no bars; stored ones stay."""
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
    """When bars of the symbol were last fetched."""
    at: datetime | None = await connection.fetchval(
        "SELECT fetched_at FROM bars_state WHERE source = $1 AND symbol = $2", source, symbol
    )
    return at


async def insert_refresh(connection: Connection, symbol: str, *, closed_day: bool, ttl: timedelta) -> None:
    """Queue a background refresh of a chart (db/functions/chart_turn.sql). `closed_day`: the chart lacks a day that has closed."""
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
    """Whether the provider had no bars when asked within the last hour."""
    return bool(
        await connection.fetchval(
            """
            SELECT refused_at > ledger_now() - $3::interval FROM bars_state WHERE source = $1 AND symbol = $2
            """,
            source,
            symbol,
            REFUSAL_TTL,
        )
    )


async def delete_old_bars(connection: Connection, *, keep: timedelta) -> int:
    """Delete the bars of symbols whose chart was not fetched within `keep`; return the number of symbols."""
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
    """A page of collected quotes, oldest first: since <= fetched_at < until, and later than `after`.

    `after`: the `fetched_at` of the previous page's last quote. A bound of None is no bound.
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
