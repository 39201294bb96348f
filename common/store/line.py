"""The line: what is wanted now or under way. One row a subject; joining it is the single flight across processes."""

from collections.abc import Sequence
from datetime import timedelta

from common.core.models import Function, Purpose
from common.store.pool import Connection

INTERACTIVE_ROWS = 100
INTERACTIVE_STAY = timedelta(seconds=60)
TRIES = 3


async def join_line(
    connection: Connection,
    function: Function,
    subjects: Sequence[str],
    purpose: Purpose,
    *,
    stay: timedelta,
    asker: str | None = None,
    fair: int = 0,
    source: str | None = None,
) -> str:
    """Put subjects in the line, or raise the purpose of those that stand there: `joined`.

    Nothing is put if it is `full` (a hundred interactive rows wait), `unfair` (`asker` had `fair` other subjects within a
    minute) or `known` (the quote of `source` that a miss waits for has come meanwhile).
    """
    verdict: str = await connection.fetchval(
        "SELECT join_line($1, $2, $3, $4, $5, $6, $7, $8)",
        function,
        list(subjects),
        purpose,
        stay,
        INTERACTIVE_ROWS,
        asker,
        fair,
        source,
    )
    return verdict


async def select_rank(connection: Connection, function: Function, subject: str) -> int | None:
    """How many stand before a subject, itself included; None: it does not stand in the line."""
    rank: int | None = await connection.fetchval(
        """
        SELECT (SELECT count(*) FROM demand o WHERE (o.purpose, o.since, o.subject) <= (d.purpose, d.since, d.subject))
        FROM demand d WHERE d.function = $1 AND d.subject = $2
        """,
        function,
        subject,
    )
    return rank


async def delete_served(connection: Connection, call: int, subjects: Sequence[str]) -> list[tuple[Purpose, timedelta]]:
    """Their demand is answered, well or badly; for how long each had stood in the line when the call was granted."""
    rows = await connection.fetch(
        """
        DELETE FROM demand USING calls WHERE call = $1 AND subject = ANY ($2) AND calls.id = call
        RETURNING demand.purpose, granted_at - since AS waited
        """,
        call,
        list(subjects),
    )
    return [(Purpose(row["purpose"]), row["waited"]) for row in rows]


async def release_unserved(connection: Connection, call: int, *, backoff: timedelta, counts: bool) -> None:
    """Put what a failed call was for back in the line, background apart (the policy is its retry).

    `counts`: the failure is one of three tries; a throttle is none.
    """
    await connection.execute(
        """
        WITH gone AS (DELETE FROM demand WHERE call = $1 AND (purpose = 2 OR ($3 AND tries >= $4)))
        UPDATE demand SET call = NULL, taken_until = NULL, ready_at = ledger_now() + $2,
            tries = CASE WHEN $3 THEN tries ELSE tries - 1 END
        WHERE call = $1 AND purpose < 2 AND NOT ($3 AND tries >= $4)
        """,
        call,
        backoff,
        counts,
        TRIES,
    )
