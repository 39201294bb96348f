"""Limits on failed logins, checked before any hash is computed.

An attempt is counted before it is made and given back when it succeeds; `api/http/tally.py` counts across processes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256

from aiohttp import web
from limits import parse

from api.http.tally import Tally
from common.errors import InvalidCredentials, Overloaded, RateLimited
from common.process.resources import Resources

PAIR = parse("10/15minutes")  # failures for one account from one address
ADDRESS = parse("30/15minutes")
ACCOUNT = parse("100/15minutes")  # beyond it, only addresses with an earlier login may try


class Throttle:
    """The limits of failed logins for one process."""

    def __init__(self, resources: Resources) -> None:
        self._tally = Tally(resources, "throttle")
        self._in_progress: Counter[str] = Counter()

    @asynccontextmanager
    async def attempt(
        self, account: str, address: str, *, is_known: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Count one attempt, or raise `RateLimited`, or `Overloaded` while concurrent attempts may still succeed.

        Only an attempt that raises `InvalidCredentials` stays counted. `is_known`: whether this address has logged in to the account
        before.
        """
        name = sha256(account.encode(errors="surrogatepass")).hexdigest()[:16]
        pair = f"{name}:{address}"
        with self._counted_in_progress(pair):
            counted = await self._tally.count([(PAIR, pair), (ADDRESS, address), (ACCOUNT, name)])
            try:
                if counted.refused is not None and not (counted.refused is ACCOUNT and await is_known()):
                    if counted.refused is PAIR and self._in_progress[pair] > 1:
                        raise Overloaded("too many logins of one account at once", retry_after=1)
                    raise RateLimited("too many failed logins", retry_after=counted.wait())
                yield
            except InvalidCredentials:
                raise
            except BaseException:
                await asyncio.shield(counted.give_back())
                raise
            await counted.give_back()

    @contextmanager
    def _counted_in_progress(self, pair: str) -> Iterator[None]:
        self._in_progress[pair] += 1
        try:
            yield
        finally:
            self._in_progress[pair] -= 1
            if not self._in_progress[pair]:
                del self._in_progress[pair]


THROTTLE = web.AppKey("throttle", Throttle)
