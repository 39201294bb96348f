"""Work the line: ask the ledger for a call, make it, save and publish what came, settle. The one way data walks in.

Workers do it at each tick, an API process does it for its misses; both are handed whatever stands on top. It decides nothing
that the ledger or the policy decides.
"""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from common.core.alpha_vantage import Answer, Refusal
from common.core.limits import DAY
from common.core.models import Price, Quote
from common.core.outcomes import (
    BAD_KEY_PAUSE,
    BLAMES_SYMBOL,
    FIRST_QUARANTINE,
    THROTTLES,
    TRANSIENT,
    Hold,
    Outcome,
    hold_after,
)
from common.core.refresh import turn
from common.errors import StoreUnavailable
from common.provider import Permit, fetch
from common.resources import Resources
from common.sessions import open_calendar
from common.store import feed, ledger, line, quotes, symbols
from common.store.ledger import LEASE, Grant, Wait
from common.store.pool import Connection, connection, transaction

log = structlog.get_logger(__name__)

PATIENCE = 0.25  # seconds between two looks at a line that others change too
PENDING = 500  # quotes a tick
SETTLE_WITHIN = 12.0  # seconds: after that the slot is counted from the lease's end


async def ask(resources: Resources) -> Permit | Wait:
    """One question to the ledger. A permit that a jump of the clock gave away is handed back, and everything held."""
    asked = time.monotonic()
    async with connection(resources.db) as held:
        now = await ledger.select_now(held)
        calendar = open_calendar(resources.settings.market_hours, now)
        told, answer = await ledger.grant_call(held, resources.ask, turn(resources.ask.limits, calendar, now))
    if resources.clock.jumped(asked=asked, told=told, heard=time.monotonic()):
        return await _hold_for_jump(resources, answer, told)
    return answer if isinstance(answer, Wait) else Permit(answer, asked)


async def _hold_for_jump(resources: Resources, answer: Grant | Wait, told: datetime) -> Wait:
    """The ledger's clock jumped ahead: what it calls free may not be. Hold for the longest rule under a day, and the lease."""
    longest = max((rule.period for rule in resources.ask.limits if rule.period < DAY), default=timedelta())
    log.warning("ledger_clock_jumped", hold_s=(longest + LEASE).total_seconds())
    async with transaction(resources.db) as held:
        await ledger.lock_ledger(held)
        await ledger.upsert_hold(held, resources.ask.account, Hold(told + longest + LEASE, "clock_jump", probing=False))
        if isinstance(answer, Grant):
            await _give_back(held, answer)
    return Wait(longest + LEASE, "clock_jump")


