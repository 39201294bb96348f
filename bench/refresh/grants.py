"""What a grant costs while many symbols are wanted, half of them by reads alone: lock, choice, journal, one round trip.

Single grants are rolled back; the rate of grants with their settlements is of committed ones, one after the other.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from statistics import median, quantiles

from common.calls.settle import settle
from common.core.budget.policy import OPEN_POWER, Pace
from common.core.budget.shares import Shares, ceilings
from common.core.calendar.trading_day import latest_day
from common.core.limits import parse_limits
from common.core.models import Price
from common.core.provider.outcomes import Outcome
from common.process.resources import Resources, open_resources
from common.process.settings import Settings
from common.store.budget.ledger import Budget, Grant, grant_call, select_now
from common.store.connection.pool import Connection, acquire

WANTED, MANY = 100_000, 1_000_000
ROUNDS = 40
SETTLED = 600  # grants with settlements
LIMITS = parse_limits("1000000/1min", "limits")
CEILINGS = ceilings(LIMITS, Shares(), reserve=0.2, quoted=0)
INSERT = """
    INSERT INTO symbols (symbol, watchers, reads, reads_at, source, clock)
    SELECT 'S' || n, n % 2 * greatest(1, round($1 / n::float8)), greatest(1, $1 / n::float8), now() - n % 600 * interval '1 second',
        $2, extract(epoch FROM now()) - n % 3600 - random()
    FROM generate_series(1, $1::int) AS n
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds a grant, as the caller waits for it: among 100,000 and a million wanted symbols, and of a hundred symbols at once.
    `per_minute`: grants, each settled, one after the other."""

    median: float
    p95: float
    million: float
    bulk: float
    per_minute: float


async def measure(settings: Settings, many: Settings) -> Times:
    """`many`: of another database, for the million."""
    async with open_resources(settings, name="bench", statement_timeout=60) as resources:
        async with acquire(resources.db) as connection:
            await fill(connection, WANTED, settings.source)
            times = await time_grants(connection, resources.budget)
            bulk = await time_grants(connection, replace(resources.budget, bulk=True))
        rate = await _rate(resources)
    async with (
        open_resources(many, name="bench", statement_timeout=120) as resources,
        acquire(resources.db) as connection,
    ):
        await fill(connection, MANY, many.source)
        million = await time_grants(connection, resources.budget)
    return Times(median(times), quantiles(times, n=20)[-1], median(million), median(bulk), rate)


async def fill(connection: Connection, wanted: int, source: str) -> None:
    await connection.execute(INSERT, wanted, source)
    await connection.execute("VACUUM ANALYZE symbols")


async def time_grants(connection: Connection, ask: Budget) -> list[float]:
    """Grants for background, one after the other, in milliseconds."""
    return [await _time_one(connection, replace(ask, limits=LIMITS)) for _ in range(ROUNDS)]


async def _time_one(connection: Connection, ask: Budget) -> float:
    """One grant for background, taken back, in milliseconds."""
    change = connection.transaction()
    await change.start()
    try:
        pace = await _turn(connection)
        begun = time.perf_counter()
        _, answer = await grant_call(connection, ask, pace)
        taken = time.perf_counter() - begun
    finally:
        await change.rollback()
    assert isinstance(answer, Grant), answer
    return 1000 * taken


async def _turn(connection: Connection) -> Pace:
    return Pace(timedelta(microseconds=1), (await select_now(connection)).timestamp(), OPEN_POWER, CEILINGS)


async def _rate(resources: Resources) -> float:
    """Grants a minute, each settled with a price."""
    begun = time.perf_counter()
    for _ in range(SETTLED):
        async with acquire(resources.db) as connection:
            _, grant = await grant_call(connection, replace(resources.budget, limits=LIMITS), await _turn(connection))
        while not isinstance(grant, Grant):
            await asyncio.sleep(0)
            async with acquire(resources.db) as connection:
                _, grant = await grant_call(
                    connection, replace(resources.budget, limits=LIMITS), await _turn(connection)
                )
        prices = tuple(Price(symbol, Decimal(1), latest_day(symbol, grant.granted_at)) for symbol in grant.subjects)
        await settle(resources, grant, Outcome.OK, prices)
    return 60 * SETTLED / (time.perf_counter() - begun)
