"""Ended logins and API keys, as one process knows them: it polls the database twice a second, for all tokens at once.

If the last poll is older than a second, each request checks the database. So a logout takes effect on every process within a second,
and no lost event can prevent that.
"""

import asyncio
import time
from datetime import datetime, timedelta

from aiohttp import web

from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.process.settings import MAX_ACCESS_TTL
from common.store.accounts.keys import select_ended_keys
from common.store.accounts.logins import select_ended, select_is_open, select_now
from common.store.connection.pool import acquire

POLL_INTERVAL = 0.4  # seconds between two polls
MAX_POLL_AGE = 1.0  # seconds; after that the last poll is not trusted
POLL_OVERLAP = timedelta(minutes=1)  # longer than a transaction that ends a login can take to commit
REBUILD_INTERVAL = 3600.0  # seconds; a rebuild drops logins whose tokens have expired


class Revocations:
    """The logins and API keys that ended within the longest life of an access token."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._ended: set[int] = set()
        self._known_at = self._rebuilt_at = float("-inf")
        self._seen_at: datetime | None = None  # time of the last poll, by the database's clock

    @property
    def is_current(self) -> bool:
        """Whether the last poll is recent enough to trust."""
        return time.monotonic() - self._known_at <= MAX_POLL_AGE

    async def is_ended(self, login: int) -> bool:
        """Whether a login has ended; raise `StoreUnavailable` if that cannot be known now."""
        if login in self._ended:
            return True
        if self.is_current:
            return False
        async with acquire(self._resources.db) as connection:
            return not await select_is_open(connection, login)

    def have_ended(self, logins: set[int]) -> set[int]:
        """Those of the logins, or API keys, that are known to have ended."""
        return logins & self._ended

    async def keep(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                await self._poll()
            except StoreUnavailable as error:
                self._resources.health.note_failure("database", error)
            await asyncio.sleep(POLL_INTERVAL)

    async def _poll(self) -> None:
        """Learn every login that ended before this poll began. It reaches back to the last successful poll, however long ago that was: a
        process that was stopped for an hour catches up."""
        begun = time.monotonic()
        rebuilds = begun - self._rebuilt_at > REBUILD_INTERVAL
        async with acquire(self._resources.db) as connection:
            now = await select_now(connection)
            since = now - MAX_ACCESS_TTL if rebuilds or self._seen_at is None else self._seen_at - POLL_OVERLAP
            ended = await select_ended(connection, since) + await select_ended_keys(connection, since)
        if rebuilds:
            self._ended = set(ended)
            self._rebuilt_at = begun
        else:
            self._ended |= set(ended)
        self._known_at, self._seen_at = begun, now


REVOCATIONS = web.AppKey("revocations", Revocations)
