"""Quotes in Redis: one key a symbol, and the stream `quotes` that tells every process. An older quote never wins over a newer."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from common.core.models import Quote
from common.core.quotes.wire import decode, encode, version

STREAM = "quotes"
PUBLISHED_KEY = "quotes:told"
KEPT_EVENTS = 10_000

Event = tuple[str, Quote]  # the event's id in the stream, and the quote that it told

# KEYS: the quote's key, the stream. ARGV: version, body, events kept. One step, so that key and stream never disagree.
PUBLISH = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored and tonumber(stored) >= tonumber(ARGV[1]) then return 0 end
local event = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'body', ARGV[2])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'body', ARGV[2], 'event', event)
return 1
"""

# KEYS: the quote's key. ARGV: version. What is newer stays.
FORGET = """
if redis.call('HGET', KEYS[1], 'version') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def key(source: str, symbol: str) -> str:
    return f"quote:{source}:{symbol}"


async def publish(redis: "Redis", quote: Quote) -> bool:
    """Set the key and append the event, if this version is newer than what is there."""
    keys = [key(quote.source, quote.symbol), STREAM]
    return bool(await redis.eval(PUBLISH, 2, *keys, version(quote), encode(quote), KEPT_EVENTS))


async def forget(redis: "Redis", quotes: Sequence[Quote]) -> None:
    """Take these quotes away, but none that is newer. What the stream told of them stays there until its end is cut off."""
    async with redis.pipeline(transaction=False) as pipe:
        for quote in quotes:
            pipe.eval(FORGET, 1, key(quote.source, quote.symbol), version(quote))
        await pipe.execute()


async def select_published(redis: "Redis", source: str, symbols: Sequence[str]) -> list[Event]:
    """The quotes that Redis holds of these symbols, with the events that brought them."""
    async with redis.pipeline(transaction=False) as pipe:
        for symbol in symbols:
            pipe.hmget(key(source, symbol), "event", "body")
        answers = await pipe.execute()
    return [(str(event), quote) for event, body in answers if (quote := _read(body)) is not None]


async def select_last_id(redis: "Redis") -> str:
    """The id of the newest event; `0-0` where there is none."""
    newest = await redis.xrevrange(STREAM, count=1)
    return str(newest[0][0]) if newest else "0-0"


async def read_events(redis: "Redis", after: str, *, block_ms: int, most: int) -> list[tuple[str, Quote | None]]:
    """Events newer than `after`, oldest first; waits up to `block_ms` for the first. None: written by another version of us."""
    answer: Any = await redis.xread({STREAM: after}, count=most, block=block_ms)
    return [(str(at), _read(event.get("body"))) for _, events in answer or () for at, event in events]


def _read(body: str | None) -> Quote | None:
    """A cache fails open: what cannot be read is not there."""
    try:
        return None if body is None else decode(body)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return None


async def select_restarted(redis: "Redis") -> str | None:
    """The server's run id if it is not the one that was told everything (restarted, emptied, another one); else None."""
    run_id = str((await redis.info("server"))["run_id"])
    return None if await redis.get(PUBLISHED_KEY) == run_id else run_id


async def set_published(redis: "Redis", run_id: str) -> None:
    """This server is being told everything; what fails is still marked as not published."""
    await redis.set(PUBLISHED_KEY, run_id)


async def select_first_id(redis: "Redis") -> str | None:
    """The id of the oldest event that is still kept."""
    oldest = await redis.xrange(STREAM, count=1)
    return str(oldest[0][0]) if oldest else None
