"""What Prometheus is told of the line and the journal, beside what operators' reports hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.limits import Rule
from common.core.models import Function
from common.store.connection.pool import Connection

LOOKED_BACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows of one class (`trial`: likely to be wasted) that wait for a call or for their next try, and for how long the oldest does."""

    call_class: str
    rows: int
    oldest: timedelta


async def select_waiting(connection: Connection) -> list[Waiting]:
    """By class; one that nothing waits for is left out."""
    rows = await connection.fetch(
        """
        SELECT CASE WHEN 'trial' = ANY (groups) THEN 'trial' ELSE class END AS class, count(*) AS rows, max(now - since) AS oldest
        FROM (SELECT ledger_now() AS now) AS clock CROSS JOIN demand
        WHERE expires > now AND coalesce(taken_until <= now, true) GROUP BY 1
        """
    )
    return [Waiting(row["class"], row["rows"], row["oldest"]) for row in rows]


async def select_over_limit(connection: Connection, account: str, limits: Sequence[Rule]) -> list[int]:
    """By rule, how many calls of the last five minutes were granted less than its period after so many others. None ever should be."""
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
        LOOKED_BACK,
    )
    return [row["over"] for row in rows]


async def select_refreshed(connection: Connection, account: str) -> datetime | None:
    """When a call last brought quotes."""
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
