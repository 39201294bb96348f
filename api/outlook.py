"""Keeps a process's outlook on the budget: looked up every few seconds, so that a stale quote can say why, at no cost to a read."""

import asyncio

from api.memory import Memory
from common.errors import StoreUnavailable
from common.resources import Resources
from common.store.ledger import select_outlook
from common.store.pool import connection

PERIOD = 5.0  # seconds
MOST_WEIGHTS = 20_000  # symbols


async def keep_outlook(resources: Resources, memory: Memory) -> None:
    """Run until cancelled; without the database the last outlook stands."""
    while True:
        try:
            async with connection(resources.db) as held:
                memory.outlook = await select_outlook(held, resources.ask, most=MOST_WEIGHTS)
        except StoreUnavailable as error:
            resources.health.note("database", up=False, reason=str(error))
        else:
            resources.health.note("database", up=True)
        await asyncio.sleep(PERIOD)
