"""Queries for metrics of the queue and the ledger that operators' reports do not have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.limits import Rule
from common.core.models import Function
from common.store.connection.pool import Connection

OVER_LIMIT_PERIOD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One class's requests that wait for a call or a retry, and how long the oldest has waited. `trial`: those likely to waste a call."""

    call_class: str
    rows: int
    oldest: timedelta


async def select_waiting(connection: Connection) -> list[Waiting]:
    """By class; classes without a waiting request are left out."""
    rows = await connection.fetch(
        """
        SELECT CASE WHEN 'trial' = ANY (groups) THEN 'trial' ELSE class END AS class, count(*) AS rows, max(now - since) AS oldest
        FROM (SELECT ledger_now() AS now) AS clock CROSS JOIN demand
        WHERE expires > now AND coalesce(taken_until <= now, true) GROUP BY 1
        """
    )
    return [Waiting(row["class"], row["rows"], row["oldest"]) for row in rows]


async def select_over_limit(connection: Connection, account: str, limits: Sequence[Rule]) -> list[int]:
    """For each rule, how many calls of the last five minutes broke it. Always 0, unless the ledger is wrong."""
    rows = await connection.fetch(
        """
        SELECT (
            SELECT count(*) FROM (
                SELECT granted_at, granted_at - lag(granted_at, rule.calls) OVER (ORDER BY granted_at, id) AS apart
                FROM calls
                WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND granted_at > now - rule.period - $4::interval
            ) AS granted WHERE granted_at > now - $4::interval AND apart < rule.period
        ) AS over
        FROM (SELECT ledger_now() AS now) AS clock
        CROSS JOIN unnest($2::int[], $3::interval[]) WITH ORDINALITY AS rule (calls, period, place) ORDER BY place
        """,
        account,
        [rule.calls for rule in limits],
        [rule.period for rule in limits],
        OVER_LIMIT_PERIOD,
    )
    return [row["over"] for row in rows]


async def select_refreshed(connection: Connection, account: str) -> datetime | None:
    """When a call last returned quotes, in the ledger's time."""
    at: datetime | None = await connection.fetchval(
        """
        SELECT ends_at FROM calls
        WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND outcome = 'ok' AND function = ANY ($2)
        ORDER BY ends_at DESC LIMIT 1
        """,
        account,
        [Function.QUOTE, Function.BULK],
    )
    return at
