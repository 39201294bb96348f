"""One process's copy of the provider's listing, as an index. Workers fetch listings; this only reads the newest from PostgreSQL."""

import asyncio
from collections.abc import Container
from datetime import datetime

from aiohttp import web

from common.core.search.index import Index
from common.core.search.ranking import build_index
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market import listings

RECHECK_INTERVAL = 60.0  # seconds between two checks for a newer listing
FIRST_RECHECK_INTERVAL = 2.0  # seconds, while there is none


class Listing:
    """One process's copy of the listing, as an index; empty until the first listing has come."""

    def __init__(self) -> None:
        self.index: Index = build_index(())
        self.refreshed_at: datetime | None = None

    @property
    def known(self) -> Container[str] | None:
        """All listed symbols; None while there is no listing."""
        return self.index or None

    async def keep(self, resources: Resources) -> None:
        """Run until cancelled."""
        while True:
            try:
                await self._refresh(resources)
            except StoreUnavailable as error:
                resources.health.note_failure("database", error)
            await asyncio.sleep(RECHECK_INTERVAL if self.refreshed_at else FIRST_RECHECK_INTERVAL)

    async def _refresh(self, resources: Resources) -> None:
        source = resources.settings.source
        async with acquire(resources.db) as connection:
            state = await listings.select_listing_state(connection, source)
            if state is None or state.refreshed_at == self.refreshed_at:
                return
            rows = await listings.select_listing(connection, source)
        self.index = await asyncio.to_thread(build_index, rows)
        self.refreshed_at = state.refreshed_at


LISTING = web.AppKey("listing", Listing)
