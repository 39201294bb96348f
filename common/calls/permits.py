"""Obtain a permit from the ledger at the current pace, and detect jumps of the ledger's clock."""

import time
from dataclasses import replace
from datetime import datetime

import structlog

from common.calls.settle import give_back
from common.core.budget.policy import Pace, Usage, busy_after, pace, probe_due
from common.core.budget.shares import chart_ceiling
from common.core.limits import LEASE, MINUTE, longest_period, slot_time
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.provider import Permit
from common.store.budget import gate, ledger, queue
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market import symbols

log = structlog.get_logger(__name__)

JUMP = "clock_jump"
SHORT_HOLDS = (JUMP, Outcome.THROTTLED_SECOND, Outcome.THROTTLED_MINUTE)  # holds that last about a minute


async def obtain_permit(resources: Resources) -> Permit | Wait:
    """Ask the ledger once. If its clock jumped forward, return the grant and put all calls on hold: the free slot may not be free.

    Two clocks are compared: the ledger's `now` and this process's monotonic clock, read before the question and after the answer. A jump is
    accepted as the new time only after the hold is committed; otherwise a failed hold would leave it undetected.
    """
    asked = time.monotonic()
    async with acquire(resources.db) as connection:
        now, answer = await ledger.grant_call(connection, resources.budget, await current_pace(connection, resources))
    if resources.clock.jumped(now=now, heard=time.monotonic()):
        answer = await _hold_for_jump(resources, answer, now)
        resources.clock.restart(asked=asked, now=now)
    else:
        resources.clock.remember(asked=asked, now=now)
    if isinstance(answer, Wait) and answer.reason in SHORT_HOLDS:
        await _shorten(resources, answer)
    return answer if isinstance(answer, Wait) else Permit(answer, asked)


async def current_pace(connection: Connection, resources: Resources) -> Pace:
    """The pace at the ledger's time, with the ceiling of charts. With end-of-day data this also enqueues the probe for the close."""
    now = await ledger.select_now(connection)
    policy, calendar = resources.policy, open_calendar(resources.settings.market_hours, now)
    after = busy_after(policy, calendar, now)
    if after is None:
        return pace(policy, calendar, now, Usage())
    use, last_asked = await ledger.select_use(
        connection,
        resources.budget,
        taken_after=now - longest_period(policy.limits),
        busy_after=after,
    )
    if (
        probe_due(policy, calendar, now, use, last_asked)
        and (symbol := await symbols.select_probe(connection, resources.budget)) is not None
    ):
        await queue.enqueue(connection, resources.budget, Function.QUOTE, [symbol], CallClass.REFRESH)
    charts = chart_ceiling(policy.limits, reserve=policy.interactive_share, quoted=use.tracked)
    due = pace(policy, calendar, now, use)
    return replace(due, ceilings=due.ceilings + charts)


async def _hold_for_jump(resources: Resources, answer: Grant | Wait, now: datetime) -> Wait:
    """Hold all calls for the time of a slot; after that no call of before the jump still counts."""
    held_for = slot_time(resources.budget.limits)
    log.warning("ledger_clock_jumped", hold_s=held_for.total_seconds())
    async with transaction(resources.db) as connection:
        await ledger.lock_ledger(connection)
        await gate.upsert_hold(connection, resources.budget.account, Hold(now + held_for, JUMP, probing=False))
        if isinstance(answer, Grant):
            await give_back(connection, answer)
    return Wait(held_for, JUMP)


async def _shorten(resources: Resources, answer: Wait) -> None:
    """Shorten a hold that was set while the clock was ahead: it would last until the clock reaches that time again."""
    longest = slot_time(resources.budget.limits) if answer.reason == JUMP else MINUTE + LEASE
    if answer.wait is not None and answer.wait > longest:
        async with acquire(resources.db) as connection:
            await gate.update_hold_from_before(connection, resources.budget.account, SHORT_HOLDS, longest)
