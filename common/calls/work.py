"""Work the line: ask the ledger for a call, make it, save and publish what came, settle. The one way data walks in.

Workers do it at each tick, an API process does it for its misses; both are handed whatever stands on top. It decides nothing
that the ledger or the policy decides.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from redis.exceptions import RedisError

from common.calls.metrics import note_call, note_waits
from common.calls.settle import give_back, settle
from common.core.budget.policy import Pace, Usage, busy_after, pace, probe_due
from common.core.budget.shares import chart_ceiling
from common.core.limits import DAY, LEASE, MINUTE, longest_period
from common.core.models import CallClass, Function, Quote
from common.core.provider.alpha_vantage import Answer, Refusal
from common.core.provider.outcomes import NO_ANSWER, Hold, Outcome
from common.errors import StoreUnavailable
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.provider import Permit, fetch
from common.store.budget import gate, ledger, queue
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market import feed, quotes, symbols

log = structlog.get_logger(__name__)

POLL_INTERVAL = 0.25  # seconds between two looks at a queue that others change too
MAX_SLEEP = 1.0  # seconds, where the ledger has said when the next call may go
JUMP = "clock_jump"
SHORT_HOLDS = (JUMP, Outcome.THROTTLED_SECOND, Outcome.THROTTLED_MINUTE)  # holds of a minute or so
PUBLISH_BATCH = 500  # quotes a tick


async def obtain_permit(resources: Resources) -> Permit | Wait:
    """One question to the ledger. A permit that a jump of the clock gave away is handed back, and everything held."""
    asked = time.monotonic()
    async with acquire(resources.db) as connection:
        now, answer = await ledger.grant_call(connection, resources.budget, await current_pace(connection, resources))
    if resources.clock.jumped(now=now, heard=time.monotonic()):
        answer = await _hold_for_jump(resources, answer, now)
    resources.clock.remember(asked=asked, now=now)
    if isinstance(answer, Wait) and answer.reason in SHORT_HOLDS:
        await _shorten(resources, answer)
    return answer if isinstance(answer, Wait) else Permit(answer, asked)


async def current_pace(connection: Connection, resources: Resources) -> Pace:
    """What may be done by the ledger's time, charts included. With end-of-day data, this is also where the probe joins the line."""
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
    charts = chart_ceiling(policy.limits, reserve=policy.interactive_share, quoted=use.wanted)
    due = pace(policy, calendar, now, use)
    return replace(due, ceilings=due.ceilings + charts)


async def _hold_for_jump(resources: Resources, answer: Grant | Wait, now: datetime) -> Wait:
    """The ledger's clock jumped ahead: what it calls free may not be. Hold for the longest rule under a day, and the lease."""
    log.warning("ledger_clock_jumped", hold_s=_longest(resources).total_seconds())
    async with transaction(resources.db) as connection:
        await ledger.lock_ledger(connection)
        await gate.upsert_hold(
            connection, resources.budget.account, Hold(now + _longest(resources), JUMP, probing=False)
        )
        if isinstance(answer, Grant):
            await give_back(connection, answer)
    return Wait(_longest(resources), JUMP)


def _longest(resources: Resources) -> timedelta:
    """How long calls may be unknown to a clock that was set."""
    return max((rule.period for rule in resources.budget.limits if rule.period < DAY), default=timedelta()) + LEASE


async def _shorten(resources: Resources, answer: Wait) -> None:
    """A hold that was made while the clock was ahead would last until the clock is there again."""
    longest = _longest(resources) if answer.reason == JUMP else MINUTE + LEASE
    if answer.wait is not None and answer.wait > longest:
        async with acquire(resources.db) as connection:
            await gate.update_hold_from_before(connection, resources.budget.account, SHORT_HOLDS, longest)


