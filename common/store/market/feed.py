"""Quotes in Redis: one key per symbol, and the stream `quotes` that every API process follows. An older quote never replaces a newer."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from common.core.models import Quote
from common.core.quotes.wire import decode, encode, version

STREAM = "quotes"
PUBLISHED_KEY = "quotes:told"
MAX_EVENTS = 10_000

Event = tuple[str, Quote]  # the event's id in the stream, and its quote

# KEYS: the quote's key, the stream. ARGV: version, body, events kept.
# A script, because Redis runs it in one step. As single commands, two publishers could interleave: the key would hold one quote and the
# stream's newest event another, and a process that starts (it reads the key, then follows the stream) would show the older one. The event's
# id is kept with the key, so a reader knows from which event on it must follow. Versions are microseconds, exact in Lua's doubles.
PUBLISH = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored and tonumber(stored) >= tonumber(ARGV[1]) then return 0 end
local event = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'body', ARGV[2])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'body', ARGV[2], 'event', event)
return 1
"""

# KEYS: the quote's key. ARGV: version. A newer quote stays: it was published after the caller looked.
FORGET = """
if redis.call('HGET', KEYS[1], 'version') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def key(source: str, symbol: str) -> str:
    return f"quote:{source}:{symbol}"


async def publish(redis: "Redis", quote: Quote) -> bool:
    """Set the key and append the event, unless the key has this version or a newer one; return whether it did."""
    keys = [key(quote.source, quote.symbol), STREAM]
    return bool(await redis.eval(PUBLISH, 2, *keys, version(quote), encode(quote), MAX_EVENTS))


async def forget(redis: "Redis", quotes: Sequence[Quote]) -> None:
    """Delete these quotes unless newer ones are there. Their events stay in the stream until it is trimmed."""
    async with redis.pipeline(transaction=False) as pipe:
        for quote in quotes:
            pipe.eval(FORGET, 1, key(quote.source, quote.symbol), version(quote))
        await pipe.execute()


async def select_published(redis: "Redis", source: str, symbols: Sequence[str]) -> list[Event]:
    """The quotes of these symbols, each with the id of its event."""
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
    """Events after `after`, oldest first; wait up to `block_ms` for the first. None: a quote that this version cannot read."""
    answer: Any = await redis.xread({STREAM: after}, count=most, block=block_ms)
    return [(str(at), _read(event.get("body"))) for _, events in answer or () for at, event in events]


def _read(body: str | None) -> Quote | None:
    """Decode a quote; None if it cannot be read, as if the cache lacked it."""
    try:
        return None if body is None else decode(body)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return None


async def select_restarted(redis: "Redis") -> str | None:
    """The server's run id if it was restarted, emptied or replaced since all quotes were published to it; else None."""
    run_id = str((await redis.info("server"))["run_id"])
    return None if await redis.get(PUBLISHED_KEY) == run_id else run_id


async def set_published(redis: "Redis", run_id: str) -> None:
    """Record that all quotes are being published to this server. Those that fail stay marked as unpublished."""
    await redis.set(PUBLISHED_KEY, run_id)


async def select_first_id(redis: "Redis") -> str | None:
    """The id of the oldest event in the stream."""
    oldest = await redis.xrange(STREAM, count=1)
    return str(oldest[0][0]) if oldest else None
