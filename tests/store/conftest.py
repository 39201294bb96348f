"""A database whose ledger clock the test sets."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, in a session of the NYSE
TABLE = "CREATE TABLE test_clock AS SELECT %s::timestamptz AS at"
CLOCK = (
    "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM test_clock'"
)


class Clock:
    """The ledger's time, set by hand."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._ledger_now = connection.execute("SELECT pg_get_functiondef('ledger_now'::regproc)").fetchone()
        self.now = START
        connection.execute(TABLE, [START])
        connection.execute(CLOCK)

    def set(self, now: datetime) -> None:
        self.now = now
        self.connection.execute("UPDATE test_clock SET at = %s", [now])

    def restore(self) -> None:
        """Give the ledger its own time again."""
        assert self._ledger_now is not None
        self.connection.execute(self._ledger_now[0])
        self.connection.execute("DROP TABLE test_clock")

    def pass_(self, time: timedelta | float) -> None:
        """Let time pass: a duration, or seconds."""
        self.set(self.now + (time if isinstance(time, timedelta) else timedelta(seconds=time)))


@pytest.fixture
def clock(database_url: str) -> Iterator[Clock]:
    """Replaces the ledger's time in this test's database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '1s'")
        clock = Clock(connection)
        yield clock
        with suppress(psycopg.errors.LockNotAvailable):  # the next test gets a new database then
            clock.restore()
