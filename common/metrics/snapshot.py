"""One look at the whole service, for Prometheus: what operators are told, and what only alerts ask. It knows no metric."""

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
class Journal:
    """What PostgreSQL says beside the status. `over`: calls over the limit, by rule; `refreshed`: market-open seconds since a call
    brought quotes; `gap`: seconds between two calls of background now, None while the market is closed or nothing is left for it."""

    budget: BudgetReport
    waiting: list[Waiting]
    over: list[int]
    refreshed: float
    market_open: bool
    gap: float | None


@dataclass(frozen=True, slots=True)
class Observation:
    """`journal` is None while PostgreSQL is away; the status says which store is."""

    status: StatusReport
    journal: Journal | None


async def observe(resources: Resources) -> Observation:
    """Raise `StoreUnavailable` if PostgreSQL goes away on the way."""
    status = await report_status(resources)
    if status.database == "disconnected":
        return Observation(status, None)
    budget = await report_budget(resources)
    async with acquire(resources.db) as connection:
        return Observation(status, await _journal(connection, resources, budget))


async def _journal(connection: Connection, resources: Resources, budget: BudgetReport) -> Journal:
    account, now = resources.budget.account, await ledger.select_now(connection)
    calendar = open_calendar(resources.settings.market_hours, now)
    refreshed = await gauges.select_refreshed(connection, account)
    return Journal(
        budget,
        await gauges.select_waiting(connection),
        await gauges.select_over_limit(connection, account, resources.budget.limits),
        inf if refreshed is None else calendar.clock(now) - calendar.clock(refreshed),
        calendar.is_open(now),
        await _gap(connection, resources, calendar, now),
    )


async def _gap(connection: Connection, resources: Resources, calendar: Calendar, now: datetime) -> float | None:
    policy, use = resources.policy, Usage()
    if (after := busy_after(policy, calendar, now)) is not None:
        taken_after = now - longest_period(policy.limits)
        use, _ = await ledger.select_use(connection, resources.budget, taken_after=taken_after, busy_after=after)
    found = pace(policy, calendar, now, use)
    return found.gap.total_seconds() if found.power == OPEN_POWER else None
