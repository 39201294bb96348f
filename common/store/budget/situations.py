"""What a forecast needs of the ledger, the queue and the gate. Each part is one statement, without the ledger's lock."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from common.core.forecast.situation import LATELY, Request, Tracked, Window
from common.core.limits import longest_period
from common.core.models import CallClass, Function
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection

MAX_ENDS = 2000  # calls of a window whose ends are read, the oldest first
MAX_ORDERS = 1000  # requests of operators
IN_FLIGHT_TIME = timedelta(seconds=1)  # how long a call under way is expected to last from now
MAX_RESTING = 2000  # symbols in quarantine


async def select_gate(connection: Connection, account: str) -> Mapping[str, Any]:
    """held_until, held_for, probing, fails, background_at, last_first, bulk_denied_until."""
    row: Mapping[str, Any] = await connection.fetchrow(
        """
        SELECT held_until, held_for, coalesce(probing, false) AS probing, closed_at IS NOT NULL AS fails, bulk_denied_until,
            CASE WHEN isfinite(background_at) AND background_at <= ledger_now() THEN background_at END AS background_at,
            coalesce(last_background = 'first', false) AS last_first
        FROM (SELECT 1) AS one LEFT JOIN ledgers ON account = $1
        """,
        account,
    )
    return row


async def select_windows(
    connection: Connection, account: str, windows: Sequence[Window], now: datetime
) -> list[Window]:
    """The windows with the calls that they count now."""
    rows = await connection.fetch(
        """
        SELECT counted.used, oldest.frees FROM unnest($2::text[], $3::interval[]) WITH ORDINALITY AS w (name, period, place)
        CROSS JOIN LATERAL (
            SELECT count(*) AS used FROM calls c
            WHERE c.account = $1 AND c.outcome IS DISTINCT FROM 'unsent' AND c.ends_at > $4::timestamptz - w.period
                AND (w.name IS NULL OR (c.groups <> '{}' AND w.name = ANY (c.groups)
                    AND NOT (w.name = 'unlisted' AND coalesce(c.outcome = 'ok', false))))
        ) AS counted
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(ended + w.period ORDER BY ended), '{}') AS frees FROM (
                SELECT CASE WHEN c.outcome IS NULL THEN least(c.ends_at, greatest(c.granted_at, $4) + $6::interval)
                    ELSE c.ends_at END AS ended
                FROM calls c
                WHERE c.account = $1 AND c.outcome IS DISTINCT FROM 'unsent' AND c.ends_at > $4::timestamptz - w.period
                    AND (w.name IS NULL OR (c.groups <> '{}' AND w.name = ANY (c.groups)
                        AND NOT (w.name = 'unlisted' AND coalesce(c.outcome = 'ok', false))))
                ORDER BY c.ends_at LIMIT $5
            ) AS ends
        ) AS oldest
        ORDER BY w.place
        """,
        account,
        [window.group for window in windows],
        [window.period for window in windows],
        now,
        MAX_ENDS,
        IN_FLIGHT_TIME,
    )
    return [
        Window(window.calls, window.period, window.group, row["used"], row["frees"])
        for window, row in zip(windows, rows, strict=True)
    ]


async def select_queue(
    connection: Connection, budget: Budget, now: datetime, *, longest: timedelta, most_of_one: Mapping[str, int]
) -> list[Request]:
    """Queued requests and those under way, with the calls their requesters had. Of operators' requests only the first thousand."""
    rows = await connection.fetch(
        """
        SELECT d.function, d.subject, d.class, d.groups, d.asker, d.since, d.urgent_at, NOT is_ready(NULL, d.taken_until, $2) AS under_way,
            CASE WHEN NOT is_ready(d.ready_at, NULL, $2) THEN d.ready_at END AS ready_at,
            had.used, had.own, CASE WHEN had.own >= d.most THEN (
                SELECT c.granted_at + $3::interval FROM calls c
                WHERE c.account = $1 AND c.asker = d.asker AND c.class = d.class AND c.outcome IS DISTINCT FROM 'unsent'
                ORDER BY c.granted_at DESC OFFSET d.most - 1 LIMIT 1
            ) END AS own_free_at
        FROM (
            (SELECT *, ($4::jsonb ->> class)::integer AS most FROM demand WHERE class IN ('user', 'stranger', 'refresh'))
            UNION ALL
            (SELECT *, NULL FROM demand WHERE class = 'operator' ORDER BY since, function, subject LIMIT $5)
        ) AS d
        CROSS JOIN LATERAL (
            SELECT calls_of($1, d.asker, NULL, $3, $2) AS used, calls_of($1, d.asker, d.class, $3, $2) AS own
        ) AS had
        WHERE d.expires > $2 OR d.taken_until > $2
        """,
        budget.account,
        now,
        longest,
        json.dumps(dict(most_of_one)),
        MAX_ORDERS,
    )
    return [
        Request(
            function=Function(row["function"]),
            subject=row["subject"],
            call_class=CallClass(row["class"]),
            since=row["since"],
            groups=frozenset(row["groups"]),
            requester=row["asker"],
            used=row["used"],
            own=row["own"],
            own_free_at=row["own_free_at"],
            ready_at=row["ready_at"],
            urgent_at=row["urgent_at"],
            under_way=row["under_way"],
        )
        for row in rows
    ]


