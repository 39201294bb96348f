"""Connections to PostgreSQL: bounded in time, and a lost server is one error of ours. It knows no statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from common.errors import StoreUnavailable, StoreUnfit
from common.store.connection.address import read_address

ACQUIRE = 0.7  # seconds
SESSION = {  # a client that froze, or that a network lost, must not keep the ledger's lock
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "5s",
    "client_connection_check_interval": "2s",  # while a statement of it runs or waits
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
POOLED_SESSION = {"timezone": "UTC"}  # a pooler refuses the others; a client that froze is its own to cut off
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises once on a connection whose server was restarted
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was frozen amid a transaction
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

REFUSED = (  # by the server or by asyncpg itself, ahead of any statement
    asyncpg.PostgresError,
    asyncpg.ClientConfigurationError,
    ValueError,  # a host that cannot be one
    EOFError,
)
AWAY = (  # no refusal for long: it starts, stops, or has no room
    OSError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
)

Connection: TypeAlias = PoolConnectionProxy


def open_pool(url: str, *, name: str, size: int, statement_timeout: float) -> asyncpg.Pool:
    """A pool that opens without a server: connections are made when they are wanted.

    `name` shows in pg_stat_activity unless the URL has another; `patience` is how many seconds one statement may take.
    """
    address = read_address(url)
    return asyncpg.create_pool(
        **address.pool,
        min_size=0,
        max_size=size,
        timeout=ACQUIRE,
        command_timeout=statement_timeout,
        max_inactive_connection_lifetime=60,
        server_settings={
            "application_name": name,
            **address.settings,
            **(POOLED_SESSION if address.pooled else SESSION),
        },
    )


def affected(status: str) -> int:
    """How many rows a statement changed, by its command tag such as `DELETE 5`."""
    return int(status.rpartition(" ")[2])


@asynccontextmanager
async def acquire(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection within a second; raise `StoreUnavailable` when there is none, it is lost on the way, `StoreUnfit` when it refuses."""
    async with _known_errors(pool), _borrowed(pool) as (connection, _):
        yield connection


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction, READ COMMITTED as the ledger needs it."""
    async with _known_errors(pool), _borrowed(pool) as (connection, leave):
        await leave.enter_async_context(connection.transaction(isolation="read_committed"))
        yield connection


@asynccontextmanager
async def _known_errors(pool: asyncpg.Pool) -> AsyncIterator[None]:
    try:
        yield
    except LOST as error:
        await _forget_idle(pool)
        raise StoreUnavailable("the database did not answer in time; whether it was written is not known") from error
    except UNFIT as error:
        raise StoreUnfit("the database is not as this version needs it; nothing was written") from error


@asynccontextmanager
async def _borrowed(pool: asyncpg.Pool) -> AsyncIterator[tuple[Connection, AsyncExitStack]]:
    """A connection, and what is to be done as it goes back. Nobody waits for that after a statement that took too long: its
    cancellation may take as long again."""
    connection, leave = await _acquire(pool), AsyncExitStack()
    leave.push_async_callback(_give_back, pool, connection)
    try:
        yield connection, leave
    except BaseException as error:
        leaving = asyncio.ensure_future(leave.__aexit__(type(error), error, error.__traceback__))
        if isinstance(error, TimeoutError):
            _leaving.add(leaving)
            leaving.add_done_callback(_left)
        else:
            await asyncio.shield(leaving)
        raise
    else:
        await asyncio.shield(leave.aclose())


async def _give_back(pool: asyncpg.Pool, connection: Connection) -> None:
    """Its work is done: one that can't be made ready for the next user in time is closed by asyncpg, and nothing is lost by it."""
    with suppress(*LOST):
        await pool.release(connection, timeout=ACQUIRE)


_leaving: set[asyncio.Future[bool | None]] = set()


def _left(leaving: "asyncio.Future[bool | None]") -> None:
    """What went wrong there was the same that went wrong before."""
    _leaving.discard(leaving)
    if not leaving.cancelled():
        leaving.exception()


async def _acquire(pool: asyncpg.Pool) -> Connection:
    """A pool whose connections are all at work is busy, and not lost."""
    try:
        async with asyncio.timeout(ACQUIRE):
            connection: Connection = await pool.acquire()
            return connection
    except (*LOST, *REFUSED) as error:
        if isinstance(error, REFUSED) and not isinstance(error, AWAY):
            raise StoreUnfit("the database refuses the connection; nothing was written") from error
        busy = pool.get_idle_size() == 0 and pool.get_size() >= pool.get_max_size()
        if not isinstance(error, TimeoutError):
            await _forget_idle(pool)
        problem = "is busy" if busy and isinstance(error, TimeoutError) else "does not answer"
        raise StoreUnavailable(f"the database {problem}; nothing was written") from error


async def _forget_idle(pool: asyncpg.Pool) -> None:
    """After one lost connection the others of the same server are not worth a try."""
    if not pool.is_closing():
        await pool.expire_connections()
