"""Follows the stream of quotes for one process. After any doubt (lost connection, restarted Redis, trimmed events) memory is made
right by a look at what the stores hold; a quote is state, so nothing needs to be replayed."""

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
SILENCE = 1.2  # seconds without an answer: what a process serves may be two behind the others
MAX_EVENTS = 500
RETRY_DELAY = 0.5  # seconds between two tries to reach Redis


async def follow(resources: Resources, memory: Memory) -> None:
    """Run until cancelled."""
    while True:
        redis = open_redis(resources.settings.redis_url, timeout=SILENCE, retries=0)
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
    """From the newest event on; the id is read before the snapshot, so that nothing falls between."""
    last = await feed.select_last_id(redis)
    await _resync(redis, resources, memory)
    memory.followed = True
    while True:
        resources.health.note("redis", up=True)
        events = await feed.read_events(redis, last, block_ms=BLOCK_MS, most=MAX_EVENTS)
        metrics.note_stream([event for event, _ in events], newest=len(events) < MAX_EVENTS)
        metrics.HOT.hand_over(resources.settings.market_hours)
        unread = any(quote is None for _, quote in events)  # written by another version of us
        if unread or (len(events) == MAX_EVENTS and await _trimmed(redis, last)):
            await _resync(redis, resources, memory)
        for last, quote in events:
            if quote is not None and quote.source == resources.settings.source:
                memory.remember(quote, last)


async def _resync(redis: Redis, resources: Resources, memory: Memory) -> None:
    """What both stores hold of the symbols that are known here: PostgreSQL may have what Redis was not told yet."""
    source, known = resources.settings.source, memory.symbols()
    for start in range(0, len(known), MAX_EVENTS):
        known_now = known[start : start + MAX_EVENTS]
        for event, quote in await feed.select_published(redis, source, known_now):
            memory.remember(quote, event)
        try:
            async with acquire(resources.db) as connection:
                saved = await quotes.select_quotes(connection, source, known_now)
        except StoreUnavailable:
            continue  # Redis alone, then
        for quote in saved:
            memory.remember(quote)


async def _trimmed(redis: Redis, last: str) -> bool:
    """Whether events after `last` may have been cut off before they were read."""
    first = await feed.select_first_id(redis)
    return first is not None and _order(first) > _order(last)


def _order(event_id: str) -> tuple[int, int]:
    millis, _, serial = event_id.partition("-")
    return int(millis), int(serial or 0)
