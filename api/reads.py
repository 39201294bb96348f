"""How often each symbol is read: counted in memory, flushed in batches, so that a read never costs a round trip.

A read counts once per address, symbol and minute, or a crawler would own the budget.
"""

import asyncio
import time
from collections import Counter

from api import metrics
from common.errors import StoreUnavailable
from common.resources import Resources
from common.store.pool import connection
from common.store.symbols import update_reads

FLUSH = 5.0  # seconds
MINUTE = 60.0
MOST_SEEN = 200_000  # pairs of address and symbol within a minute; further ones do not count


class Reads:
    """The reads of one process since the last flush."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._minute = 0

    def count(self, symbol: str, *, by: str) -> None:
        """Note that an address read a symbol."""
        minute = int(time.monotonic() // MINUTE)
        if minute != self._minute:
            self._minute, self._seen = minute, set()
        if (by, symbol) not in self._seen and len(self._seen) < MOST_SEEN:
            self._seen.add((by, symbol))
            self._counts[symbol] += 1

    async def flush(self, resources: Resources) -> None:
        """Write the counts; what cannot be written now is written later."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            async with connection(resources.db) as held:
                await update_reads(held, counts, resources.settings.reads_half_life)
            metrics.READS.inc(counts.total())
        except StoreUnavailable:
            self._counts.update(counts)

    async def flush_for_ever(self, resources: Resources) -> None:
        while True:
            await asyncio.sleep(FLUSH)
            await self.flush(resources)
