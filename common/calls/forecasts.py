"""Read the budget's situation and forecast from it (common/core/forecast/promises.py). Nothing is changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from common.calls.permits import current_pace
from common.core.budget.policy import Pace
from common.core.forecast.promises import Forecast, forecast
from common.core.forecast.situation import USUAL_LATENCY, Gate, Situation, Tracked, Window
from common.core.forecast.spans import background_spans
from common.core.limits import LEASE, longest_period
from common.core.provider.alpha_vantage import BULK_LIMIT
from common.core.quotes.outlook import Outlook
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.store.budget import ledger, situations
from common.store.connection.pool import Connection

MAX_SYMBOLS = 20_000  # tracked symbols whose refresh is forecast
MAX_BACKLOG = 1000  # symbols that are counted as due
TRACKED_INTERVAL = 30.0  # seconds between two readings of all weights, which change slowly


async def look_ahead(connection: Connection, resources: Resources) -> Forecast:
    """A forecast for queued requests. It names no symbol that background refreshes."""
    return forecast(await read_situation(connection, resources))


async def read_situation(
    connection: Connection, resources: Resources, *, tracked: Sequence[Tracked] | None = None
) -> Situation:
    """Everything a forecast needs. `tracked`: the symbols whose refresh is forecast; None: only their number matters."""
    now = await ledger.select_now(connection)
    pace = await current_pace(connection, resources)
    calendar = open_calendar(resources.settings.market_hours, now)
    account, source = resources.budget.account, resources.budget.source
    row = await situations.select_gate(connection, account)
    asked, requesters, mean, slow = await situations.select_lately(connection, account)
    backlog = (
        await situations.select_backlog(connection, source, pace.clock, most=MAX_BACKLOG) if tracked is None else 0
    )
    denied = row["bulk_denied_until"]
    return Situation(
        at=now,
        windows=await situations.select_windows(connection, account, _windows(resources, pace), now),
        gate=_gate(row, resources),
        queue=await situations.select_queue(
            connection,
            resources.budget,
            now,
            longest=longest_period(resources.budget.limits),
            most_of_one=pace.most_of_one,
        ),
        spans=background_spans(pace, resources.policy, calendar, now, tracked=backlog or len(tracked or ())),
        background_at=row["background_at"],
        last_first=row["last_first"],
        firsts=await situations.select_firsts(connection, account),
        resting=await situations.select_resting(connection, account),
        tracked=tracked or (),
        backlog=backlog,
        most_of_one=pace.most_of_one,
        asked=asked,
        requesters=requesters,
        latency=_latency(mean, slow),
        bulk=BULK_LIMIT if resources.budget.bulk and (denied is None or denied <= now) else 1,
    )


async def read_gate(connection: Connection, resources: Resources) -> Gate:
    """Whether calls may go at all."""
    return _gate(await situations.select_gate(connection, resources.budget.account), resources)


def _gate(row: Mapping[str, Any], resources: Resources) -> Gate:
    return Gate(row["held_for"], row["held_until"], row["probing"], row["fails"], resources.policy.quota is not None)


def _windows(resources: Resources, pace: Pace) -> list[Window]:
    rules = [Window(rule.calls, rule.period) for rule in resources.budget.limits]
    return rules + [Window(ceiling.calls, ceiling.period, ceiling.group) for ceiling in pace.ceilings]


def _latency(mean: float | None, slow: float | None) -> tuple[timedelta, timedelta]:
    if mean is None or slow is None:
        return USUAL_LATENCY
    return timedelta(seconds=mean), timedelta(seconds=max(mean, slow))


class Watched:
    """This process's copy of the tracked symbols: read in full every 30 s, in between only what was refreshed.

    `clock`: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._seen_at = clock, float("-inf")
        self._tracked: dict[str, Tracked] = {}
        self._looked_at: datetime | None = None

    async def look(self, connection: Connection, resources: Resources) -> tuple[Outlook, Situation]:
        """The outlook without a forecast, and the situation from which to make it."""
        budget, now = resources.budget, self._clock()
        if now >= self._seen_at + TRACKED_INTERVAL or self._looked_at is None:
            tracked = await situations.select_tracked(connection, budget, most=MAX_SYMBOLS)
            self._tracked, self._seen_at = {each.symbol: each for each in tracked}, now
        else:
            clocks = await situations.select_refreshed(
                connection, budget.source, budget.account, self._looked_at - LEASE
            )
            self._tracked |= {
                symbol: replace(known, clock=clock)
                for symbol, clock in clocks.items()
                if (known := self._tracked.get(symbol)) is not None
            }
        situation = await read_situation(connection, resources, tracked=list(self._tracked.values()))
        self._looked_at = situation.at
        left = await ledger.select_quota_left(connection, budget)
        weights = {symbol: each.weight for symbol, each in self._tracked.items()}
        return Outlook(situation.gate, left, resting=situation.resting, weights=weights), situation
