"""How often something was done within a window of time, counted across processes in Redis; without it each process counts for itself.

A try is counted before it is made, so that a hundred at once get no more tries than one by one. Whoever counts it decides whether it is
given back. A window is the clock's: its period, counted from 1970.
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


class Try:
    """A try, counted limit by limit up to the first that it breaks: `refused`."""

    def __init__(self, limiter: FixedWindowRateLimiter) -> None:
        self.refused: RateLimitItem | None = None
        self._limiter, self._at = limiter, time.time()
        self._taken: list[Counted] = []

    async def count(self, wanted: Sequence[Counted]) -> "Try":
        """`_taken` grows as it goes, and is right though this is cut short. The window is in the key: what is given back late is given
        back where it was taken."""
        for item, key in wanted:
            windowed = f"{key}:{int(self._at // item.get_expiry())}"
            self._taken.append((item, windowed))
            if not await self._limiter.hit(item, windowed):
                self.refused = item
                break
        return self

    async def give_back(self) -> None:
        """Where Redis is lost meanwhile the try stays counted until its window ends: too careful for as long."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(REDIS_TIMEOUT):
                for item, key in self._taken:
                    await self._limiter.hit(item, key, cost=-1)

    def wait(self) -> float:
        """Seconds until the window of the limit that it broke has ended."""
        period = self.refused.get_expiry() if self.refused else 0
        return (self._at // period + 1) * period - time.time() if period else 0.0


class Tally:
    """The counts that one process adds to; `prefix` begins their keys in Redis."""

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

    async def count(self, wanted: Sequence[Counted]) -> Try:
        """Count a try under each of these limits and keys, up to the first that it breaks."""
        if self._resources.health.is_up("redis"):
            attempt = Try(self._shared)
            try:
                async with asyncio.timeout(REDIS_TIMEOUT):
                    return await attempt.count(wanted)
            except (RedisError, OSError, TimeoutError):
                await attempt.give_back()
        return await Try(self._own).count(wanted)
