"""A reading of the whole service for Prometheus: operators' reports, and what only alerts need. It knows no metric."""

from dataclasses import dataclass
from datetime import datetime
from math import inf

from common.core.budget.policy import OPEN_POWER, Usage, busy_after, pace
from common.core.calendar.clock import Calendar
from common.core.limits import longest_period
from common.market_calendar import open_calendar
from common.operations.budget import BudgetReport, report_budget
from common.operations.status import StatusReport, report_status
from common.process.resources import Resources
from common.store.budget import gauges, ledger
from common.store.budget.gauges import Waiting
from common.store.connection.pool import Connection, acquire


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """What PostgreSQL says beyond the status. `over`: calls over the limit, by rule. `refreshed`: market-open seconds since a call returned
    quotes. `gap`: seconds between two background calls; None while the market is closed or no call is left for background."""

    budget: BudgetReport
    waiting: list[Waiting]
    over: list[int]
    refreshed: float
    market_open: bool
    gap: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`reading` is None while PostgreSQL is down; `status` says which store is."""

    status: StatusReport
    reading: LedgerReading | None


async def observe(resources: Resources) -> Snapshot:
    """Read everything; raise `StoreUnavailable` if PostgreSQL fails in between."""
    status = await report_status(resources)
    if status.database == "disconnected":
        return Snapshot(status, None)
    budget = await report_budget(resources)
    async with acquire(resources.db) as connection:
        return Snapshot(status, await _read_ledger(connection, resources, budget))


async def _read_ledger(connection: Connection, resources: Resources, budget: BudgetReport) -> LedgerReading:
    account = resources.budget.account
    now = await ledger.select_now(connection)
    calendar = open_calendar(resources.settings.market_hours, now)
    refreshed = await gauges.select_refreshed(connection, account)
    return LedgerReading(
        budget,
        await gauges.select_waiting(connection),
        await gauges.select_over_limit(connection, account, resources.budget.limits),
        inf if refreshed is None else calendar.clock(now) - calendar.clock(refreshed),
        calendar.is_open(now),
        await _gap(connection, resources, calendar, now),
    )


async def _gap(connection: Connection, resources: Resources, calendar: Calendar, now: datetime) -> float | None:
    policy, usage = resources.policy, Usage()
    if (after := busy_after(policy, calendar, now)) is not None:
        taken_after = now - longest_period(policy.limits)
        usage, _ = await ledger.select_use(connection, resources.budget, taken_after=taken_after, busy_after=after)
    due = pace(policy, calendar, now, usage)
    return due.gap.total_seconds() if due.power == OPEN_POWER else None
