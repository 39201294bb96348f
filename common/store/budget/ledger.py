"""The journal of calls, which is the limiter. Durations are timedeltas, times are the ledger's own."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.budget.policy import Pace, Usage
from common.core.limits import DAY, LEASE, Rule
from common.core.models import CallClass, Function
from common.core.provider.alpha_vantage import BULK_LIMIT
from common.core.provider.outcomes import NO_ANSWER, Outcome
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Budget:
    """Who asks for a call: the account whose limits bind, whose prices it brings, the process, the rules, the half-life of reads, and
    whether one call may refresh many symbols."""

    account: str
    source: str
    process: str
    limits: tuple[Rule, ...]
    half_life: timedelta
    bulk: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to make one call for these subjects, until the lease ends."""

    id: int
    function: Function
    subjects: tuple[str, ...]
    call_class: CallClass
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """No call now. `wait`: ask again after exactly this; None: nothing is due. `reason`: limit, idle or a notice's name."""

    wait: timedelta | None
    reason: str


async def grant_call(connection: Connection, budget: Budget, pace: Pace) -> tuple[datetime, Grant | Wait]:
    """The ledger's time, and a call for the top of the line or how long to wait for one."""
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
    """What the policy asks of the journal and the tables, and when a quote was last asked for. Wanted symbols are counted up to what a
    day's quota allows and one more."""
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
            (SELECT max(trading_day) FROM quotes WHERE source = $4) AS newest_day,
            (SELECT max(granted_at) FROM calls WHERE account = $1 AND function = 'GLOBAL_QUOTE' AND granted_at > $2 - interval '1 day'
                AND (outcome = 'ok' OR (class IN ('refresh', 'first') AND outcome IS DISTINCT FROM 'unsent'))) AS last_asked
        """,
        budget.account,
        busy_after,
        max(rule.calls for rule in budget.limits) + 1,
        budget.source,
        taken_after,
        [outcome for outcome in NO_ANSWER if outcome is not Outcome.UNSENT],
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
    """Whether the account's weights are due to be looked at, which they are for one process alone."""
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
    """Forget calls that ended longer ago, `most` at once; how many. Settings see to it that no rule still counts them.

    A call was granted before it ended: that finds it by the index of `granted_at`.
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
    """Let nobody else grant or settle until the transaction ends; the ledger's time. Taken before any row is touched."""
    now: datetime = await connection.fetchval("SELECT lock_ledger()")
    return now


async def update_call(
    connection: Connection, call: int, outcome: Outcome, took: timedelta | None = None
) -> datetime | None:
    """Settle a call: its slot counts from now on. The ledger's time of the response, or None if it was settled before.

    `took`, since the ledger was asked, by a clock that nobody sets: if the ledger's says more, it jumped ahead meanwhile, and the slot
    would be lost until that time comes.
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
