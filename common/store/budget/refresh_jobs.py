"""Operators' refresh jobs: which symbols, and how each ended. The queue does the work; settlements record the ends here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from common.core.provider.outcomes import Outcome
from common.store.connection.pool import Connection, affected

JOB_TTL = timedelta(days=7)  # a job's symbols stay queued

State = Literal["waiting", "under_way", "settled", "expired"]


@dataclass(frozen=True, slots=True)
class Item:
    """One symbol of a job; `expired`: it was not served within `JOB_TTL`."""

    symbol: str
    state: State
    outcome: str | None
    call: int | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Job:
    """A refresh job and its items by state; times are the ledger's. `failed`: settled items whose outcome is not `ok`. `last_rank`: the
    place in the queue of its last item."""

    id: int
    queued_at: datetime
    queued_by: str
    settled: int
    waiting: int
    under_way: int
    expired: int
    failed: int
    last_rank: int


async def insert_job(connection: Connection, symbols: Sequence[str], by: str, request_id: str | None) -> int:
    """Insert a job with all its symbols; return its id. The caller enqueues them in batches; a worker enqueues any that are missing."""
    job: int = await connection.fetchval(
        "INSERT INTO refresh_jobs (queued_at, queued_by, request_id) VALUES (ledger_now(), $1, $2) RETURNING id",
        by,
        request_id,
    )
    await connection.execute(
        "INSERT INTO refresh_items (job_id, symbol) SELECT $1, unnest($2::text[])", job, list(symbols)
    )
    return job


async def select_lost(connection: Connection, *, most: int) -> list[str]:
    """Unfinished symbols of any job that are not queued."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT symbol FROM refresh_items
        WHERE outcome IS NULL AND NOT EXISTS (SELECT FROM demand WHERE function = 'GLOBAL_QUOTE' AND subject = symbol)
        ORDER BY symbol LIMIT $1
        """,
        most,
    )
    return [row["symbol"] for row in rows]


async def update_expired(connection: Connection) -> None:
    """Mark the unfinished items of jobs older than `JOB_TTL` as expired."""
    await connection.execute(
        """
        UPDATE refresh_items SET outcome = 'expired', settled_at = ledger_now() FROM refresh_jobs
        WHERE outcome IS NULL AND refresh_jobs.id = job_id AND queued_at < ledger_now() - $1::interval
        """,
        JOB_TTL,
    )


async def select_job(connection: Connection, job: int) -> Job | None:
    row = await connection.fetchrow(
        """
        WITH items AS (
            SELECT i.outcome, class_rank(d.class) AS place, d.since, d.function, d.subject, CASE
                WHEN i.outcome = 'expired' THEN 'expired'
                WHEN i.outcome IS NOT NULL THEN 'settled'
                WHEN d.taken_until > ledger_now() THEN 'under_way'
                ELSE 'waiting' END AS state
            FROM refresh_items i LEFT JOIN demand d ON d.function = 'GLOBAL_QUOTE' AND d.subject = i.symbol
            WHERE i.job_id = $1
        )
        SELECT id, queued_at, queued_by, counts.*, (
            SELECT count(*) FROM demand d WHERE (class_rank(d.class), d.since, d.function, d.subject) <= (
                SELECT place, since, function, subject FROM items WHERE state IN ('waiting', 'under_way')
                ORDER BY place DESC, since DESC, function DESC, subject DESC LIMIT 1
            )
        ) AS last_rank
        FROM refresh_jobs, (
            SELECT count(*) FILTER (WHERE state = 'settled') AS settled, count(*) FILTER (WHERE state = 'waiting') AS waiting,
                count(*) FILTER (WHERE state = 'under_way') AS under_way, count(*) FILTER (WHERE state = 'expired') AS expired,
                count(*) FILTER (WHERE state = 'settled' AND outcome <> 'ok') AS failed
            FROM items
        ) AS counts
        WHERE id = $1
        """,
        job,
    )
    return None if row is None else Job(**row)


async def select_items(connection: Connection, job: int, *, after: str | None, most: int) -> list[Item]:
    """A page of a job's items, by symbol: those after `after`."""
    rows = await connection.fetch(
        """
        SELECT i.symbol, CASE
            WHEN i.outcome = 'expired' THEN 'expired'
            WHEN i.outcome IS NOT NULL THEN 'settled'
            WHEN d.taken_until > ledger_now() THEN 'under_way'
            ELSE 'waiting' END AS state, nullif(i.outcome, 'expired') AS outcome, i.call, i.settled_at
        FROM refresh_items i LEFT JOIN demand d ON d.function = 'GLOBAL_QUOTE' AND d.subject = i.symbol
        WHERE i.job_id = $1 AND ($2::text IS NULL OR i.symbol > $2) ORDER BY i.symbol LIMIT $3
        """,
        job,
        after,
        most,
    )
    return [Item(**row) for row in rows]


async def update_settled(connection: Connection, call: int, symbols: Sequence[str], outcome: Outcome) -> None:
    """Record the outcome of a call for these symbols in items whose symbol has left the queue."""
    await connection.execute(
        """
        UPDATE refresh_items SET outcome = $3, call = $1, settled_at = ledger_now()
        WHERE outcome IS NULL AND symbol = ANY ($2)
            AND NOT EXISTS (SELECT FROM demand WHERE function = 'GLOBAL_QUOTE' AND subject = symbol)
        """,
        call,
        list(symbols),
        outcome,
    )


async def delete_old_jobs(connection: Connection, *, keep: timedelta) -> int:
    return affected(
        await connection.execute("DELETE FROM refresh_jobs WHERE queued_at < ledger_now() - $1::interval", keep)
    )
