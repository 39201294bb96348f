"""A client that stops amid its work must not stop the others."""

import os
import signal
from contextlib import suppress

import pytest

from common.errors import StoreBusy, StoreUnavailable
from common.store.budget.ledger import lock_ledger
from common.store.connection.pool import acquire, open_pool, transaction
from tests.harness.polling import BUSY, eventually

LETS_GO = 8 + BUSY  # seconds: five are set, the server looks when they are over


async def test_whoever_freezes_with_the_ledger_in_hand_loses_it(database_url: str) -> None:
    frozen = await open_pool(database_url, name="frozen", size=1, statement_timeout=20)
    other = await open_pool(database_url, name="other", size=1, statement_timeout=20)

    async def is_free() -> bool:
        async with transaction(other) as connection:
            return bool(await lock_ledger(connection))

    async def freeze() -> None:
        async with transaction(frozen) as connection:
            await lock_ledger(connection)
            await eventually(is_free, within=LETS_GO, what="the others have the ledger")
            await lock_ledger(connection)

    with pytest.raises(StoreUnavailable):
        await freeze()

    frozen.terminate()
    other.terminate()


async def test_a_statement_that_takes_too_long_gives_its_connection_back_aside(database_url: str) -> None:
    pool = await open_pool(database_url, name="slow", size=1, statement_timeout=0.2)

    with pytest.raises(StoreUnavailable):
        async with transaction(pool) as connection:
            await connection.execute("SELECT pg_sleep(30)")

    async def is_back() -> bool:
        with suppress(StoreUnavailable):
            async with transaction(pool) as connection:
                return bool(
                    await connection.fetchval("SELECT NOT bool_or(query ~ '^SELECT pg_sleep') FROM pg_stat_activity")
                )
        return False

    await eventually(is_back, what="the connection is whole again")
    pool.terminate()


async def test_a_server_that_stalls_once_the_work_is_done_does_not_undo_it(database_url: str) -> None:
    pool = await open_pool(database_url, name="stalls", size=1, statement_timeout=20)

    async with transaction(pool) as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    try:
        async with acquire(pool):
            os.kill(backend, signal.SIGSTOP)  # it can't make the connection ready for the next user
    finally:
        os.kill(backend, signal.SIGCONT)

    async with acquire(pool) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    pool.terminate()


@pytest.mark.parametrize(
    "statements",
    ["SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)", "SET TRANSACTION READ ONLY; CREATE TABLE x ()"],
    ids=["a server's statement_timeout", "a server that became a replica"],
)
async def test_what_a_server_refuses_for_a_while_is_store_unavailable(database_url: str, statements: str) -> None:
    pool = await open_pool(database_url, name="refused", size=1, statement_timeout=30)

    with pytest.raises(StoreUnavailable):
        async with transaction(pool) as connection:
            await connection.execute(statements)
    pool.terminate()


async def test_a_full_pool_is_busy_and_an_answering_server_is_not_called_lost(database_url: str) -> None:
    pool = await open_pool(database_url, name="busy", size=1, statement_timeout=20)

    async with acquire(pool):
        with pytest.raises(StoreBusy, match="in use"):
            await acquire(pool).__aenter__()

    async with acquire(pool) as connection:
        assert 1 == await connection.fetchval("SELECT 1")
    pool.terminate()


async def test_a_full_pool_whose_server_was_lost_is_not_called_busy(database_url: str) -> None:
    pool = await open_pool(database_url, name="lost", size=1, statement_timeout=0.2)
    with pytest.raises(StoreUnavailable):
        async with acquire(pool) as connection:
            await connection.execute("SELECT pg_sleep(30)")

    async with acquire(pool):
        with pytest.raises(StoreUnavailable) as lost:
            await acquire(pool).__aenter__()

    assert not isinstance(lost.value, StoreBusy)
    pool.terminate()
