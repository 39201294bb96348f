"""What workers do, as coroutines that need no Celery. Every job may run twice at once, or be killed and run again."""

import time
from collections.abc import Callable
from datetime import timedelta

from redis.exceptions import RedisError

from common.calls import publish, work
from common.core.models import CallClass, Function
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.budget import heartbeats, ledger, refresh_jobs
from common.store.budget import queue as rows
from common.store.connection.pool import acquire, transaction
from common.store.market import listings, symbols

SPAN = 8.0  # seconds a worker stays at the line before it looks at the queue again
LISTING_TTL = timedelta(minutes=10)
REQUEUE_BATCH = 5000  # symbols at once
WEIGHING_INTERVAL = timedelta(minutes=15)


async def work_queue(resources: Resources, *, stopping: Callable[[], bool], ticked: bool = False) -> None:
    """Tell what was not told, then work the line for a while. `ticked`: beat asked for it, not somebody's wake-up."""
    until = time.monotonic() + SPAN
    await _beat(resources, ticked=ticked)
    await _publish_pending(resources)
    await _pin_overview(resources)
    await _refresh_listing(resources)
    await _rejoin(resources)
    await _weigh(resources)
    await work.work_queue(resources, keep_on=lambda: time.monotonic() < until and not stopping())


async def _rejoin(resources: Resources) -> None:
    """What operators asked for and stands in the line no more: a process died while it queued many, or the line forgot."""
    try:
        async with acquire(resources.db) as connection:
            await refresh_jobs.update_expired(connection)
            lost = await refresh_jobs.select_lost(connection, most=REQUEUE_BATCH)
        if lost:
            async with transaction(resources.db) as connection:
                await rows.enqueue(
                    connection, resources.budget, Function.QUOTE, lost, CallClass.OPERATOR, ttl=refresh_jobs.JOB_TTL
                )
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))


async def _weigh(resources: Resources) -> None:
    """Reads fade, and lists may lack quotes that they had of another source."""
    try:
        async with acquire(resources.db) as connection:
            if await ledger.update_weighed(connection, resources.budget.account, every=WEIGHING_INTERVAL):
                await symbols.update_decayed(connection, resources.budget.source, resources.budget.half_life)
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))


async def _beat(resources: Resources, *, ticked: bool) -> None:
    """Let operators see that this process works, and that beat ticks."""
    try:
        async with acquire(resources.db) as connection:
            await heartbeats.upsert_heartbeats(
                connection, [resources.budget.process, *([heartbeats.BEAT] if ticked else [])]
            )
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))


async def _publish_pending(resources: Resources) -> None:
    try:
        await publish.publish_pending(resources)
    except (RedisError, OSError, StoreUnavailable) as error:
        resources.health.note("feed", up=False, reason=type(error).__name__)


async def _pin_overview(resources: Resources) -> None:
    """The overview costs no call of its own: its symbols are wanted like watched ones."""
    try:
        async with acquire(resources.db) as connection:
            await symbols.upsert_pins(connection, resources.settings.overview_symbols)
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))


async def _refresh_listing(resources: Resources) -> None:
    """Once a week the listing stands in the line, in the background's name. Asked again under the lock: what was due may be done."""
    account, source = resources.budget.account, resources.settings.source
    try:
        async with transaction(resources.db) as connection:
            if await listings.select_listing_due(connection, account, source):
                await ledger.lock_ledger(connection)
                if await listings.select_listing_due(connection, account, source):
                    await rows.enqueue(
                        connection,
                        resources.budget,
                        Function.LISTING,
                        [listings.SUBJECT],
                        CallClass.REFRESH,
                        ttl=LISTING_TTL,
                    )
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))
