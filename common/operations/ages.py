"""How old the wanted symbols' quotes are, against the least that the budget allows. Shared by the reports."""

from dataclasses import dataclass
from datetime import datetime

from common.core.budget.ages import Sums, deadline, marks
from common.core.budget.staleness import session_rate
from common.core.provider.alpha_vantage import BULK_LIMIT
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.store.budget import ledger, reports, tracked
from common.store.budget.tracked import Totals, View
from common.store.connection.pool import Connection


@dataclass(frozen=True, slots=True)
class Ages:
    """Figures over the wanted symbols that do not fail, in market-open seconds; None where they mean nothing.

    `per_minute`: symbols that background refreshes a minute in a session; 0: the square-root law does not rule.
    """

    totals: Totals
    per_minute: float

    @property
    def sums(self) -> Sums:
        return self.totals.sums

    @property
    def mean(self) -> float | None:
        return self.sums.mean_age

    @property
    def bound(self) -> float | None:
        return self.sums.bound(self.per_minute)

    @property
    def ratio(self) -> float | None:
        return None if self.mean is None or self.bound is None else self.mean / self.bound


async def look(connection: Connection, resources: Resources) -> View:
    """As of now, by the ledger."""
    now, settings = await ledger.select_now(connection), resources.settings
    calendar = open_calendar(settings.market_hours, now)
    until = deadline(calendar, now, ttl=settings.quote_ttl, data=settings.provider_data)
    return View(resources.budget.account, settings.source, resources.budget.half_life, now, marks(calendar, now), until)


async def measure(connection: Connection, resources: Resources, view: View, *, only: str = "all") -> Ages:
    """In one pass over all symbols. Ages are from each quote's `fetched_at`: a call that failed makes nothing younger."""
    totals = await tracked.select_totals(connection, view, only=only)
    return Ages(totals, await _pace(connection, resources, totals.wanted, view.now))


async def _pace(connection: Connection, resources: Resources, wanted: int, now: datetime) -> float:
    """Symbols a minute. End-of-day prices are refreshed once a day, by another law."""
    settings, quota = resources.settings, resources.policy.quota
    if settings.market_hours == "always":
        rate = 60 / resources.policy.gap.total_seconds()
        if quota is not None:
            rate = min(rate, quota.per_minute * (1 - settings.quota_interactive_share))
    elif settings.provider_data == "end_of_day":
        return 0.0
    else:
        rate = session_rate(settings.limits, wanted, settings.quota_interactive_share)
    return rate * min(BULK_LIMIT, max(1, wanted)) if await asks_in_bulk(connection, resources, now) else rate


async def asks_in_bulk(connection: Connection, resources: Resources, now: datetime) -> bool:
    """Whether one call may refresh many symbols: the plan has it, and the provider did not deny it within the day."""
    if not resources.budget.bulk:
        return False
    denied = (await reports.select_ledger(connection, resources.budget.account))["bulk_denied_until"]
    return denied is None or denied <= now
