"""What a process keeps open while it runs: settings, stores, the provider. Opening needs no network; closing takes bounded time."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as RedisConnectionError

from common.core.budget.ledger_clock import LedgerClock
from common.core.budget.policy import Policy
from common.core.budget.shares import Shares
from common.core.limits import slot_time
from common.process.logs import Health
from common.process.settings import Settings
from common.provider import Provider, open_http
from common.store.budget.ledger import Budget
from common.store.connection.pool import open_pool

# Connections of one process. The smallest hosted plans allow 20 in all, to each store.
POOL_SIZE = 5
WORKER_POOL_SIZE = 3  # of one child: it asks the ledger serially and settles a few calls at once
REDIS_POOL_SIZE = 3
REDIS_TIMEOUT = 0.25  # seconds for one answer
CLOSE_TIMEOUT = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Resources:
    """One per process. `budget`: how it asks the ledger. `clock`: its last reading of the ledger's clock. `health`: its dependencies."""

    settings: Settings
    db: asyncpg.Pool
    redis: Redis
    provider: Provider
    budget: Budget
    policy: Policy
    clock: LedgerClock
    health: Health
    started: datetime


@asynccontextmanager
async def open_resources(settings: Settings, *, name: str, statement_timeout: float) -> AsyncIterator[Resources]:
    """Open everything that the process `name` (`api`, `worker`) needs; no store is contacted yet. `statement_timeout` in seconds."""
    size = WORKER_POOL_SIZE if name == "worker" else POOL_SIZE
    pool = open_pool(settings.database_url, name=f"quotewell-{name}", size=size, statement_timeout=statement_timeout)
    redis = open_redis(settings.redis_url, timeout=REDIS_TIMEOUT)
    process = f"{name}@{socket.gethostname()}:{os.getpid()}"
    async with open_http() as http:
        provider = Provider(
            http=http,
            base_url=settings.provider_base_url,
            key=settings.provider_key,
            timeout=settings.provider_timeout.total_seconds(),
            source=settings.source,
            entitlement=settings.entitlement,
        )
        budget = Budget(
            account=settings.account,
            source=settings.source,
            process=process,
            limits=settings.limits,
            half_life=settings.reads_half_life,
            bulk=settings.bulk,
        )
        shares = Shares(settings.interactive_share, settings.stranger_share, settings.trial_share)
        policy = Policy(settings.limits, settings.provider_data, settings.quota_interactive_share, shares)
        try:
            yield Resources(
                settings=settings,
                db=await pool,
                redis=redis,
                provider=provider,
                budget=budget,
                policy=policy,
                clock=LedgerClock(slot_time(settings.limits)),
                health=Health(),
                started=datetime.now(UTC),
            )
        finally:
            await _close(pool, redis)


DRIVER = DriverInfo()  # one for all: redis-py would read its version from the disk for each connection


def open_redis(url: str, *, timeout: float, retries: int = 1) -> Redis:
    """A client that fails fast; `timeout` in seconds. By default redis-py retries for a minute and its pool is unbounded.

    It retries a connection that was closed, but not a server that does not answer.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=REDIS_POOL_SIZE,
        timeout=timeout,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), retries, (RedisConnectionError,)),
        health_check_interval=15,
        driver_info=DRIVER,
    )
    return Redis.from_pool(pool)


async def _close(pool: asyncpg.Pool, redis: Redis) -> None:
    """Close both. asyncpg's pool would wait forever for a borrowed connection, so it is terminated after a timeout."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await pool.close()
    except TimeoutError:
        pool.terminate()
    await redis.aclose()
