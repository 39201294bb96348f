"""What a process holds while it runs: settings, stores, the provider. It opens without a network and closes in bounded time."""

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
from redis.exceptions import ConnectionError as RedisConnectionError

from common.core.budget.ledger_clock import LedgerClock
from common.core.budget.policy import Policy
from common.core.budget.shares import Shares
from common.process.logs import Health
from common.process.settings import Settings
from common.provider import Provider, open_http
from common.store.budget.ledger import Budget
from common.store.connection.pool import open_pool

# Connections of one process. The smallest plans of platforms allow 20 in all, for each of the stores.
POOL_SIZE = 5
WORKER_POOL_SIZE = 3  # of one child: it asks one by one, and settles a few calls at once
REDIS_POOL_SIZE = 3
REDIS_TIMEOUT = 0.25  # seconds that an answer of the cache may take
CLOSE_TIMEOUT = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Resources:
    """One per process. `ask` is how this process asks the ledger, `clock` what it last heard there, `health` what it leans on."""

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
    """Everything that a process needs, by its name (`api`, `worker`): no store is asked yet. `patience`: seconds a statement."""
    size = WORKER_POOL_SIZE if name == "worker" else POOL_SIZE
    pool = open_pool(settings.database_url, name=f"quotewell-{name}", size=size, statement_timeout=statement_timeout)
    redis = open_redis(settings.redis_url, timeout=REDIS_TIMEOUT)
    caller = f"{name}@{socket.gethostname()}:{os.getpid()}"
    async with open_http() as http:
        provider = Provider(
            http,
            settings.provider_base_url,
            settings.provider_key,
            settings.provider_timeout.total_seconds(),
            settings.source,
            settings.entitlement,
        )
        budget = Budget(
            settings.account,
            settings.source,
            caller,
            settings.limits,
            settings.reads_half_life,
            settings.bulk,
        )
        shares = Shares(settings.interactive_share, settings.stranger_share, settings.trial_share)
        policy = Policy(settings.limits, settings.provider_data, settings.quota_interactive_share, shares)
        try:
            yield Resources(
                settings, await pool, redis, provider, budget, policy, LedgerClock(), Health(), datetime.now(UTC)
            )
        finally:
            await _close(pool, redis)


def open_redis(url: str, *, timeout: float, retries: int = 1) -> Redis:
    """A client that fails soon: redis-py's own ten retries take a minute on a frozen server, and its pool has no end. Seconds.

    A connection that was closed meanwhile is worth a retry, a server that does not answer is not.
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
    )
    return Redis.from_pool(pool)


async def _close(pool: asyncpg.Pool, redis: Redis) -> None:
    """A pool waits for ever for a connection that somebody holds; so there is a bound."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await pool.close()
    except TimeoutError:
        pool.terminate()
    await redis.aclose()
