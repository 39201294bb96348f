"""`make bench-watchlist`: adding, listing and removing with a million watchlist rows over 100,000 symbols, and a grant with its choice.

Milliseconds at the database, as the caller waits for them: 99th percentiles of the store's own functions over one connection.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median, quantiles

from bench.refresh.grants import WANTED, time_grants
from bench.run import open_single_stage, run
from common.process.resources import open_resources
from common.process.settings import Settings
from common.store.accounts.watchlists import delete_item, insert_item, select_items
from common.store.connection.pool import Connection, acquire

USERS, ITEMS = 20_000, 50  # a million rows
ROUNDS = 2_000
FILL = (
    """
    INSERT INTO users (username, email, password_hash, password_scheme)
    SELECT 'u' || n, 'u' || n || '@x', '', '' FROM generate_series(1, $1::int) n
    """,
    "ALTER TABLE watchlist_items DISABLE TRIGGER watchlist_items_counted",
    """
    INSERT INTO watchlist_items (user_id, symbol)
    SELECT u, 'S' || ((u * 7919 + i * 104729) % $1::int + 1) FROM generate_series(1, $2::int) u, generate_series(1, $3::int) i
    ON CONFLICT DO NOTHING
    """,
    "ALTER TABLE watchlist_items ENABLE TRIGGER watchlist_items_counted",
    """
    INSERT INTO symbols (symbol, watchers, source, clock)
    SELECT symbol, count(*), $1, extract(epoch FROM now()) - random() * 3600 FROM watchlist_items GROUP BY symbol
    """,
)


async def measure(settings: Settings) -> dict[str, float]:
    """All figures, in the shape of the last line."""
    async with (
        open_resources(settings, name="bench", statement_timeout=300) as resources,
        acquire(resources.db) as connection,
    ):
        await _fill(connection, settings.source)
        users = [1 + n * 9 % USERS for n in range(ROUNDS)]
        add = await _p99(users, lambda user: insert_item(connection, user, f"NEW{user % 500}", most=ITEMS + 10))
        listed = await _p99(users, lambda user: select_items(connection, user))
        remove = await _p99(users, lambda user: delete_item(connection, user, f"NEW{user % 500}"))
        grants = await time_grants(connection, resources.budget)
    return {
        "add_p99_ms": round(add, 2),
        "list_p99_ms": round(listed, 2),
        "remove_p99_ms": round(remove, 2),
        "grant_ms": round(median(grants), 1),
    }


async def _fill(connection: Connection, source: str) -> None:
    await connection.execute(FILL[0], USERS)
    await connection.execute(FILL[1])
    await connection.execute(FILL[2], WANTED, USERS, ITEMS)
    await connection.execute(FILL[3])
    await connection.execute(FILL[4], source)
    await connection.execute("VACUUM ANALYZE")
    rows = await connection.fetchrow("SELECT (SELECT count(*) FROM watchlist_items), (SELECT count(*) FROM symbols)")
    print(f"{rows[0]:,} watchlist rows of {USERS:,} users over {rows[1]:,} symbols", flush=True)


async def _p99(users: list[int], act: Callable[[int], Awaitable[object]]) -> float:
    times = []
    for user in users:
        begun = time.perf_counter()
        await act(user)
        times.append(1000 * (time.perf_counter() - begun))
    return quantiles(times, n=100)[-1]


def measure_on_stage() -> dict[str, float]:
    with open_single_stage("watchlist") as stage:
        return asyncio.run(measure(stage.settings))


if __name__ == "__main__":
    sys.exit(run(measure_on_stage))
