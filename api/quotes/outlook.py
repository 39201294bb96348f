"""Keep a process's outlook on the budget, read every few seconds, so that a stale quote can give its reason without a lookup."""

import asyncio
import time
from dataclasses import replace

from api.quotes.memory import Memory
from common.calls.forecasts import Watched
from common.core.forecast.promises import forecast
from common.errors import StoreBusy, StoreUnavailable
from common.process.resources import Resources
from common.store.connection.pool import acquire

PERIOD = 5.0  # seconds between two reads of the ledger


async def keep_outlook(resources: Resources, memory: Memory) -> None:
    """Run until cancelled. Without the database keep the last outlook and mark it `store_down`; if only our connections are in use, keep
    it as it is."""
    watched = Watched(time.monotonic)
    while True:
        try:
            async with acquire(resources.db) as connection:
                seen, situation = await watched.look(connection, resources)
        except StoreUnavailable as error:
            if not isinstance(error, StoreBusy):
                memory.outlook = replace(memory.outlook, store_down=True)
            resources.health.note_failure("database", error)
        else:
            expected = await asyncio.to_thread(forecast, situation)
            memory.outlook = replace(seen, forecast=expected)
            resources.health.note("database", up=True)
        await asyncio.sleep(PERIOD)