async def select_lately(connection: Connection, account: str) -> tuple[int, int, float | None, float | None]:
    """Users' and strangers' calls in the last ten minutes, and their number of requesters; the mean and the 95th percentile of how long
    answered calls took, in seconds (None if there was none)."""
    asked = await connection.fetchrow(
        """
        SELECT count(*) AS calls, count(DISTINCT asker) AS askers FROM calls
        WHERE account = $1 AND granted_at > ledger_now() - $2::interval AND class IN ('user', 'stranger')
            AND outcome IS DISTINCT FROM 'unsent'
        """,
        account,
        LATELY,
    )
    took = await connection.fetchrow(
        """
        SELECT avg(took) AS mean, percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS slow FROM (
            SELECT date_part('epoch', ends_at - granted_at) AS took FROM calls
            WHERE account = $1 AND outcome = 'ok' ORDER BY ends_at DESC LIMIT 50
        ) AS latest
        """,
        account,
    )
    return asked["calls"], asked["askers"], took["mean"], took["slow"]


async def select_resting(connection: Connection, account: str) -> dict[str, datetime]:
    """Tracked symbols in quarantine and when it ends, the latest first."""
    rows = await connection.fetch(
        """
        SELECT a.symbol, a.quarantined_until FROM attempts a JOIN symbols s USING (symbol)
        WHERE a.account = $1 AND a.failures > 0 AND s.level IS NOT NULL AND a.quarantined_until IS NOT NULL
        ORDER BY a.quarantined_until DESC LIMIT $2
        """,
        account,
        MAX_RESTING,
    )
    return {row["symbol"]: row["quarantined_until"] for row in rows}


async def select_firsts(connection: Connection, account: str) -> int:
    """The number of tracked symbols without any quote that are not in quarantine, at most a thousand."""
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM (
            SELECT FROM symbols s WHERE s.source IS NULL AND s.level IS NOT NULL
                AND NOT EXISTS (SELECT FROM attempts a WHERE a.account = $1 AND a.symbol = s.symbol AND a.failures > 0)
            LIMIT 1000
        ) AS lacking
        """,
        account,
    )
    return count


async def select_backlog(connection: Connection, source: str, clock: float, *, most: int) -> int:
    """The number of tracked symbols whose quote is older than `clock`, the market clock; at most `most`."""
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM (
            SELECT FROM symbols WHERE source = $1 AND level IS NOT NULL AND clock < $2 LIMIT $3
        ) AS due
        """,
        source,
        clock,
        most,
    )
    return count


async def select_tracked(connection: Connection, budget: Budget, *, most: int) -> list[Tracked]:
    """The tracked symbols with a quote, heaviest first; without those that fail or rest after fruitless calls. One fruitless call looks
    like a call under way, so it excludes nothing."""
    rows = await connection.fetch(
        """
        SELECT symbol, weight_of(watchers, pinned, decayed(reads, reads_at, ledger_now(), $3)) AS weight, level, clock FROM symbols
        WHERE source = $1 AND level IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM attempts a WHERE a.account = $4 AND a.symbol = symbols.symbol
                    AND (a.failures > 0 OR (a.tries > 1 AND ledger_now() < rests_until(a.at, a.tries, $5)))
            )
        ORDER BY level DESC LIMIT $2
        """,
        budget.source,
        most,
        budget.half_life,
        budget.account,
        longest_period(budget.limits),
    )
    return [Tracked(row["symbol"], row["weight"], row["level"], row["clock"]) for row in rows if row["weight"]]


async def select_refreshed(connection: Connection, source: str, account: str, since: datetime) -> dict[str, float]:
    """The market clocks of the quotes of symbols that were called for since then."""
    rows = await connection.fetch(
        """
        SELECT symbol, clock FROM symbols WHERE source = $1 AND symbol IN (
            SELECT unnest(subjects) FROM calls WHERE account = $2 AND ends_at > $3 AND function IN ('GLOBAL_QUOTE', 'REALTIME_BULK_QUOTES')
        )
        """,
        source,
        account,
        since,
    )
    return {row["symbol"]: row["clock"] for row in rows}


async def select_firsts_before(connection: Connection, requester: str, symbol: str) -> int:
    """How many first quotes background fetches before this symbol of the requester's watchlist: the earlier ones of that list, and as many
    of each other waiting account."""
    count: int = await connection.fetchval(
        """
        WITH lacking AS (
            SELECT i.user_id, i.symbol, row_number() OVER (PARTITION BY i.user_id ORDER BY i.added_at, i.symbol) AS place
            FROM users u JOIN watchlist_items i ON i.user_id = u.id JOIN symbols s ON s.symbol = i.symbol
            WHERE u.firsts_at IS NOT NULL AND NOT u.asleep AND s.source IS NULL
        )
        SELECT count(DISTINCT other.symbol) FROM lacking own JOIN lacking other ON other.place <= own.place AND other.symbol <> own.symbol
        WHERE own.user_id = substring($1 FROM '^user:([0-9]{1,18})$')::bigint AND own.symbol = $2
        """,
        requester,
        symbol,
    )
    return count
