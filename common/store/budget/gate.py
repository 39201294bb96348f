"""The gate of an account: holds on all calls, the provider's failures, and the probe that reopens it. Times are the ledger's."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.core.budget.holds import Failures
from common.core.limits import DAY, longest_period
from common.core.provider.outcomes import Hold
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection


async def upsert_hold(connection: Connection, account: str, hold: Hold) -> None:
    """Put all calls on hold; an existing longer hold stays."""
    await connection.execute(
        """
        INSERT INTO ledgers (account, held_until, held_for, probing) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account) DO UPDATE SET
            held_until = excluded.held_until, held_for = excluded.held_for, probing = excluded.probing
        WHERE coalesce(ledgers.held_until < excluded.held_until, true) OR (ledgers.probing AND excluded.probing)
        """,
        account,
        hold.until,
        hold.reason,
        hold.probing,
    )


async def update_hold_from_before(
    connection: Connection, account: str, reasons: Sequence[str], longest: timedelta
) -> None:
    """Restart a hold for one of these reasons that lasts longer than `longest`: it is from before a step back of the clock."""
    await connection.execute(
        """
        UPDATE ledgers SET held_until = ledger_now() + $3
        WHERE account = $1 AND held_for = ANY ($2) AND held_until > ledger_now() + $3
        """,
        account,
        list(reasons),
        longest,
    )


async def update_released(connection: Connection, account: str) -> None:
    """End every hold and forget counted failures, on an operator's order."""
    await connection.execute(
        """
        UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL WHERE account = $1
        """,
        account,
    )


async def update_answered(connection: Connection, account: str) -> None:
    """The provider answered: forget failures, and open the gate if a probe was pending.

    If it was closed, a symbol whose last call failed is not to blame: forget its attempts, or it would rest for hours.
    """
    await connection.execute(
        """
        DELETE FROM attempts USING ledgers AS l, calls AS c
        WHERE attempts.account = $1 AND l.account = $1 AND l.closed_at IS NOT NULL AND attempts.failures = 0
            AND c.account = $1 AND c.granted_at = attempts.at AND attempts.symbol = ANY (c.subjects)
            AND c.outcome IN ('unavailable', 'unknown_notice', 'bad_key')
        """,
        account,
    )
    await connection.execute(
        """
        UPDATE ledgers SET failures = 0, closed_at = NULL, probing = false,
            held_until = CASE WHEN probing THEN NULL ELSE held_until END, held_for = CASE WHEN probing THEN NULL ELSE held_for END
        WHERE account = $1 AND (probing OR failures > 0)
        """,
        account,
    )


async def update_failed(connection: Connection, budget: Budget, granted_at: datetime) -> Failures | None:
    """Count a call without an answer; return the failures. None if it was granted before the gate closed: then it says nothing new."""
    in_a_row = await connection.fetchval(
        """
        INSERT INTO ledgers (account, failures) VALUES ($1, 1) ON CONFLICT (account) DO UPDATE SET failures = ledgers.failures + 1
        WHERE ledgers.closed_at IS NULL OR ledgers.closed_at <= $2 RETURNING failures
        """,
        budget.account,
        granted_at,
    )
    if in_a_row is None:
        return None
    row = await connection.fetchrow(
        """
        SELECT count(*) AS counted, min(ends_at) AS oldest FROM calls
        WHERE account = $1 AND outcome IN ('unavailable', 'unknown_notice', 'bad_key') AND ends_at > ledger_now() - $2::interval
        """,
        budget.account,
        longest_period(budget.limits),
    )
    return Failures(in_a_row, row["counted"], row["oldest"])


async def update_closed(connection: Connection, account: str, hold: Hold, at: datetime) -> None:
    """Close the gate until a probe, replacing any hold that a failing provider had."""
    await upsert_hold(connection, account, hold)
    await connection.execute("UPDATE ledgers SET closed_at = $2 WHERE account = $1", account, at)


async def select_blames_provider(connection: Connection, budget: Budget) -> bool:
    """Whether missing data is the provider's fault: five of the last six quote calls of `blame_period` had none, two of them for symbols
    that had quotes before.
    """
    return bool(
        await connection.fetchval(
            """
            SELECT count(*) >= 5 AND count(*) FILTER (WHERE outcome <> 'ok') >= 5
                AND count(*) FILTER (WHERE outcome <> 'ok' AND had_quote) >= 2
            FROM (
                SELECT outcome, EXISTS (
                    SELECT FROM symbols WHERE symbol = ANY (subjects) AND source = $2
                ) AS had_quote
                FROM calls WHERE account = $1 AND function IN ('GLOBAL_QUOTE', 'REALTIME_BULK_QUOTES')
                    AND outcome IN ('ok', 'no_data', 'bad_request', 'unknown_notice') AND ends_at > ledger_now() - $3::interval
                ORDER BY id DESC LIMIT 6
            ) AS latest
            """,
            budget.account,
            budget.source,
            blame_period(budget),
        )
    )


def blame_period(budget: Budget) -> timedelta:
    """For how long missing data may turn out to be the provider's fault. With a rule of a day calls are hours apart."""
    return timedelta(hours=12) if longest_period(budget.limits) >= DAY else timedelta(minutes=10)


async def update_bulk_denied(connection: Connection, account: str, until: datetime) -> None:
    """The key may not make bulk calls: ask for one symbol a call until then."""
    await connection.execute("UPDATE ledgers SET bulk_denied_until = $2 WHERE account = $1", account, until)
