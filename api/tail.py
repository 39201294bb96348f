"""Follows the stream of quotes for one process. After any doubt (lost connection, restarted Redis, trimmed events) memory is made
right by a look at what Redis holds; a quote is state, so nothing needs to be replayed."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api import metrics
from api.memory import Memory
from common.resources import Resources, open_redis
from common.store import feed

BLOCK_MS = 1000
MOST_EVENTS = 500
AGAIN = 0.5  # seconds between two tries to reach Redis


async def follow(resources: Resources, memory: Memory) -> None:
    """Run until cancelled."""
    while True:
        redis = open_redis(resources.settings.redis_url, timeout=BLOCK_MS / 1000 + 2, retries=0)
        try:
            await _follow_once(redis, resources, memory)
        except (RedisError, OSError, TimeoutError) as error:
            memory.followed = False
            resources.health.note("redis", up=False, reason=type(error).__name__)
            await asyncio.sleep(AGAIN)
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
        events = await feed.read_events(redis, last, block_ms=BLOCK_MS, most=MOST_EVENTS)
        metrics.note_stream([event for event, _ in events], newest=len(events) < MOST_EVENTS)
        metrics.HOT.hand_over(resources.settings.market_hours)
        if len(events) == MOST_EVENTS and await _trimmed(redis, last):
            await _resync(redis, resources, memory)
        for last, quote in events:
            if quote is not None and quote.source == resources.settings.source:
                memory.remember(quote, last)


async def _resync(redis: Redis, resources: Resources, memory: Memory) -> None:
    known = memory.symbols()
    for start in range(0, len(known), MOST_EVENTS):
        known_now = known[start : start + MOST_EVENTS]
        for event, quote in await feed.select_published(redis, resources.settings.source, known_now):
            memory.remember(quote, event)


async def _trimmed(redis: Redis, last: str) -> bool:
    """Whether events after `last` may have been cut off before they were read."""
    first = await feed.select_first_id(redis)
    return first is not None and _order(first) > _order(last)


def _order(event_id: str) -> tuple[int, int]:
    millis, _, serial = event_id.partition("-")
    return int(millis), int(serial or 0)