async def carry_out(resources: Resources, permit: Permit) -> Outcome:
    """Make the call, then save, settle and publish. Never raises for what the provider or a store does."""
    grant = permit.grant
    answer: Answer = ()
    outcome, wait = Outcome.OK, None
    try:
        answer = await fetch(resources.provider, permit)
    except Refusal as refusal:
        outcome, wait = refusal.outcome, refusal.wait
        _log_refusal(grant, refusal)
    except Exception as error:  # a task's boundary: the call is settled, and those beside it go on
        outcome = Outcome.UNAVAILABLE if permit.sent else Outcome.UNSENT
        _log_defect(grant, error)
    note_call(grant, outcome)
    resources.health.note("provider", up=outcome not in NO_ANSWER, reason=outcome)
    try:
        settled = await asyncio.shield(settle(resources, grant, outcome, answer, wait=wait, asked=permit.asked))
    except StoreUnavailable:
        log.warning("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    except Exception:  # the same boundary
        log.exception("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    note_waits(settled.waits)
    for quote in settled.quotes:
        await publish(resources, quote)
        log.info("quote_refreshed", call=grant.id, symbol=quote.symbol, **{"class": grant.call_class})
    return outcome


def _log_defect(grant: Grant, error: Exception) -> None:
    """Where it happened, and not the text: that one may hold the address, and so the key."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    log.error("call_failed", call=grant.id, subjects=grant.subjects, error=type(error).__name__, where=where)


def _log_refusal(grant: Grant, refusal: Refusal) -> None:
    """A refused key is shouted, for nothing but a person helps. A text that nobody knows may echo the key."""
    write = log.error if refusal.outcome is Outcome.BAD_KEY else log.warning
    write(
        "call_refused",
        call=grant.id,
        subjects=grant.subjects,
        outcome=refusal.outcome,
        reason=str(refusal),
        notice=refusal.notice or None,
    )


async def publish(resources: Resources, quote: Quote) -> bool:
    """Tell Redis, then note that it was told; whether both went well. What fails here is told by the next tick."""
    try:
        await feed.publish(resources.redis, quote)
        async with acquire(resources.db) as connection:
            is_newest = await quotes.update_published(connection, quote)
            kept = is_newest or await quotes.select_quotes(connection, quote.source, [quote.symbol])
        if not kept:  # it was pruned meanwhile
            await feed.forget(resources.redis, [quote])
    except (RedisError, OSError, StoreUnavailable) as error:
        resources.health.note("feed", up=False, reason=type(error).__name__)
        return False
    resources.health.note("feed", up=True)
    return True


async def publish_pending(resources: Resources) -> int:
    """Tell what was saved and not told, all of it again to a Redis that was restarted, until one fails. How many there were."""
    source = resources.settings.source
    run_id = await feed.select_restarted(resources.redis)
    async with acquire(resources.db) as connection:
        if run_id is not None:
            await quotes.update_unpublished(connection, source)
            await feed.set_published(resources.redis, run_id)
        pending = await quotes.select_unpublished(connection, source, most=PUBLISH_BATCH)
    for quote in pending:
        if not await publish(resources, quote):
            break
    return len(pending)


async def work_queue(resources: Resources, *, keep_on: Callable[[], bool]) -> int:
    """Work the line for as long as `keep_on` says so; calls under way are finished. How many were made."""
    made = 0
    async with asyncio.TaskGroup() as calls:
        while keep_on():
            try:
                answer = await obtain_permit(resources)
            except StoreUnavailable as error:
                resources.health.note("ledger", up=False, reason=str(error))
                break
            resources.health.note("ledger", up=True)
            if isinstance(answer, Permit):
                calls.create_task(carry_out(resources, answer))
                made += 1
            else:
                await asyncio.sleep(poll_delay(answer))
    return made


def poll_delay(answer: Wait) -> float:
    """Seconds until the next look at the queue: as told, but an operator or a job may change it meanwhile."""
    return POLL_INTERVAL if answer.wait is None else min(MAX_SLEEP, answer.wait.total_seconds())
