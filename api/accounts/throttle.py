"""Limits on failed logins: for an account from an address, for an address, for an account.

An attempt is counted before it is made and given back when it succeeds; `api/http/tally.py` counts across processes.

Beyond the limits of an address and of an account, an account may still log in from addresses from which it logged in before. The answer and
its time must not tell which names these are: there a wrong password is refused as a name that nobody has, which no hash is computed for.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256

import structlog
from aiohttp import web
from limits import parse

from api.http.tally import Attempt, Tally
from common.errors import InvalidCredentials, NotNow, Overloaded, RateLimited
from common.process.resources import Resources

PAIR = parse("10/15minutes")  # failures for one account from one address
ADDRESS = parse("30/15minutes")
ACCOUNT = parse("100/15minutes")
REFUSALS = {
    "pair": "too many failed logins for this account from this address",
    "address": "too many failed logins from this address; accounts that logged in from it before still can",
    "account": "too many failed logins for this account; it still can from addresses from which it logged in before",
}

log = structlog.get_logger(__name__)


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

        Only a failed attempt stays counted: one that raises `InvalidCredentials`, or is refused for an address or an account. `is_known`:
        whether the account has logged in from this address before; if not, it takes as long as a check of the password.
        """
        name = sha256(account.encode(errors="surrogatepass")).hexdigest()[:16]
        pair = f"{name}:{address}"
        with self._counted_in_progress(pair):
            counted = await self._tally.count([(PAIR, pair), (ADDRESS, address), (ACCOUNT, name)])
            try:
                if counted.refused is PAIR:
                    raise self._refusal(counted, pair)
                if counted.refused is not None and not await is_known():
                    raise InvalidCredentials("not checked")
                yield
            except InvalidCredentials:
                if counted.refused is None:
                    raise
                raise self._refusal(counted, pair) from None
            except BaseException:
                await asyncio.shield(counted.give_back())
                raise
            await counted.give_back()

    def _refusal(self, counted: Attempt, pair: str) -> NotNow:
        """For whom the lock is, and how long it lasts."""
        limit = counted.refused or PAIR
        if limit is PAIR and self._in_progress[pair] > 1:
            return Overloaded("too many logins of one account at once", retry_after=1)
        lock = "pair" if limit is PAIR else "address" if limit is ADDRESS else "account"
        log.info("login_locked", lock=lock, address=pair.partition(":")[2])
        return RateLimited(REFUSALS[lock], retry_after=counted.wait())

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
