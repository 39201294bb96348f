"""The queue of requests (table `demand`), one row a subject, waiting or under way. It is the single flight across all processes."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from common.core.models import CallClass, Function
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection

MAX_WAITING = 100  # requests of one class, of users or of strangers
QUEUE_TTL = timedelta(seconds=60)  # a request's time in the queue, unless its client was promised a later time
ADDED_TTL = timedelta(minutes=5)  # of a symbol added to a watchlist: no client comes back to extend it
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
    """Queue requests, or raise the class of those already queued. Return `joined`, or `held` while the account is on hold.

    Nothing is queued if the result is `full` (a hundred requests of the class wait), `unfair` (`requester` asked for `most` other subjects
    within a minute), `watched` (`requester` watches the symbol and has ten other requests waiting), `known` (the quote arrived in the
    meantime) or `unlisted` (a stranger asks for a symbol that the listing lacks). `forced`: no ceiling applies.

    Single flight: the function holds the ledger's lock, so of two processes that miss the same symbol one inserts the row and the other
    joins it. The reader looked for the quote before it took the lock; a call that ended in between has deleted the row, so without
    `known` the reader would start a second call for a quote that is already stored.
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
    """Those of `keys` that are queued or under way."""
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
    """Keep a request queued for `ttl`, because its client was told to come back. From `urgent_at` on it goes before all others."""
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
    """Remove the requests that a call served, with data or without; return each one's class and queueing time until the grant."""
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
    """Put the requests of a failed call back in the queue, to be retried after 2, 4, 8, ... seconds times `jitter`. Background's are
    removed: the policy retries them.

    `counts`: whether this failure uses one of the three attempts (throttling does not).
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
