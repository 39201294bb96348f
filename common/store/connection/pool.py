"""Connections to PostgreSQL, with timeouts. A lost server is always `StoreUnavailable`, a full pool `StoreBusy`. It knows no statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from common.errors import StoreBusy, StoreUnavailable, StoreUnfit
from common.store.connection.address import read_address

ACQUIRE_TIMEOUT = 0.7  # seconds
SESSION = {  # a frozen or disconnected client must not keep the ledger's lock
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "5s",
    "client_connection_check_interval": "2s",  # while a statement runs or waits
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
POOLED_SESSION = {"timezone": "UTC"}  # a pooler refuses the others, and has its own timeouts for frozen clients
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises once on a connection whose server was restarted
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,  # the server's `statement_timeout`, or an administrator
    asyncpg.ReadOnlySQLTransactionError,  # the server became a replica
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was frozen inside a transaction
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,  # nothing was written, and the next try finds the rows free
)

UNFIT = (  # the wrong database, one not migrated yet, or a changed password
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)

REFUSED = (  # by the server or asyncpg, before any statement
    asyncpg.PostgresError,
    asyncpg.ClientConfigurationError,
    ValueError,  # an invalid host
    EOFError,
)
AWAY = (  # temporary: the server starts, stops or is full
    OSError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
)

Connection: TypeAlias = PoolConnectionProxy


def open_pool(url: str, *, name: str, size: int, statement_timeout: float) -> asyncpg.Pool:
    """A pool that needs no server to open: it connects on demand.

    `name` appears in pg_stat_activity, unless the URL sets one. `statement_timeout` in seconds.
    """
    address = read_address(url)
    return asyncpg.create_pool(
        **address.pool,
        min_size=0,
        max_size=size,
        timeout=ACQUIRE_TIMEOUT,
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
    """Borrow a connection. Raise `StoreUnavailable` if there is none within a second or it is lost, `StoreUnfit` if it is refused, and
    `StoreBusy` if others keep all of them."""
    async with _known_errors(pool), _borrowed(pool) as (connection, _):
        yield connection


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """Borrow a connection in a transaction; READ COMMITTED, as the ledger's lock requires. Raises as `acquire` does."""
    async with _known_errors(pool), _borrowed(pool) as (connection, exits):
        await exits.enter_async_context(connection.transaction(isolation="read_committed"))
        yield connection


@asynccontextmanager
async def _known_errors(pool: asyncpg.Pool) -> AsyncIterator[None]:
    try:
        yield
    except LOST as error:
        await _lose(pool)
        raise StoreUnavailable("the database did not answer in time; whether it was written is not known") from error
    except UNFIT as error:
        raise StoreUnfit("the database is not as this version needs it; nothing was written") from error
    else:
        _silent.discard(pool)


@asynccontextmanager
async def _borrowed(pool: asyncpg.Pool) -> AsyncIterator[tuple[Connection, AsyncExitStack]]:
    """Borrow a connection; also yield the stack of what to do when it is returned.

    Returning it takes a rollback and a reset. Cancelled in between, they would leave the connection borrowed or in a transaction. So the
    return runs as a task of its own, shielded: it goes on if the caller is cancelled. After a timeout the caller does not wait
    for it either, because cancelling the statement can take as long as the statement. `_returning` keeps such tasks from being
    garbage-collected.
    """
    connection = await _acquire(pool)
    exits = AsyncExitStack()
    exits.push_async_callback(_release, pool, connection)
    try:
        yield connection, exits
    except BaseException as error:
        returning = asyncio.ensure_future(exits.__aexit__(type(error), error, error.__traceback__))
        if isinstance(error, TimeoutError):
            _returning.add(returning)
            returning.add_done_callback(_returned)
        else:
            await asyncio.shield(returning)
        raise
    else:
        await asyncio.shield(exits.aclose())


async def _release(pool: asyncpg.Pool, connection: Connection) -> None:
    """Return a connection. asyncpg closes one that cannot be reset in time; its work is already committed or rolled back."""
    with suppress(*LOST):
        await pool.release(connection, timeout=ACQUIRE_TIMEOUT)


_returning: set[asyncio.Future[bool | None]] = set()
_silent: set[asyncpg.Pool] = set()  # pools whose last borrower lost the server: a full one of these waits for nothing


def _returned(returning: "asyncio.Future[bool | None]") -> None:
    """Retrieve the exception, so that asyncio does not log it; it repeats the one already raised."""
    _returning.discard(returning)
    if not returning.cancelled():
        returning.exception()


async def _acquire(pool: asyncpg.Pool) -> Connection:
    """Borrow a connection. The pool is busy if all of it was in use at first, and the server answered its last borrower."""
    was_full = pool.get_idle_size() == 0 and pool.get_size() >= pool.get_max_size()
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            connection: Connection = await pool.acquire()
            return connection
    except (*LOST, *REFUSED) as error:
        if isinstance(error, REFUSED) and not isinstance(error, AWAY):
            raise StoreUnfit("the database refuses the connection; nothing was written") from error
        if was_full and isinstance(error, TimeoutError) and pool not in _silent:
            raise StoreBusy("all connections to the database are in use; nothing was written") from error
        _silent.add(pool)
        if not isinstance(error, TimeoutError):
            await _lose(pool)
        raise StoreUnavailable("the database does not answer; nothing was written") from error


async def _lose(pool: asyncpg.Pool) -> None:
    """After one lost connection, replace the idle ones too: they lead to the same server."""
    if pool.is_closing():
        _silent.discard(pool)
    else:
        _silent.add(pool)
        await pool.expire_connections()
