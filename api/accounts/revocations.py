"""Which logins have ended, as one process knows it. It asks the database twice a second, for all tokens at once; knowledge older than a
second is none: then each request asks for itself. So a logout anywhere holds everywhere within a second, and no event can be lost."""

import asyncio
import time
from datetime import datetime, timedelta

from aiohttp import web

from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.process.settings import MAX_ACCESS_TTL
from common.store.accounts.logins import select_ended, select_is_open, select_now
from common.store.connection.pool import acquire

POLL_INTERVAL = 0.4  # seconds between two looks
DOUBT = 1.0  # seconds after which what is known is not good enough
LATELY = timedelta(minutes=1)  # longer than any transaction that ends a login may take to commit
REBUILT = 3600.0  # seconds after which those whose tokens have expired are forgotten


class Revocations:
    """The logins that ended within the longest life of an access token."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._ended: set[int] = set()
        self._known_at = self._rebuilt_at = float("-inf")
        self._seen_at: datetime | None = None  # by the database's clock, as of the last look

    async def is_ended(self, login: int) -> bool:
        """Whether a login has ended; raise `StoreUnavailable` if nobody can tell."""
        if login in self._ended:
            return True
        if time.monotonic() - self._known_at <= DOUBT:
            return False
        async with acquire(self._resources.db) as connection:
            return not await select_is_open(connection, login)

    def have_ended(self, logins: set[int]) -> set[int]:
        """Those of them that are known to have ended."""
        return logins & self._ended

    async def keep(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                await self._look()
            except StoreUnavailable as error:
                self._resources.health.note("database", up=False, reason=str(error))
            await asyncio.sleep(POLL_INTERVAL)

    async def _look(self) -> None:
        """What was committed before a look began is known after it. It reaches back to the last good one, however long ago that was: a
        process that was stopped for an hour has an hour to catch up with."""
        begun = time.monotonic()
        anew = begun - self._rebuilt_at > REBUILT
        async with acquire(self._resources.db) as connection:
            now = await select_now(connection)
            since = now - MAX_ACCESS_TTL if anew or self._seen_at is None else self._seen_at - LATELY
            ended = await select_ended(connection, since)
        self._ended = set(ended) if anew else self._ended | set(ended)
        self._rebuilt_at = begun if anew else self._rebuilt_at
        self._known_at, self._seen_at = begun, now


REVOCATIONS = web.AppKey("revocations", Revocations)
