"""The ledger of calls, which is the rate limiter. Durations are timedeltas, times are the ledger's."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.budget.policy import Pace, Usage
from common.core.calendar.trading_day import ABROAD
from common.core.limits import DAY, LEASE, Rule
from common.core.models import CallClass, Function
from common.core.provider.alpha_vantage import BULK_LIMIT
from common.core.provider.outcomes import NO_ANSWER, Outcome
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Budget:
    """How a process asks for calls: the account and its rules, the source of its prices, the name of the process, the half-life of reads,
    and whether bulk calls are possible."""

    account: str
    source: str
    process: str
    limits: tuple[Rule, ...]
    half_life: timedelta
    bulk: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A granted call: the right to send one request for these subjects until the lease ends."""

    id: int
    function: Function
    subjects: tuple[str, ...]
    call_class: CallClass
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """No call now. `wait`: ask again after exactly this; None: only a new request changes it. `reason`: `limit`, `idle` or a hold's."""

    wait: timedelta | None
    reason: str


async def grant_call(connection: Connection, budget: Budget, pace: Pace) -> tuple[datetime, Grant | Wait]:
    """The ledger's time, and either a grant or how long to wait (db/functions/grant_call.sql)."""
    row = await connection.fetchrow(
        """
        SELECT * FROM grant_call(
            $1, $2, $3, $4::int[], $5::interval[], $6, $7::text[], $8::int[], $9::interval[], $10::jsonb, $11, $12, $13, $14, $15
        )
        """,
        budget.account,
        budget.source,
        budget.process,
        [rule.calls for rule in budget.limits],
        [rule.period for rule in budget.limits],
        LEASE,
        [ceiling.group for ceiling in pace.ceilings],
        [ceiling.calls for ceiling in pace.ceilings],
        [ceiling.period for ceiling in pace.ceilings],
        json.dumps(dict(pace.most_of_one)),
        pace.gap,
        pace.clock,
        pace.power,
        budget.half_life,
        BULK_LIMIT if budget.bulk else 1,
    )
    if row["call"] is None:
        return row["asked_at"], Wait(row["wait"], row["reason"])
    grant = Grant(
        row["call"], Function(row["function"]), tuple(row["subjects"]), CallClass(row["class"]), row["granted_at"]
    )
    return row["asked_at"], grant


async def select_now(connection: Connection) -> datetime:
    """The ledger's time."""
    now: datetime = await connection.fetchval("SELECT ledger_now()")
    return now


async def select_use(
    connection: Connection, budget: Budget, *, taken_after: datetime, busy_after: datetime
) -> tuple[Usage, datetime | None]:
    """The usage that the policy needs, and when a quote was last asked for.

    Tracked symbols are counted up to one more than a day's quota.
    """
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $5) AS taken,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $2) AS busy,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $2
                AND groups @> '{waiting}') AS urgent,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome = ANY ($6) AND ends_at > $2
                AND NOT groups @> '{waiting}') AS failed,
            (SELECT count(*) FROM (SELECT FROM symbols WHERE source = $4 AND level IS NOT NULL LIMIT $3) AS quoted) AS wanted,
            (SELECT coalesce(max(trading_day) FILTER (WHERE symbol !~ $7), max(trading_day)) FROM quotes WHERE source = $4)
                AS newest_day,
            (SELECT max(granted_at) FROM calls WHERE account = $1 AND function = 'GLOBAL_QUOTE' AND granted_at > $2 - interval '1 day'
                AND (outcome = 'ok' OR (class IN ('refresh', 'first') AND outcome IS DISTINCT FROM 'unsent'))) AS last_asked
        """,
        budget.account,
        busy_after,
        max(rule.calls for rule in budget.limits) + 1,
        budget.source,
        taken_after,
        [outcome for outcome in NO_ANSWER if outcome is not Outcome.UNSENT],
        ABROAD,
    )
    return (
        Usage(row["taken"], row["busy"], row["urgent"], row["failed"], row["wanted"], row["newest_day"]),
        row["last_asked"],
    )


async def select_quota_left(connection: Connection, budget: Budget) -> bool:
    """Whether a rule of a day or longer leaves a call."""
    quota = next((rule for rule in budget.limits if rule.period >= DAY), None)
    if quota is None:
        return True
    taken: int = await connection.fetchval(
        """
        SELECT count(*) FROM calls
        WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > ledger_now() - $2::interval
        """,
        budget.account,
        quota.period,
    )
    return taken < quota.calls


async def update_weighed(connection: Connection, account: str, *, every: timedelta) -> bool:
    """Whether the account's weights are due for an update. Of several processes, one gets True."""
    return bool(
        await connection.fetchval(
            """
            UPDATE ledgers SET weighed_at = ledger_now()
            WHERE account = $1 AND coalesce(weighed_at < ledger_now() - $2::interval, true) RETURNING true
            """,
            account,
            every,
        )
    )


async def delete_old_calls(connection: Connection, *, keep: timedelta, most: int) -> int:
    """Delete at most `most` calls that ended before `keep`; return how many. Settings guarantee that no rule still counts them.

    `granted_at` is in the condition because it has the index; a call is granted before it ends.
    """
    done = await connection.execute(
        """
        DELETE FROM calls WHERE id = ANY (ARRAY(
            SELECT id FROM calls WHERE granted_at < (SELECT ledger_now() - $1::interval)
                AND ends_at < (SELECT ledger_now() - $1::interval)
            ORDER BY granted_at LIMIT $2
        ))
        """,
        keep,
        most,
    )
    return affected(done)


async def lock_ledger(connection: Connection) -> datetime:
    """Block other grants and settlements until the transaction ends; return the ledger's time. Take it before locking any row."""
    now: datetime = await connection.fetchval("SELECT lock_ledger()")
    return now


async def update_call(
    connection: Connection, call: int, outcome: Outcome, took: timedelta | None = None
) -> datetime | None:
    """Record a call's outcome; its slot now counts from its end. Return the ledger's time of the end, or None if already settled.

    `took`: elapsed monotonic time. The smaller of it and the database's own elapsed time is used, so a forward clock jump cannot occupy
    the slot until that later time.
    """
    at: datetime | None = await connection.fetchval(
        """
        UPDATE calls SET outcome = $2, ends_at = least(ledger_now(), granted_at + $3) WHERE id = $1 AND outcome IS NULL
        RETURNING ends_at
        """,
        call,
        outcome,
        took,
    )
    return at


async def update_blamed(connection: Connection, call: int, outcome: Outcome) -> None:
    """Replace a settled call's outcome: the provider, not the symbol, is to blame. So the call counts among the failed ones."""
    await connection.execute("UPDATE calls SET outcome = $2 WHERE id = $1", call, outcome)
