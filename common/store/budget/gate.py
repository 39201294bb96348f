"""The gate of an account: holds on all calls, failures of the provider, and the probe that opens it again. Times are the ledger's own."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.core.budget.holds import Failures
from common.core.limits import longest_period
from common.core.provider.outcomes import Hold
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection


async def upsert_hold(connection: Connection, account: str, hold: Hold) -> None:
    """Close the gate for every process until the hold has passed; a longer hold stands."""
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
    """A hold for one of these reasons is never longer than that: if it is, the clock stepped back, and it begins anew."""
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
    """An operator ends every hold, and what was counted of failures."""
    await connection.execute(
        """
        UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL WHERE account = $1
        """,
        account,
    )


async def update_answered(connection: Connection, account: str) -> None:
    """The provider answered: failures are forgotten, and the gate that a probe waited behind is open."""
    await connection.execute(
        """
        UPDATE ledgers SET failures = 0, closed_at = NULL, probing = false,
            held_until = CASE WHEN probing THEN NULL ELSE held_until END, held_for = CASE WHEN probing THEN NULL ELSE held_for END
        WHERE account = $1 AND (probing OR failures > 0)
        """,
        account,
    )


async def update_failed(connection: Connection, budget: Budget, granted_at: datetime) -> Failures | None:
    """One more call without an answer, and what a day's rule counts of such; None: it was granted before the gate closed, and says
    nothing new."""
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
    """Close the gate until a probe, whatever shorter or longer hold of a failing provider there was."""
    await upsert_hold(connection, account, hold)
    await connection.execute("UPDATE ledgers SET closed_at = $2 WHERE account = $1", account, at)


async def select_blames_provider(connection: Connection, budget: Budget) -> bool:
    """Whether nearly all quotes that were asked for in the last minutes have no data, symbols among them that had quotes."""
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
                    AND outcome IN ('ok', 'no_data', 'bad_request') AND ends_at > ledger_now() - interval '10 minutes'
                ORDER BY id DESC LIMIT 6
            ) AS latest
            """,
            budget.account,
            budget.source,
        )
    )


async def update_bulk_denied(connection: Connection, account: str, until: datetime) -> None:
    """The key lacks the right to bulk quotes: one symbol a call until then."""
    await connection.execute("UPDATE ledgers SET bulk_denied_until = $2 WHERE account = $1", account, until)