async def carry_out(resources: Resources, permit: Permit) -> Outcome:
    """Make the call, then save, settle and publish. Never raises for what the provider or a store does."""
    grant = permit.grant
    answer: Answer = ()
    try:
        answer = await fetch(resources.provider, permit)
        outcome = Outcome.OK
    except Refusal as refusal:
        outcome = refusal.outcome
        told = log.error if outcome is Outcome.BAD_KEY else log.warning
        told("call_refused", call=grant.id, subjects=grant.subjects, outcome=outcome, reason=str(refusal))
    prices = tuple(item for item in answer if isinstance(item, Price))
    try:
        saved = await asyncio.shield(_settle(resources, grant, outcome, prices))
    except StoreUnavailable:
        log.warning("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    for quote in saved:
        await publish(resources, quote)
        log.info("quote_refreshed", call=grant.id, symbol=quote.symbol, purpose=grant.purpose.name.lower())
    return outcome


async def _settle(resources: Resources, grant: Grant, outcome: Outcome, prices: tuple[Price, ...]) -> list[Quote]:
    """Write the outcome and what follows from it, in one transaction; a lost store is tried again until the lease is over."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        stop=stop_after_delay(SETTLE_WITHIN),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    ):
        with attempt:
            async with transaction(resources.db) as held:
                return await _write_outcome(held, resources, grant, outcome, prices)
    raise AssertionError("AsyncRetrying ends with a result or an error")


async def _write_outcome(
    held: Connection, resources: Resources, grant: Grant, outcome: Outcome, prices: tuple[Price, ...]
) -> list[Quote]:
    await ledger.lock_ledger(held)
    if outcome is Outcome.UNSENT:
        await _give_back(held, grant)
        return []
    at = await ledger.update_call(held, grant.id, outcome)
    if at is None:
        return []
    if outcome is Outcome.OK:
        return await _write_prices(held, resources, grant, prices, at)
    await _write_refusal(held, resources, grant, outcome, at)
    return []


async def _write_prices(
    held: Connection, resources: Resources, grant: Grant, prices: tuple[Price, ...], at: datetime
) -> list[Quote]:
    """Quotes of a sane day are saved; a symbol that was asked for and not answered is the symbol's failure."""
    today = at.date() + timedelta(days=1)  # the provider's day may be ahead of ours
    fetched = [Quote(price, resources.settings.source, at) for price in prices if price.trading_day <= today]
    saved = [quote for quote in fetched if await quotes.upsert_quote(held, quote)]
    for quote in saved:
        await quotes.insert_history(held, quote)
    answered = [quote.symbol for quote in fetched]
    await symbols.update_quoted(held, answered)
    missing = [subject for subject in grant.subjects if subject not in answered]
    await symbols.update_failed(held, missing, at, FIRST_QUARANTINE)
    await line.delete_served(held, grant.id, grant.subjects)
    await ledger.update_probed(held, resources.ask.account)
    await ledger.update_background_hold(held, resources.ask.account, None)
    return saved


async def _write_refusal(held: Connection, resources: Resources, grant: Grant, outcome: Outcome, at: datetime) -> None:
    account = resources.ask.account
    if outcome in BLAMES_SYMBOL:
        await symbols.update_failed(held, grant.subjects, at, FIRST_QUARANTINE)
    if outcome in TRANSIENT | THROTTLES:
        await line.release_unserved(held, grant.id, backoff=_backoff(), counts=outcome in TRANSIENT)
    else:
        await line.delete_served(held, grant.id, grant.subjects)
    if (hold := hold_after(outcome, resources.ask.limits, at)) is not None:
        await ledger.upsert_hold(held, account, hold)
    elif outcome in BLAMES_SYMBOL | {Outcome.NOT_ENTITLED}:
        await ledger.update_probed(held, account)
    if outcome is Outcome.BAD_KEY:
        await ledger.update_background_hold(held, account, at + BAD_KEY_PAUSE)


async def _give_back(held: Connection, grant: Grant) -> None:
    """Nothing left this house: the slot is free, the symbols are as old as they were, who waits waits on."""
    if await ledger.update_call(held, grant.id, Outcome.UNSENT) is not None:
        await symbols.update_unattempted(held, grant.id)
        await line.release_unserved(held, grant.id, backoff=_backoff(), counts=True)


def _backoff() -> timedelta:
    """Between the tries of one demand; jitter keeps processes apart."""
    return timedelta(seconds=random.uniform(0.5, 2.0))


async def publish(resources: Resources, quote: Quote) -> None:
    """Tell Redis, then note that it was told. What fails here is told by the next tick."""
    try:
        await feed.publish(resources.redis, quote)
        async with connection(resources.db) as held:
            await quotes.update_published(held, quote)
    except (RedisError, OSError, StoreUnavailable) as error:
        resources.health.note("feed", up=False, reason=type(error).__name__)
    else:
        resources.health.note("feed", up=True)


async def publish_pending(resources: Resources) -> int:
    """Tell what was saved and not told; all of it again to a Redis that was restarted. How many were told."""
    source = resources.settings.source
    run_id = await feed.select_restarted(resources.redis)
    async with connection(resources.db) as held:
        if run_id is not None:
            await quotes.update_unpublished(held, source)
            await feed.set_told(resources.redis, run_id)
        pending = await quotes.select_unpublished(held, source, most=PENDING)
    for quote in pending:
        await publish(resources, quote)
    return len(pending)


async def work(resources: Resources, *, keep_on: Callable[[], bool]) -> int:
    """Work the line for as long as `keep_on` says so; calls under way are finished. How many were made."""
    made = 0
    async with asyncio.TaskGroup() as calls:
        while keep_on():
            try:
                answer = await ask(resources)
            except StoreUnavailable as error:
                resources.health.note("ledger", up=False, reason=str(error))
                break
            resources.health.note("ledger", up=True)
            if isinstance(answer, Permit):
                calls.create_task(carry_out(resources, answer))
                made += 1
            else:
                await asyncio.sleep(pause(answer))
    return made


def pause(answer: Wait) -> float:
    """Seconds until the next look at the line: as told, but others change it too."""
    return PATIENCE if answer.wait is None else min(PATIENCE, answer.wait.total_seconds())
