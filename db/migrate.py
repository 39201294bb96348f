"""Brings the database to this code's schema: `python -m db.migrate`. It knows yoyo, its lock and its gaps; it knows no table of ours.

Yoyo's lock is a row that outlives a killed process. So one advisory lock of PostgreSQL, which ends with its session, stands around
everything, and whoever holds it may break the row. A killed migrator's SQL ends within a second (`client_connection_check_interval`).
Yoyo applies and marks in two transactions: a migration may run twice, and has to bear it.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from yoyo import get_backend, read_migrations

from common.errors import InvalidSettings, StoreUnavailable
from common.process.environment import database_url
from common.store.connection.address import read_address
from db.applied import MIGRATIONS, note_applied
from db.functions import apply_functions, forget_functions
from db.session import keywords, open_session

ADVISORY_LOCK = 7_305_808_869_229_538_660  # a number of our own among the advisory locks of the database
LOCK_SECONDS = 60.0
LOCK_SESSION = "SELECT pg_try_advisory_lock(%s)"
LOCK_TRANSACTION = "SELECT pg_try_advisory_xact_lock(%s)"
SESSION = "-c client_connection_check_interval=1s"


def migrate(database_url: str, *, migrations: Path = MIGRATIONS) -> list[str]:
    """Apply what is not applied, in order, then the functions beside them; return the ids of the migrations.

    A failing one is rolled back, named in the error's notes, and stops.
    """
    with _yoyo(database_url) as backend:
        pending = backend.to_apply(_read(migrations))
        for migration in pending:
            with _named(migration.id):
                backend.apply_one(migration)
        note_applied(database_url, migrations=migrations)
        apply_functions(database_url, functions=migrations.with_name("functions"))
        return [migration.id for migration in pending]


def rollback(database_url: str, *, migrations: Path = MIGRATIONS) -> list[str]:
    """Roll back all that is applied, the last one first; return the ids. For the test that walks down, and for nothing else."""
    with _yoyo(database_url) as backend:
        applied = backend.to_rollback(_read(migrations))
        forget_functions(database_url)
        for migration in applied:
            with _named(migration.id):
                backend.rollback_one(migration)
        note_applied(database_url, migrations=migrations)
        return [migration.id for migration in applied]


def _read(migrations: Path) -> Any:
    if not any(migrations.glob("*.sql")):
        raise InvalidSettings(f"expected migrations in {migrations}, not none")
    return read_migrations(str(migrations))


@contextmanager
def _named(migration: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        error.add_note(f"in {migration}")
        raise


@contextmanager
def _yoyo(database_url: str) -> Iterator[Any]:
    """Yoyo's backend. Through a pooler no statement stays prepared."""
    with _alone(database_url), get_backend(_driver_url(database_url)) as backend:
        if read_address(database_url).pooled:
            backend.connection.prepare_threshold = None
        backend.break_lock()  # no live migrator can hold the row: it would hold the advisory lock
        with backend.lock():
            yield backend


@contextmanager
def _alone(database_url: str) -> Iterator[None]:
    """Hold the advisory lock. It is tried for, not waited for: a waiting statement would stall CREATE INDEX CONCURRENTLY for ever.

    A pooler keeps no session for us but within a transaction; an idle one of READ COMMITTED stalls nothing either.
    """
    pooled = read_address(database_url).pooled
    deadline = time.monotonic() + LOCK_SECONDS
    with open_session(database_url, autocommit=not pooled) as connection:
        if pooled:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        attempt = LOCK_TRANSACTION if pooled else LOCK_SESSION
        while connection.execute(attempt, (ADVISORY_LOCK,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"another migration has been running for {LOCK_SECONDS:g} s; start again when it is done"
                )
            time.sleep(0.1)
        yield


def _driver_url(database_url: str) -> str:
    """The URL in yoyo's spelling, for psycopg 3, with our session's settings after the operator's own."""
    return f"postgresql+psycopg:///?{urlencode(keywords(database_url, SESSION))}"


def failure(error: Exception) -> str:
    """One line without the URL: only what the server itself, or our own code, says is repeated."""
    if isinstance(error, (InvalidSettings, StoreUnavailable)):
        return str(error)
    if isinstance(error, (psycopg.ProgrammingError, ValueError)) and not getattr(error, "sqlstate", None):
        return "DATABASE_URL: expected a URL such as postgresql://user:password@host:5432/database"
    first = str(error).strip().partition("\n")[0]
    return ": ".join(["migration failed", *getattr(error, "__notes__", []), first])


def main() -> int:
    """Print one line; exit with 0, with 2 for a wrong setting, with 1 if it failed and may be tried again."""
    os.environ.setdefault("LOGNAME", "quotewell")  # yoyo logs a user name; a container's user may have none
    try:
        applied = migrate(database_url(os.environ), migrations=MIGRATIONS)
    except (InvalidSettings, StoreUnavailable, psycopg.Error, ValueError) as error:
        print(failure(error), file=sys.stderr)
        return 2 if isinstance(error, InvalidSettings) else 1
    count = f"{len(applied)} migration{'s' * (len(applied) != 1)}"
    print(f"applied {count}" if applied else "nothing to apply")
    return 0


if __name__ == "__main__":
    sys.exit(main())
