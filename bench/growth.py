"""Bytes of what is kept: a row with its indexes, in a PostgreSQL that is filled as the service fills it, and a key in Redis.

`python -m bench.growth`, about a minute. README's table of what each plan keeps is made of these figures.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import redis

from bench.run import open_stores, run
from common.core.models import Price, Quote
from common.core.provider.alpha_vantage import BULK_LIMIT
from common.process.broker import QUEUE, QUEUE_LIMIT, WAKE_EXPIRES, WORK_LINE, open_celery
from common.process.resources import open_redis
from common.process.settings import Settings
from common.store.connection.pool import Connection, acquire, open_pool
from common.store.market import feed
from db.migrate import migrate

LOTS, CALLS, QUOTES, SYMBOLS = 20, 2000, 1_000_000, 5000
GRANT = """
INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, caller)
SELECT 'a1b2c3d4e5f6', 'REALTIME_BULK_QUOTES', ARRAY(SELECT 'S' || (n * 7 + m) % 5000 FROM generate_series(1, $2) AS m), 'refresh',
    at, at + interval '12 s', 'worker@worker-7d9f8c6b5-x2x4z:12345'
FROM generate_series(1, $3) AS n, LATERAL (SELECT now() + ($1::int * $3 + n) * interval '50 ms' AS at) AS moment
"""
SETTLE = (
    "UPDATE calls SET outcome = 'ok', ends_at = granted_at + interval '300 ms' WHERE outcome IS NULL AND id % 10 = $1"
)
COLLECT = """
INSERT INTO quote_history
SELECT 'S' || n % $3, now() + n / $2 * $2 * interval '50 ms', 'alphavantage',
    (100 + n % 20000 / 100.0)::numeric(10, 4), n % 90000000, now()::date
FROM generate_series(1, $1::int) AS n
"""


async def measure_calls(connection: Connection, subjects: int) -> float:
    """Bytes a call that was granted and then settled, while autovacuum keeps up."""
    await connection.execute("TRUNCATE calls")
    for lot in range(LOTS):
        await connection.execute(GRANT, lot, subjects, CALLS)
        for part in range(10):
            await connection.execute(SETTLE, part)
        await connection.execute("VACUUM calls")
    return float(await connection.fetchval("SELECT pg_total_relation_size('calls')")) / (LOTS * CALLS)


async def measure_history(connection: Connection, together: int) -> float:
    """Bytes of a collected quote, of which `together` arrive at one time."""
    await connection.execute("TRUNCATE quote_history")
    await connection.execute(COLLECT, QUOTES, together, SYMBOLS)
    return float(await connection.fetchval("SELECT pg_total_relation_size('quote_history')")) / QUOTES


async def measure_postgres(url: str) -> dict[str, float]:
    migrate(url)
    async with open_pool(url, name="bench", size=1, statement_timeout=60) as pool, acquire(pool) as connection:
        return {
            "call": await measure_calls(connection, 1),
            "bulk_call": await measure_calls(connection, BULK_LIMIT),
            "history": await measure_history(connection, 1),
            "bulk_history": await measure_history(connection, BULK_LIMIT),
        }


async def measure_redis(settings: Settings) -> dict[str, float]:
    """Bytes a published quote, an event of the stream, and a message of the queue."""
    at, day = datetime.now(UTC), datetime.now(UTC).date()
    amounts = [Decimal("182.5200"), Decimal("180.0100"), Decimal("183.9900"), Decimal("179.0000"), Decimal("181.1200")]
    price = Price("S", amounts[0], day, amounts[1], Decimal("0.7730"), 51234567, *amounts[1:])
    client = open_redis(settings.redis_url, timeout=5)
    for number in range(SYMBOLS):
        quote = Quote(price, settings.source, at + timedelta(microseconds=number))
        await feed.publish(client, quote)
    with redis.Redis.from_url(settings.redis_url) as plain:
        await client.aclose()
        sizes = {"key": _bytes(plain, feed.key(settings.source, "S")), "event": _bytes(plain, feed.STREAM) / SYMBOLS}
        app = open_celery(settings)
        for _ in range(QUEUE_LIMIT):
            app.send_task(WORK_LINE, queue=QUEUE, expires=WAKE_EXPIRES)
        sizes["message"] = _bytes(plain, f"celery:{QUEUE}") / QUEUE_LIMIT
    return sizes


def _bytes(client: redis.Redis, key: str) -> float:
    return float(client.memory_usage(key, samples=0) or 0)


def measure() -> dict[str, float]:
    with open_stores() as (urls, _):
        settings = Settings.from_env({"QUOTEWELL_ENV": "testing", **urls})
        sizes = asyncio.run(measure_postgres(settings.database_url)) | asyncio.run(measure_redis(settings))
    return {name: round(size) for name, size in sizes.items()}


if __name__ == "__main__":
    sys.exit(run(measure))
