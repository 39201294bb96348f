"""Keeps a process's outlook on the budget: looked up every few seconds, so that a stale quote can say why, at no cost to a read."""

import asyncio
import time
from dataclasses import replace

from api.memory import Memory
from common.errors import StoreUnavailable
from common.resources import Resources
from common.store.ledger import select_outlook, select_weights
from common.store.pool import connection

PERIOD = 5.0  # seconds between two looks at the ledger
WEIGHTS_PERIOD = 30.0  # seconds between two looks at the weights, which change slowly
MOST_WEIGHTS = 20_000  # symbols


async def keep_outlook(resources: Resources, memory: Memory) -> None:
    """Run until cancelled; without the database the last outlook stands."""
    weighed_at = -WEIGHTS_PERIOD
    while True:
        try:
            async with connection(resources.db) as held:
                known = memory.outlook
                seen = await select_outlook(held, resources.ask)
                roots, weights = known.root_weights, known.weights
                if time.monotonic() >= weighed_at + WEIGHTS_PERIOD:
                    roots, weights = await select_weights(held, resources.ask.source, most=MOST_WEIGHTS)
                    weighed_at = time.monotonic()
            memory.outlook = replace(seen, root_weights=roots, weights=weights)
        except StoreUnavailable as error:
            resources.health.note("database", up=False, reason=str(error))
        else:
            resources.health.note("database", up=True)
        await asyncio.sleep(PERIOD)
