"""How often each symbol is read: counted in memory, flushed in batches, so that a read never costs a round trip.

A reader is a user or a network, and counts once an hour per symbol in each process; otherwise a crawler could direct the whole budget.
A process starts an hour with the first read after the last hour ended. Two reads just before and after its end both count.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from api.http import metrics
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire
from common.store.market.symbols import update_reads

FLUSH_INTERVAL = 5.0  # seconds
HOUR = 3600.0  # seconds
MAX_PAIRS = 200_000  # pairs of reader and symbol within an hour, up to 30 MB; further pairs do not count


class Reads:
    """The reads of one process since the last flush. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._clock, self._hour_ends = clock, float("-inf")

    def count(self, symbol: str, *, by: str) -> None:
        """Count a read of a symbol by a reader, `user:<id>` or a network."""
        now = self._clock()
        if now >= self._hour_ends:
            self._hour_ends, self._seen = now + HOUR, set()
        if (by, symbol) not in self._seen and len(self._seen) < MAX_PAIRS:
            self._seen.add((by, symbol))
            self._counts[symbol] += 1

    async def flush(self, resources: Resources) -> None:
        """Write the counts; if the database is away, keep them for the next flush."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            async with acquire(resources.db) as connection:
                await update_reads(connection, counts, resources.settings.reads_half_life)
            metrics.READS.inc(counts.total())
        except StoreUnavailable:
            self._counts.update(counts)

    async def flush_for_ever(self, resources: Resources) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            await self.flush(resources)


READS = web.AppKey("reads", Reads)
