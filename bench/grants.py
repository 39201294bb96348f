"""What one grant costs while 100,000 symbols are wanted, half of them by reads alone: lock, choice, journal, one round trip.

Each is rolled back.
"""

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median, quantiles

from common.core.limits import parse_limits
from common.core.refresh import OPEN_POWER, Turn
from common.resources import open_resources
from common.settings import Settings
from common.store.ledger import Ask, Grant, grant_call, select_now
from common.store.pool import Connection, connection

WANTED = 100_000
ROUNDS = 40
LIMITS = parse_limits("1000000/1min", "limits")
INSERT = """
    INSERT INTO symbols (symbol, watchers, reads, reads_at, quoted, account, attempted_at, attempted_clock)
    SELECT 'S' || n, n % 2 * greatest(1, round($1 / n::float8)), greatest(1, $1 / n::float8), now() - n % 600 * interval '1 second',
        true, $2, now() - n % 3600 * interval '1 second', extract(epoch FROM now()) - n % 3600 - random()
    FROM generate_series(1, $1::int) AS n
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds a grant, as the caller waits for it."""

    median: float
    p95: float


async def measure(settings: Settings) -> Times:
    async with open_resources(settings, name="bench", patience=60) as resources, connection(resources.db) as held:
        await held.execute(INSERT, WANTED, settings.account)
        await held.execute("VACUUM ANALYZE symbols")
        times = await time_grants(held, resources.ask)
    return Times(median(times), quantiles(times, n=20)[-1])


async def time_grants(held: Connection, ask: Ask) -> list[float]:
    """Grants for background, one after the other, in milliseconds."""
    return [await _time_one(held, replace(ask, limits=LIMITS)) for _ in range(ROUNDS)]


async def _time_one(held: Connection, ask: Ask) -> float:
    """One grant for background, taken back, in milliseconds."""
    change = held.transaction()
    await change.start()
    try:
        turn = Turn(timedelta(milliseconds=1), (await select_now(held)).timestamp(), OPEN_POWER)
        begun = time.perf_counter()
        _, answer = await grant_call(held, ask, turn)
        taken = time.perf_counter() - begun
    finally:
        await change.rollback()
    assert isinstance(answer, Grant), answer
    return 1000 * taken
