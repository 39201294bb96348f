"""What workers do, as coroutines that need no Celery. Every job may run twice at once, or be killed and run again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from redis.exceptions import RedisError

from common.calls import publish, work
from common.core.models import CallClass, Function
from common.errors import StoreBusy, StoreUnavailable
from common.process.resources import Resources
from common.store.budget import heartbeats, ledger, queue, refresh_jobs
from common.store.connection.pool import acquire, transaction
from common.store.market import listings, symbols
from worker.outbox import send_mail

WORK_DURATION = 8.0  # seconds for which one task processes the queue
LISTING_TTL = timedelta(minutes=10)  # for which a request for the listing stays queued
REQUEUE_BATCH = 5000  # symbols
WEIGHING_INTERVAL = timedelta(minutes=15)

Chore = Callable[[Resources], Awaitable[object]]


async def work_queue(resources: Resources, *, stopping: Callable[[], bool], ticked: bool = False) -> None:
    """Do the chores, then process the queue for up to 8 s, and send mail meanwhile.

    `ticked`: beat sent this task; otherwise a process woke the worker. A wake-up does the chores too: many wake-ups drop beat's ticks from
    the broker's short queue.
    """
    until = time.monotonic() + WORK_DURATION
    await _attempt(resources, "ledger", partial(_beat, ticked=ticked))
    for store, chore in CHORES:
        await _attempt(resources, store, chore)

    def keep_on() -> bool:
        return time.monotonic() < until and not stopping()

    mailing = asyncio.create_task(send_mail(resources, keep_on=keep_on))  # beside the queue: a mail server may be slow
    try:
        await work.work_queue(resources, keep_on=keep_on)
    finally:
        await mailing


async def _attempt(resources: Resources, store: str, chore: Chore) -> None:
    """Do a chore; leave it to the next task if `store` is down."""
    try:
        await chore(resources)
    except (RedisError, OSError, StoreUnavailable) as error:
        # The feed needs both stores; the class says which one is away.
        if store == "feed" and not isinstance(error, StoreBusy):
            resources.health.note(store, up=False, reason=type(error).__name__)
        else:
            resources.health.note_failure(store, error)


async def _beat(resources: Resources, *, ticked: bool) -> None:
    """Let operators see that this process is at work, and that beat ticks."""
    names = [resources.budget.process, heartbeats.BEAT] if ticked else [resources.budget.process]
    async with acquire(resources.db) as connection:
        await heartbeats.upsert_heartbeats(connection, names)


async def _pin_overview(resources: Resources) -> None:
    """Background refreshes the overview's symbols like watched ones, so the overview itself never costs a call."""
    async with acquire(resources.db) as connection:
        await symbols.upsert_pins(connection, resources.settings.overview_symbols)


async def _refresh_listing(resources: Resources) -> None:
    """Queue the listing's weekly refresh in background's name. It is checked again under the lock: another worker may have queued it."""
    account, source = resources.budget.account, resources.settings.source
    async with transaction(resources.db) as connection:
        if not await listings.select_listing_due(connection, account, source):
            return
        await ledger.lock_ledger(connection)
        if await listings.select_listing_due(connection, account, source):
            subjects = [listings.SUBJECT]
            await queue.enqueue(
                connection, resources.budget, Function.LISTING, subjects, CallClass.REFRESH, ttl=LISTING_TTL
            )


async def _requeue(resources: Resources) -> None:
    """Queue symbols of operators' refresh jobs that are not queued: a process died while it queued them, or their time ran out."""
    async with acquire(resources.db) as connection:
        await refresh_jobs.update_expired(connection)
        lost = await refresh_jobs.select_lost(connection, most=REQUEUE_BATCH)
    if lost:
        async with transaction(resources.db) as connection:
            await queue.enqueue(
                connection, resources.budget, Function.QUOTE, lost, CallClass.OPERATOR, ttl=refresh_jobs.JOB_TTL
            )


async def _weigh(resources: Resources) -> None:
    """Let reads fade, and look for watchlists whose quotes came from another source. Once in 15 minutes, over all processes."""
    async with acquire(resources.db) as connection:
        if await ledger.update_weighed(connection, resources.budget.account, every=WEIGHING_INTERVAL):
            await symbols.update_decayed(connection, resources.budget.source, resources.budget.half_life)


CHORES: tuple[tuple[str, Chore], ...] = (  # the store that each needs, for the log, and the chore
    ("feed", publish.publish_pending),
    ("ledger", _pin_overview),
    ("ledger", _refresh_listing),
    ("ledger", _requeue),
    ("ledger", _weigh),
)
