"""What workers do, as coroutines that need no Celery. Every job may run twice at once, or be killed and run again."""

import time
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from common import line
from common.errors import StoreUnavailable
from common.resources import Resources
from common.store import ledger, quotes, symbols
from common.store.pool import connection

log = structlog.get_logger(__name__)

SPAN = 8.0  # seconds a worker stays at the line before it looks at the queue again


async def work_line(resources: Resources, *, stopping: Callable[[], bool]) -> None:
    """Tell what was not told, then work the line for a while."""
    until = time.monotonic() + SPAN
    await _publish_pending(resources)
    await _pin_overview(resources)
    await line.work(resources, keep_on=lambda: time.monotonic() < until and not stopping())


async def prune(resources: Resources, **_: object) -> None:
    """Forget what is older than the settings keep: calls that no rule counts, collected quotes, symbols that nobody wants."""
    settings = resources.settings
    async with connection(resources.db) as held:
        calls = await ledger.delete_old_calls(held, keep=settings.journal_kept)
        history = await quotes.delete_old_history(held, keep=settings.history_kept)
        forgotten = await symbols.delete_forgotten(held, keep=settings.journal_kept)
    log.info("pruned", calls=calls, quotes=history, symbols=forgotten)


async def _publish_pending(resources: Resources) -> None:
    try:
        await line.publish_pending(resources)
    except (RedisError, OSError, StoreUnavailable) as error:
        resources.health.note("feed", up=False, reason=type(error).__name__)


async def _pin_overview(resources: Resources) -> None:
    """The overview costs no call of its own: its symbols are wanted like watched ones."""
    try:
        async with connection(resources.db) as held:
            await symbols.upsert_pins(held, resources.settings.overview_symbols)
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))
