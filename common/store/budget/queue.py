"""The queue of requests: what is wanted now or under way. One row a subject; joining it is the single flight across processes."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from common.core.models import CallClass, Function
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection

MAX_WAITING = 100  # requests of one class that somebody waits for
QUEUE_TTL = timedelta(seconds=60)  # that a request is queued for, unless somebody was told to come back later
ADDED_TTL = timedelta(minutes=5)  # of a symbol that was added to a list: nobody comes back for it
MAX_ATTEMPTS = 3


async def enqueue(
    connection: Connection,
    budget: Budget,
    function: Function,
    subjects: Sequence[str],
    call_class: CallClass,
    *,
    ttl: timedelta = QUEUE_TTL,
    requester: str | None = None,
    most: int = 0,
    forced: bool = False,
) -> str:
    """Queue requests, or raise the class of those that are queued: `joined`, or `held` where the account makes no call now.

    Nothing is queued if it is `full` (a hundred requests of the class wait), `unfair` (`asker` had `most` other subjects within a
    minute), `watched` (`asker` watches it, and ten others of its requests wait), `known` (the quote that a reader waits for has come
    meanwhile) or `unlisted` (a stranger asks for a symbol that the listing lacks). `forced`: no ceiling binds it.
    """
    verdict: str = await connection.fetchval(
        "SELECT join_line($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        budget.account,
        function,
        list(subjects),
        call_class,
        requester,
        budget.source,
        ttl,
        forced,
        MAX_WAITING,
        most,
    )
    return verdict


async def select_queued(connection: Connection, keys: Collection[tuple[Function, str]]) -> set[tuple[Function, str]]:
    """Those of the functions with their subjects that are queued or under way."""
    rows = await connection.fetch(
        """
        SELECT function, subject FROM demand JOIN unnest($1::text[], $2::text[]) AS asked (function, subject) USING (function, subject)
        """,
        [function for function, _ in keys],
        [subject for _, subject in keys],
    )
    return {(Function(row["function"]), row["subject"]) for row in rows}


async def update_expiry(
    connection: Connection, function: Function, subject: str, ttl: timedelta, *, urgent_at: datetime | None = None
) -> None:
    """Somebody was told to come back: until then the request keeps its place. From `urgent_at` on it goes before others, so that it is
    served by then."""
    await connection.execute(
        """
        UPDATE demand SET expires = greatest(expires, ledger_now() + $3::interval), urgent_at = least(urgent_at, $4)
        WHERE function = $1 AND subject = $2
        """,
        function,
        subject,
        ttl,
        urgent_at,
    )


async def delete_served(
    connection: Connection, call: int, subjects: Sequence[str]
) -> list[tuple[CallClass, timedelta]]:
    """Their demand is answered, well or badly; for how long each had stood in the line when the call was granted."""
    rows = await connection.fetch(
        """
        DELETE FROM demand USING calls WHERE call = $1 AND subject = ANY ($2) AND calls.id = call
        RETURNING demand.class, granted_at - since AS waited
        """,
        call,
        list(subjects),
    )
    return [(CallClass(row["class"]), row["waited"]) for row in rows]


async def release_unserved(connection: Connection, call: int, *, jitter: float, counts: bool) -> None:
    """Put what a failed call was for back in the queue, background apart (the policy is its retry). It backs off 2 s, 4, 8, ..., each
    times `jitter`.

    `counts`: the failure is one of three tries; a throttle is none.
    """
    await connection.execute(
        """
        WITH gone AS (DELETE FROM demand WHERE call = $1 AND (class = 'refresh' OR ($3 AND tries >= $4)))
        UPDATE demand SET call = NULL, taken_until = NULL,
            ready_at = ledger_now() + $2::float8 * interval '1 s' * power(2, least(tries, 5)),
            tries = CASE WHEN $3 THEN tries ELSE tries - 1 END
        WHERE call = $1 AND class <> 'refresh' AND NOT ($3 AND tries >= $4)
        """,
        call,
        jitter,
        counts,
        MAX_ATTEMPTS,
    )
