"""Failed logins: who fails too often must wait, before any hash is computed.

An attempt is counted before it is made and taken back when it succeeds. `api/http/tally.py` counts, across processes.
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
ACCOUNT = parse("100/15minutes")  # beyond it, only who logged in from there before may try


class Throttle:
    """The limits of failed logins for one process."""

    def __init__(self, resources: Resources) -> None:
        self._tally = Tally(resources, "throttle")
        self._under_way: Counter[str] = Counter()

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
        with self._present(pair):
            counted = await self._tally.count([(PAIR, pair), (ADDRESS, address), (ACCOUNT, name)])
            try:
                if counted.refused is not None and not (counted.refused is ACCOUNT and await is_known()):
                    if counted.refused is PAIR and self._under_way[pair] > 1:
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
    def _present(self, pair: str) -> Iterator[None]:
        self._under_way[pair] += 1
        try:
            yield
        finally:
            self._under_way[pair] -= 1
            self._under_way += Counter()  # forgets those that are 0


THROTTLE = web.AppKey("throttle", Throttle)
