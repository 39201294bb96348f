"""Queries for operators' reports: ledger, queue, audit. `now` is the ledger's time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from common.core.limits import Rule
from common.store.connection.pool import Connection

Rows = list[Mapping[str, Any]]


async def select_ledger(connection: Connection, account: str) -> Mapping[str, Any]:
    """held_until, held_for, probing, bulk_denied_until; nulls for an account without calls."""
    row: Mapping[str, Any] = await connection.fetchrow(
        """
        SELECT held_until, held_for, coalesce(probing, false) AS probing, bulk_denied_until
        FROM (SELECT 1) AS one LEFT JOIN ledgers ON account = $1
        """,
        account,
    )
    return row


async def select_slots(connection: Connection, account: str, limits: Sequence[Rule], now: datetime) -> Rows:
    """For each rule, in order: `used` slots, and `free_at`, when the next slot is free (null: all were never used at once)."""
    rows: Rows = await connection.fetch(
        """
        SELECT edge.ends_at + rule.period AS free_at, (
            SELECT count(*) FROM calls
            WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $4::timestamptz - rule.period
        ) AS used
        FROM unnest($2::int[], $3::interval[]) WITH ORDINALITY AS rule (calls, period, place)
        LEFT JOIN LATERAL (
            SELECT ends_at FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent'
            ORDER BY ends_at DESC OFFSET rule.calls - 1 LIMIT 1
        ) AS edge ON true
        ORDER BY rule.place
        """,
        account,
        [rule.calls for rule in limits],
        [rule.period for rule in limits],
        now,
    )
    return rows


async def select_spent(connection: Connection, account: str, now: datetime) -> Rows:
    """span, class (`trial`: likely to be wasted), outcome, calls; for the last minute, hour and day."""
    rows: Rows = await connection.fetch(
        """
        SELECT spans.span, kind.class,
            coalesce(c.outcome, CASE WHEN c.ends_at > $2::timestamptz THEN 'in_flight' ELSE 'unsettled' END) AS outcome, count(*) AS calls
        FROM (VALUES (1, 'minute', interval '1 minute'), (2, 'hour', interval '1 hour'), (3, 'day', interval '1 day'))
            AS spans (place, span, length)
        JOIN calls c ON c.account = $1 AND c.granted_at > $2::timestamptz - spans.length
        CROSS JOIN LATERAL (SELECT CASE WHEN 'trial' = ANY (c.groups) THEN 'trial' ELSE c.class END AS class) AS kind
        GROUP BY spans.place, spans.span, kind.class, 3 ORDER BY spans.place, kind.class = 'trial', class_rank(kind.class), 3
        """,
        account,
        now,
    )
    return rows


async def select_answers(connection: Connection, account: str) -> Mapping[str, Any]:
    """last_outcome (null: no call has ended), last_ok_at, and `fails`: whether the gate is closed because the provider fails."""
    row: Mapping[str, Any] = await connection.fetchrow(
        """
        SELECT
            (SELECT outcome FROM calls WHERE account = $1 AND outcome IS NOT NULL ORDER BY id DESC LIMIT 1) AS last_outcome,
            (SELECT ends_at FROM calls WHERE account = $1 AND outcome = 'ok' AND outcome IS DISTINCT FROM 'unsent'
                ORDER BY ends_at DESC LIMIT 1) AS last_ok_at,
            coalesce((SELECT closed_at IS NOT NULL FROM ledgers WHERE account = $1), false) AS fails
        """,
        account,
    )
    return row


async def select_calls(
    connection: Connection,
    *,
    symbol: str | None,
    outcome: str | None,
    call_class: str | None,
    before: int | None,
    most: int,
) -> Rows:
    """Newest first, of any account. `outcome`: `in_flight` selects calls without one."""
    rows: Rows = await connection.fetch(
        """
        SELECT * FROM (
            SELECT id, function, subjects, CASE WHEN 'trial' = ANY (groups) THEN 'trial' ELSE class END AS class,
                granted_at, ends_at, outcome, caller FROM calls
        ) AS calls
        WHERE ($1::text IS NULL OR $1 = ANY (subjects))
            AND ($2::text IS NULL OR coalesce(outcome, 'in_flight') = $2)
            AND ($3::text IS NULL OR class = $3) AND ($4::bigint IS NULL OR id < $4)
        ORDER BY id DESC LIMIT $5
        """,
        symbol,
        outcome,
        call_class,
        before,
        most,
    )
    return rows


async def select_line(connection: Connection, now: datetime, *, most: int) -> Rows:
    """The first requests by class and time: function, subject, class, since, tries, state."""
    rows: Rows = await connection.fetch(
        """
        SELECT function, subject, CASE WHEN 'trial' = ANY (groups) THEN 'trial' ELSE class END AS class, since, tries, CASE
            WHEN NOT is_ready(NULL, taken_until, $1) THEN 'under_way'
            WHEN NOT is_ready(ready_at, NULL, $1) THEN 'backing_off' ELSE 'waiting' END AS state
        FROM (
            SELECT * FROM demand WHERE expires > $1 OR taken_until > $1
            ORDER BY class_rank(class), since, function, subject LIMIT $2
        ) AS first ORDER BY class_rank(first.class), since, function, subject
        """,
        now,
        most,
    )
    return rows


async def select_line_counts(connection: Connection, now: datetime) -> tuple[int, int]:
    """How many requests wait, and how many are under way."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS present,
            count(*) FILTER (WHERE taken_until IS NOT NULL AND NOT is_ready(NULL, taken_until, $1)) AS under_way
        FROM demand WHERE expires > $1 OR taken_until > $1
        """,
        now,
    )
    return row["present"] - row["under_way"], row["under_way"]


async def select_audit(
    connection: Connection,
    *,
    event: str | None,
    actor: str | None,
    user: int | None,
    before: int | None,
    most: int,
) -> Rows:
    """Newest first."""
    rows: Rows = await connection.fetch(
        """
        SELECT id, at, event, actor, user_id, address, subject, request_id FROM audit
        WHERE ($1::text IS NULL OR event = $1) AND ($2::text IS NULL OR actor = $2)
            AND ($3::bigint IS NULL OR user_id = $3) AND ($4::bigint IS NULL OR id < $4)
        ORDER BY id DESC LIMIT $5
        """,
        event,
        actor,
        user,
        before,
        most,
    )
    return rows
