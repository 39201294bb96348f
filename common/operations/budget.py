"""What the provider still allows, who spent it, and the operator's hold on all calls."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, field

from common.core.limits import Rule
from common.core.provider.outcomes import Hold
from common.operations.audit import record
from common.operations.types import ClassName, Time
from common.process.resources import Resources
from common.store.budget import gate, ledger, reports
from common.store.connection.pool import Connection, acquire, transaction


class LimitReport(Struct, frozen=True):
    """One rule, such as `5/1min`: `used` slots are not free again yet. `next_free_at`: null while one is free."""

    limit: str
    calls: int
    period_s: float
    used: int
    free: int
    next_free_at: Time | None


class Spent(Struct, frozen=True):
    """Calls that were granted within the last minute, hour or day.

    `outcome`: a word of the journal, `in_flight`, or `unsettled` (its lease ended without an outcome).
    """

    window: Literal["minute", "hour", "day"]
    call_class: ClassName = field(name="class")
    outcome: str
    calls: int


class BudgetReport(Struct, frozen=True):
    """The ledger of the present key. `account`: a short hash of key and provider.

    `next_free_at`: when the next call may go, by all limits and the hold; null: at once, and `next_free_s` is 0. `held_for`:
    `operator`, `clock_jump`, `provider_down`, `bad_key` or a notice of the provider; `probing`: after the hold one call goes first, alone.
    """

    account: str
    limits: list[LimitReport]
    next_free_at: Time | None
    next_free_s: float
    held_until: Time | None
    held_for: str | None
    probing: bool
    spent: list[Spent]


async def report_budget(resources: Resources) -> BudgetReport:
    """Slots of every limit, the holds, and what was spent."""
    async with acquire(resources.db) as connection:
        return await _report(connection, resources)


async def hold(resources: Resources, duration: timedelta, *, by: str, request_id: str | None = None) -> BudgetReport:
    """Let no call be made for this long; a longer hold that is there already stays."""
    account = resources.budget.account
    async with transaction(resources.db) as connection:
        until = await ledger.lock_ledger(connection) + duration
        await gate.upsert_hold(connection, account, Hold(until, "operator", probing=False))
        subject = f"for {duration.total_seconds():.0f} s"
        await record(connection, "calls_held", by=by, subject=subject, request_id=request_id)
        return await _report(connection, resources)


async def release(resources: Resources, *, by: str, request_id: str | None = None) -> BudgetReport:
    """End every hold, whoever made it: the next call may go as soon as a slot is free."""
    async with transaction(resources.db) as connection:
        await ledger.lock_ledger(connection)
        await gate.update_released(connection, resources.budget.account)
        await record(connection, "calls_released", by=by, subject=None, request_id=request_id)
        return await _report(connection, resources)


async def _report(connection: Connection, resources: Resources) -> BudgetReport:
    account, now = resources.budget.account, await ledger.select_now(connection)
    book = await reports.select_ledger(connection, account)
    slots = await reports.select_slots(connection, account, resources.budget.limits, now)
    spent = await reports.select_spent(connection, account, now)
    limits = [
        _limit(rule, row["used"], _ahead(row["free_at"], now))
        for rule, row in zip(resources.budget.limits, slots, strict=True)
    ]
    held_until = _ahead(book["held_until"], now)
    free_at = max(filter(None, (held_until, *(limit.next_free_at for limit in limits))), default=None)
    return BudgetReport(
        account=account,
        limits=limits,
        next_free_at=free_at,
        next_free_s=0.0 if free_at is None else (free_at - now).total_seconds(),
        held_until=held_until,
        held_for=book["held_for"] if held_until else None,
        probing=book["probing"],
        spent=[Spent(row["span"], row["class"], row["outcome"], row["calls"]) for row in spent],
    )


def _limit(rule: Rule, used: int, free_at: datetime | None) -> LimitReport:
    return LimitReport(str(rule), rule.calls, rule.period.total_seconds(), used, max(0, rule.calls - used), free_at)


def _ahead(at: datetime | None, now: datetime) -> datetime | None:
    """A time that is past means nothing."""
    return at if at is not None and at > now else None
