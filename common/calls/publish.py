"""Publish saved quotes: to Redis, where readers and streams find them."""

from redis.exceptions import RedisError

from common.core.models import Quote
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market import feed, quotes

PUBLISH_BATCH = 500  # quotes a task


async def publish(resources: Resources, quote: Quote) -> bool:
    """Publish to Redis, then mark as published; return whether both succeeded. A worker's next task publishes what failed here."""
    try:
        await feed.publish(resources.redis, quote)
        async with acquire(resources.db) as connection:
            is_newest = await quotes.update_published(connection, quote)
            kept = is_newest or await quotes.select_quotes(connection, quote.source, [quote.symbol])
        if not kept:  # it was pruned in the meantime
            await feed.forget(resources.redis, [quote])
    except (RedisError, OSError, StoreUnavailable) as error:
        resources.health.note("feed", up=False, reason=type(error).__name__)
        return False
    resources.health.note("feed", up=True)
    return True


async def publish_pending(resources: Resources) -> int:
    """Publish saved quotes that are not marked as published, until one fails; return how many there were.

    A restarted Redis has lost its quotes, so everything is published again.
    """
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
