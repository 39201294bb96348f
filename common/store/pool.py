"""Connections to PostgreSQL: bounded in time, and a lost server is one error of ours. It knows no statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from common.errors import StoreUnavailable, StoreUnfit

ACQUIRE = 0.8  # seconds
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises once on a connection whose server was restarted
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,  # nothing was written, and the next try finds the rows free
)

UNFIT = (  # another database is meant, ours is not migrated yet, or a password was changed under us
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)

Connection: TypeAlias = PoolConnectionProxy


def open_pool(url: str, *, name: str, size: int, patience: float) -> asyncpg.Pool:
    """A pool that opens without a server: connections are made when they are wanted.

    `name` shows in pg_stat_activity; `patience` is how many seconds one statement may take.
    """
    return asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=ACQUIRE,
        command_timeout=patience,
        max_inactive_connection_lifetime=60,
        server_settings={"application_name": name, "timezone": "UTC"},
    )


@asynccontextmanager
async def connection(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection within a second; raise `StoreUnavailable` when there is none, it is lost on the way, `StoreUnfit` when it refuses."""
    try:
        held = await _acquire(pool)
        try:
            yield held
        finally:
            await asyncio.shield(pool.release(held, timeout=ACQUIRE))
    except LOST as error:
        await _forget_idle(pool)
        raise StoreUnavailable("the database does not answer; nothing was written") from error
    except UNFIT as error:
        raise StoreUnfit("the database is not as this version needs it; nothing was written") from error


async def _acquire(pool: asyncpg.Pool) -> Connection:
    """A pool whose connections are all at work is busy, and not lost."""
    try:
        async with asyncio.timeout(ACQUIRE):
            held: Connection = await pool.acquire()
            return held
    except TimeoutError:
        busy = pool.get_idle_size() == 0 and pool.get_size() >= pool.get_max_size()
        raise StoreUnavailable(
            f"the database {'is busy' if busy else 'does not answer'}; nothing was written"
        ) from None


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction, READ COMMITTED as the ledger needs it."""
    async with connection(pool) as held, held.transaction(isolation="read_committed"):
        yield held


async def _forget_idle(pool: asyncpg.Pool) -> None:
    """After one lost connection the others of the same server are not worth a try."""
    if not pool.is_closing():
        await pool.expire_connections()
