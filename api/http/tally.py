"""Fixed-window counts across processes, in Redis. While Redis is away each process counts for itself.

An attempt is counted before it is made, so concurrent attempts cannot exceed the limit; the caller decides whether to give it back.
Windows are aligned to the Unix epoch.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from common.process.resources import Resources

REDIS_TIMEOUT = 0.3  # seconds

Counted: TypeAlias = tuple[RateLimitItem, str]


class Attempt:
    """An attempt, counted under one limit after another up to the first that it exceeds: `refused`."""

    def __init__(self, limiter: FixedWindowRateLimiter) -> None:
        self.refused: RateLimitItem | None = None
        self._limiter, self._at = limiter, time.time()
        self._taken: list[Counted] = []

    async def count(self, wanted: Sequence[Counted]) -> "Attempt":
        """Count under each limit, and record it in `_taken` first, so that `give_back` is right after a timeout, too.

        The key contains the window, so a count that is given back late goes to the window it came from.
        """
        for item, key in wanted:
            windowed = f"{key}:{int(self._at // item.get_expiry())}"
            self._taken.append((item, windowed))
            if not await self._limiter.hit(item, windowed):
                self.refused = item
                break
        return self

    async def give_back(self) -> None:
        """Undo the counts. If Redis does not answer, the attempt stays counted until its window ends, which is strict but safe."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(REDIS_TIMEOUT):
                for item, key in self._taken:
                    await self._limiter.hit(item, key, cost=-1)

    def wait(self) -> float:
        """Seconds until the window of the exceeded limit ends."""
        period = self.refused.get_expiry() if self.refused else 0
        return (self._at // period + 1) * period - time.time() if period else 0.0


class Tally:
    """The counts that a process adds to; `prefix` starts their keys in Redis."""

    def __init__(self, resources: Resources, prefix: str) -> None:
        pool = resources.redis.connection_pool
        shared = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=prefix,
            connection_pool=pool,  # type: ignore[arg-type]
        )
        self._shared = FixedWindowRateLimiter(shared)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._resources = resources

    async def count(self, wanted: Sequence[Counted]) -> Attempt:
        """Count an attempt under each of these limits and keys, up to the first that it exceeds."""
        if self._resources.health.is_up("redis"):
            attempt = Attempt(self._shared)
            try:
                async with asyncio.timeout(REDIS_TIMEOUT):
                    return await attempt.count(wanted)
            except (RedisError, OSError, TimeoutError):
                await attempt.give_back()
        return await Attempt(self._own).count(wanted)
