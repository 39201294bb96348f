"""Failed logins, counted across processes in Redis: who fails too often must wait, before any hash is computed. Without Redis each
process counts for itself.

An attempt is counted before it is made and taken back when it succeeds, so that a hundred at once get no more tries than one by one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from typing import TypeAlias

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from common.errors import InvalidCredentials, Overloaded, RateLimited
from common.resources import Resources

PAIR = parse("10/15minutes")  # failures for one account from one address
ADDRESS = parse("30/15minutes")
ACCOUNT = parse("100/15minutes")  # beyond it, only who logged in from there before may try
PATIENCE = 0.3  # seconds that Redis gets

Counted: TypeAlias = tuple[RateLimitItem, str]
Limiter: TypeAlias = FixedWindowRateLimiter


class Throttle:
    """The limits of failed logins for one process."""

    def __init__(self, resources: Resources) -> None:
        pool = resources.redis.connection_pool
        shared = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix="throttle",
            connection_pool=pool,  # type: ignore[arg-type]
        )
        self._shared = FixedWindowRateLimiter(shared)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._under_way: Counter[str] = Counter()
        self._resources = resources

    @asynccontextmanager
    async def attempt(
        self, account: str, address: str, *, is_known: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Hold one attempt; raise `RateLimited` instead of it, or `Overloaded` while those before it may still succeed.

        What ends in `InvalidCredentials` is a failure, all else is none. `is_known`: whether this account was logged in to from this
        address before.
        """
        name = sha256(account.encode(errors="surrogatepass")).hexdigest()[:16]
        pair = f"{name}:{address}"
        window = int(
            time.time() // PAIR.get_expiry()
        )  # in the key: what is given back late is given back where it was taken
        counted = [(PAIR, f"{pair}:{window}"), (ADDRESS, f"{address}:{window}"), (ACCOUNT, f"{name}:{window}")]
        with self._present(pair):
            limiter, taken, refused = await self._take(counted)
            try:
                if refused is not None and not (refused[0] is ACCOUNT and await is_known()):
                    if refused[0] is PAIR and self._under_way[pair] > 1:
                        raise Overloaded("too many logins of one account at once", retry_after=1)
                    left = (window + 1) * PAIR.get_expiry() - time.time()
                    raise RateLimited("too many failed logins", retry_after=left)
                yield
            except InvalidCredentials:
                raise
            except BaseException:
                await asyncio.shield(_give_back(limiter, taken))
                raise
            await _give_back(limiter, taken)

    @contextmanager
    def _present(self, pair: str) -> Iterator[None]:
        self._under_way[pair] += 1
        try:
            yield
        finally:
            self._under_way[pair] -= 1
            self._under_way += Counter()  # forgets those that are 0

    async def _take(self, counted: Sequence[Counted]) -> tuple[Limiter, list[Counted], Counted | None]:
        """Count an attempt limit by limit, up to the first that it breaks, which is told."""
        taken: list[Counted] = []
        if self._resources.health.is_up("redis"):
            try:
                async with asyncio.timeout(PATIENCE):
                    return self._shared, taken, await _hit(self._shared, counted, taken)
            except (RedisError, OSError, TimeoutError):
                await _give_back(self._shared, taken)
                taken.clear()
        return self._own, taken, await _hit(self._own, counted, taken)


async def _hit(limiter: Limiter, counted: Sequence[Counted], taken: list[Counted]) -> Counted | None:
    """`taken` grows as it goes, and is right though this is cut short."""
    for item, key in counted:
        taken.append((item, key))
        if not await limiter.hit(item, key):
            return item, key
    return None


async def _give_back(limiter: Limiter, taken: Sequence[Counted]) -> None:
    """Where Redis is lost meanwhile the attempt stays counted: too careful for a quarter of an hour."""
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            for item, key in taken:
                await limiter.hit(item, key, cost=-1)
