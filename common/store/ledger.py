"""The journal of calls, which is the limiter. Durations are timedeltas, times are the ledger's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum, sqrt

from common.core.alpha_vantage import BULK_LIMIT
from common.core.limits import DAY, LEASE, Rule
from common.core.models import Function, Purpose
from common.core.outcomes import Hold, Outcome
from common.core.outlook import Outlook
from common.core.refresh import Turn, Use
from common.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for a call: the account whose limits bind, the process, the rules, the share of urgent calls (0..1],
    the half-life of reads, and whether one call may refresh many symbols."""

    account: str
    caller: str
    limits: tuple[Rule, ...]
    share: float
    half_life: timedelta
    bulk: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to make one call for these subjects, until the lease ends."""

    id: int
    function: Function
    subjects: tuple[str, ...]
    purpose: Purpose
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """No call now. `wait`: ask again after exactly this; None: nothing is due. `reason`: limit, idle or a notice's name."""

    wait: timedelta | None
    reason: str


async def grant_call(connection: Connection, ask: Ask, turn: Turn) -> tuple[datetime, Grant | Wait]:
    """The ledger's time, and a call for the top of the line or how long to wait for one."""
    row = await connection.fetchrow(
        "SELECT * FROM grant_call($1, $2, $3::int[], $4::interval[], $5, $6, $7, $8, $9, $10, $11)",
        ask.account,
        ask.caller,
        [rule.calls for rule in ask.limits],
        [rule.period for rule in ask.limits],
        LEASE,
        ask.share,
        turn.gap,
        turn.clock,
        turn.power,
        ask.half_life,
        BULK_LIMIT if ask.bulk else 1,
    )
    if row["call"] is None:
        return row["asked_at"], Wait(row["wait"], row["reason"])
    grant = Grant(
        row["call"], Function(row["function"]), tuple(row["subjects"]), Purpose(row["purpose"]), row["granted_at"]
    )
    return row["asked_at"], grant


async def select_now(connection: Connection) -> datetime:
    """The ledger's time."""
    now: datetime = await connection.fetchval("SELECT ledger_now()")
    return now


async def select_use(
    connection: Connection, ask: Ask, source: str, *, taken_after: datetime, busy_after: datetime
) -> tuple[Use, datetime | None]:
    """What the policy asks of the journal and the tables, and when a quote was last asked for."""
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $5) AS taken,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $2) AS busy,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent' AND ends_at > $2
                AND purpose < 2) AS urgent,
            (SELECT count(*) FROM symbols WHERE watchers > 0 OR pinned OR decayed(reads, reads_at, ledger_now(), $3) >= 0.5)
                AS wanted,
            (SELECT max(trading_day) FROM quotes WHERE source = $4) AS newest_day,
            (SELECT max(granted_at) FROM calls WHERE account = $1 AND function = 'GLOBAL_QUOTE'
                AND (outcome = 'ok' OR (purpose = 2 AND outcome IS DISTINCT FROM 'unsent'))) AS last_asked
        """,
        ask.account,
        busy_after,
        ask.half_life,
        source,
        taken_after,
    )
    return Use(row["taken"], row["busy"], row["urgent"], row["wanted"], row["newest_day"]), row["last_asked"]


async def select_outlook(connection: Connection, ask: Ask, *, most: int) -> Outlook:
    """The ledger's state for readers: holds, whether the last five calls all failed, quota, and the heaviest wanted symbols."""
    quota = next((rule for rule in ask.limits if rule.period >= DAY), None)
    row = await connection.fetchrow(
        """
        SELECT held_until, held_for,
            (SELECT count(*) = 5 AND bool_and(outcome IN ('unavailable', 'unsent')) FROM (
                SELECT outcome FROM calls WHERE account = $1 AND outcome IS NOT NULL ORDER BY id DESC LIMIT 5
            ) AS latest) AS fails,
            (SELECT count(*) FROM calls WHERE account = $1 AND outcome IS DISTINCT FROM 'unsent'
                AND ends_at > ledger_now() - $2::interval) AS taken
        FROM (SELECT 1) AS one LEFT JOIN ledgers ON account = $1
        """,
        ask.account,
        quota.period if quota else timedelta(),
    )
    wanted = await connection.fetch(
        """
        SELECT symbol, weight FROM (
            SELECT symbol, greatest(1, watchers + decayed(reads, reads_at, ledger_now(), $1)) AS weight
            FROM symbols WHERE watchers > 0 OR pinned OR decayed(reads, reads_at, ledger_now(), $1) >= 0.5
        ) AS weighed ORDER BY weight DESC LIMIT $2
        """,
        ask.half_life,
        most,
    )
    weights = {row["symbol"]: row["weight"] for row in wanted}
    left = quota is None or row["taken"] < quota.calls
    return Outlook(row["held_for"], row["held_until"], row["fails"], left, fsum(map(sqrt, weights.values())), weights)


async def update_bulk_denied(connection: Connection, account: str, until: datetime) -> None:
    """The key lacks the right to bulk quotes: one symbol a call until then."""
    await connection.execute("UPDATE ledgers SET bulk_denied_until = $2 WHERE account = $1", account, until)


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
    return int(str(done).rpartition(" ")[2])


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
    """An operator ends every hold."""
    await connection.execute(
        """
        UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, background_held_until = NULL
        WHERE account = $1
        """,
        account,
    )


async def update_probed(connection: Connection, account: str) -> None:
    """The call that went first was answered: the rest may follow."""
    await connection.execute(
        "UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false WHERE account = $1 AND probing", account
    )


async def update_background_hold(connection: Connection, account: str, until: datetime | None) -> None:
    """Stop background calls until then (a refused key), or let them go on (None)."""
    await connection.execute(
        """
        UPDATE ledgers SET background_held_until = $2
        WHERE account = $1 AND background_held_until IS DISTINCT FROM $2
        """,
        account,
        until,
    )
