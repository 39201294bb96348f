"""Follow the stream of quotes for one process.

Whenever events may have been missed (lost connection, restarted Redis, trimmed stream), memory is resynced from the stores. Only the
newest quote of a symbol matters, so no event needs to be replayed.
"""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.http import metrics
from api.quotes.memory import Memory
from common.errors import StoreUnavailable
from common.process.resources import Resources, open_redis
from common.store.connection.pool import acquire
from common.store.market import feed, quotes

BLOCK_MS = 500
READ_TIMEOUT = 1.2  # seconds without an answer; a process may serve quotes up to two seconds older than others do
MAX_EVENTS = 500
RETRY_DELAY = 0.5  # seconds before the next connection to Redis


async def follow(resources: Resources, memory: Memory) -> None:
    """Run until cancelled."""
    while True:
        redis = open_redis(resources.settings.redis_url, timeout=READ_TIMEOUT, retries=0)
        try:
            await _follow_once(redis, resources, memory)
        except (RedisError, OSError, TimeoutError) as error:
            memory.followed = False
            resources.health.note("redis", up=False, reason=type(error).__name__)
            await asyncio.sleep(RETRY_DELAY)
        finally:
            memory.followed = False
            await redis.aclose()


async def _follow_once(redis: Redis, resources: Resources, memory: Memory) -> None:
    """Resync, then read events for ever; raise when Redis fails.

    The newest id is read before the resync. An event that is published during the resync comes after that id, so it is read later, and
    memory takes the newer of the two. The other way round it would fall between the snapshot and the first read.

    `memory.followed` becomes true only after the resync: until then reads recheck the stores. A later resync is needed if an event came
    from another version of this software and could not be read, or if a full batch was read and Redis has trimmed the stream past
    `last`, so that events after it may be lost. It runs before the batch is remembered, which may contain newer quotes.
    """
    last = await feed.select_last_id(redis)
    await _resync(redis, resources, memory)
    memory.followed = True
    while True:
        resources.health.note("redis", up=True)
        events = await feed.read_events(redis, last, block_ms=BLOCK_MS, most=MAX_EVENTS)
        metrics.note_stream([event for event, _ in events], newest=len(events) < MAX_EVENTS)
        metrics.HOT.flush(resources.settings.market_hours)
        unread = any(quote is None for _, quote in events)  # written by another version of this software
        if unread or (len(events) == MAX_EVENTS and await _trimmed(redis, last)):
            await _resync(redis, resources, memory)
        for event, quote in events:
            if quote is not None and quote.source == resources.settings.source:
                memory.remember(quote, event)
        if events:
            last = events[-1][0]


async def _resync(redis: Redis, resources: Resources, memory: Memory) -> None:
    """Refresh all symbols in memory from both stores: PostgreSQL may have quotes that are not published yet.

    `remember` keeps the newer version, so the order of the two does not matter, and a store that is behind does no harm.
    """
    source, known = resources.settings.source, memory.symbols()
    for start in range(0, len(known), MAX_EVENTS):
        known_now = known[start : start + MAX_EVENTS]
        for event, quote in await feed.select_published(redis, source, known_now):
            memory.remember(quote, event)
        try:
            async with acquire(resources.db) as connection:
                saved = await quotes.select_quotes(connection, source, known_now)
        except StoreUnavailable:
            continue  # Redis alone is enough for now: the outlook and reads report the database
        for quote in saved:
            memory.remember(quote)


async def _trimmed(redis: Redis, last: str) -> bool:
    """Whether the stream may have been trimmed past `last`, so that events are lost."""
    first = await feed.select_first_id(redis)
    return first is not None and _order(first) > _order(last)


def _order(event_id: str) -> tuple[int, int]:
    millis, _, serial = event_id.partition("-")
    return int(millis), int(serial or 0)
