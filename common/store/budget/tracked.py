"""Tracked symbols as operators see and change them. Attempts belong to an account, quotes to a source, tracking to neither."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.core.budget.ages import Deadline, Marks, Sums
from common.store.connection.pool import Connection


@dataclass(frozen=True, slots=True)
class View:
    """Whose attempts and quotes are read, and as of when. `half_life`: of reads. `marks`, `deadline`: see common/core/budget/ages.py."""

    account: str
    source: str
    half_life: timedelta
    now: datetime
    marks: Marks
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Totals:
    """How many symbols are tracked, are in quarantine, and match a filter; `sums` over those that do not fail."""

    wanted: int
    quarantined: int
    matching: int
    sums: Sums


async def select_totals(connection: Connection, view: View, *, only: str = "all") -> Totals:
    """Totals over all tracked symbols, in one pass: about 100 ms for a hundred thousand."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS wanted, count(*) FILTER (WHERE quarantined_until > $4) AS quarantined,
            count(*) FILTER (WHERE CASE $11 WHEN 'stale' THEN stale WHEN 'failing' THEN failures > 0
                WHEN 'quarantined' THEN quarantined_until > $4 WHEN 'pinned' THEN pinned ELSE true END) AS matching,
            sum(weight) FILTER (WHERE failures = 0) AS weights,
            sum(sqrt(weight)) FILTER (WHERE failures = 0) AS roots,
            sum(weight) FILTER (WHERE failures = 0 AND age IS NOT NULL) AS quoted_weights,
            sum(weight * age) FILTER (WHERE failures = 0) AS weighted_ages
        FROM (
            SELECT s.pinned, weight_of(s.watchers, s.pinned, decayed(s.reads, s.reads_at, $4, $3)) AS weight,
                coalesce(a.failures, 0) AS failures, CASE WHEN a.failures > 0 THEN a.quarantined_until END AS quarantined_until,
                q.place IS NULL OR coalesce(q.fetched_at <= $9, q.trading_day < $10, false) AS stale,
                $5 - CASE WHEN q.place > 0 THEN ($8::float8[])[q.place]
                    + date_part('epoch', least(q.fetched_at, ($7::timestamptz[])[q.place]) - ($6::timestamptz[])[q.place])
                    WHEN q.place = 0 THEN ($8::float8[])[1] END AS age
            FROM symbols s LEFT JOIN (
                SELECT symbol, fetched_at, trading_day, width_bucket(fetched_at, $6::timestamptz[]) AS place
                FROM quotes WHERE source = $2
            ) AS q USING (symbol) LEFT JOIN attempts a ON a.account = $1 AND a.symbol = s.symbol
            WHERE s.level IS NOT NULL
        ) AS wanted WHERE weight IS NOT NULL
        """,
        view.account,
        view.source,
        view.half_life,
        view.now,
        view.marks.clock,
        view.marks.opens,
        view.marks.closes,
        view.marks.clocks,
        view.deadline.fetched,
        view.deadline.day,
        only,
    )
    sums = Sums(*(row[name] or 0.0 for name in ("weights", "roots", "quoted_weights", "weighted_ages")))
    return Totals(row["wanted"], row["quarantined"], row["matching"], sums)


async def select_wanted(
    connection: Connection, view: View, *, only: str, sort: str, most: int, offset: int
) -> list[Mapping[str, Any]]:
    """One page: symbol, weight, watchers, reads, pinned, kept, price, fetched_at, attempted_at, failures, quarantined_until (null when
    over), in_line (the class of its queued request, or null).

    The page is cut before the other tables are joined.
    """
    rows: list[Mapping[str, Any]] = await connection.fetch(
        """
        SELECT page.*, d.class AS in_line FROM (
            SELECT s.symbol, s.weight, s.watchers, s.reads, s.pinned, s.kept,
                q.price, q.fetched_at, greatest(s.at, q.fetched_at) AS attempted_at, s.failures, s.quarantined_until
            FROM (
                SELECT symbol, watchers, pinned, kept, decayed(reads, reads_at, $4, $3) AS reads,
                    weight_of(watchers, pinned, decayed(reads, reads_at, $4, $3)) AS weight,
                    at, coalesce(failures, 0) AS failures,
                    CASE WHEN failures > 0 AND quarantined_until > $4 THEN quarantined_until END AS quarantined_until
                FROM symbols LEFT JOIN (SELECT * FROM attempts WHERE account = $1) AS own USING (symbol) WHERE level IS NOT NULL
            ) AS s
            LEFT JOIN quotes q ON q.symbol = s.symbol AND q.source = $2
            WHERE s.weight IS NOT NULL
                AND CASE $7
                    WHEN 'stale' THEN q.symbol IS NULL OR coalesce(q.fetched_at <= $5, q.trading_day < $6, false)
                    WHEN 'failing' THEN s.failures > 0 WHEN 'quarantined' THEN s.quarantined_until IS NOT NULL
                    WHEN 'pinned' THEN s.pinned ELSE true END
            ORDER BY CASE $8 WHEN 'weight' THEN -s.weight END,
                CASE $8 WHEN 'age' THEN coalesce(q.fetched_at, '-infinity') END, s.symbol
            LIMIT $9 OFFSET $10
        ) AS page LEFT JOIN demand d ON d.function = 'GLOBAL_QUOTE' AND d.subject = page.symbol
        ORDER BY CASE $8 WHEN 'weight' THEN -page.weight END,
            CASE $8 WHEN 'age' THEN coalesce(page.fetched_at, '-infinity') END, page.symbol
        """,
        view.account,
        view.source,
        view.half_life,
        view.now,
        view.deadline.fetched,
        view.deadline.day,
        only,
        sort,
        most,
        offset,
    )
    return rows


async def select_refreshable(connection: Connection, view: View, *, stale_only: bool) -> list[str]:
    """The tracked symbols outside quarantine, heaviest first; with `stale_only`, those whose quote is stale or missing."""
    rows = await connection.fetch(
        """
        SELECT s.symbol FROM symbols s LEFT JOIN quotes q ON q.symbol = s.symbol AND q.source = $2
        LEFT JOIN attempts a ON a.account = $1 AND a.symbol = s.symbol
        WHERE weight_of(s.watchers, s.pinned, decayed(s.reads, s.reads_at, $4, $3)) IS NOT NULL
            AND NOT coalesce(a.failures > 0 AND a.quarantined_until > $4, false)
            AND (NOT $7 OR q.symbol IS NULL OR coalesce(q.fetched_at <= $5, q.trading_day < $6, false))
        ORDER BY s.watchers + decayed(s.reads, s.reads_at, $4, $3) DESC, s.symbol
        """,
        view.account,
        view.source,
        view.half_life,
        view.now,
        view.deadline.fetched,
        view.deadline.day,
        stale_only,
    )
    return [row["symbol"] for row in rows]


async def select_standing(connection: Connection, account: str, symbol: str) -> Mapping[str, Any] | None:
    """symbol, pinned, kept, failures, quarantined_until; None if the symbol was never tracked."""
    row: Mapping[str, Any] | None = await connection.fetchrow(
        """
        SELECT symbol, pinned, kept, coalesce(failures, 0) AS failures,
            CASE WHEN failures > 0 THEN quarantined_until END AS quarantined_until
        FROM symbols LEFT JOIN (SELECT * FROM attempts WHERE account = $1) AS own USING (symbol) WHERE symbol = $2
        """,
        account,
        symbol,
    )
    return row


async def upsert_kept(connection: Connection, symbol: str) -> bool:
    """Pin a symbol for an operator; return False if it already was."""
    return bool(
        await connection.fetchval(
            """
            INSERT INTO symbols (symbol, pinned, kept) VALUES ($1, true, true)
            ON CONFLICT (symbol) DO UPDATE SET pinned = true, kept = true WHERE NOT (symbols.pinned AND symbols.kept)
            RETURNING true
            """,
            symbol,
        )
    )


async def update_unpinned(connection: Connection, symbol: str) -> bool:
    """Unpin a symbol; return False if it was not pinned."""
    return bool(
        await connection.fetchval(
            "UPDATE symbols SET pinned = false, kept = false WHERE symbol = $1 AND (pinned OR kept) RETURNING true",
            symbol,
        )
    )


async def update_forgiven(connection: Connection, account: str, symbol: str) -> bool:
    """Forget a symbol's failures; return False if it had none."""
    return bool(
        await connection.fetchval(
            "DELETE FROM attempts WHERE symbol = $2 AND account = $1 AND failures > 0 RETURNING true",
            account,
            symbol,
        )
    )
