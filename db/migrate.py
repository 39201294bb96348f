"""Bring the database to this code's schema: `python -m db.migrate`, on top of yoyo.

Yoyo's lock is a row, which outlives a killed process. So an advisory lock of PostgreSQL, which ends with its session, surrounds
everything, and its holder may delete the row. A killed migrator's SQL ends within a second (`client_connection_check_interval`).
Yoyo applies a migration and marks it in two transactions: each migration may run twice, and must tolerate it.
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

ADVISORY_LOCK = 7_305_808_869_229_538_660  # an arbitrary number; the ledger's lock has another
LOCK_TIMEOUT = 60.0  # seconds
LOCK_SESSION = "SELECT pg_try_advisory_lock(%s)"
LOCK_TRANSACTION = "SELECT pg_try_advisory_xact_lock(%s)"
SESSION = "-c client_connection_check_interval=1s"


def migrate(database_url: str, *, migrations: Path = MIGRATIONS) -> list[str]:
    """Apply pending migrations in order, then the functions in the folder beside them; return the ids of the migrations.

    A migration that fails is rolled back and named in the error's notes, and no further one runs.
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
    """Roll back all applied migrations, the last one first; return the ids. Only for tests."""
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
    """Yoyo's backend, under the lock. Behind a pooler it prepares no statements."""
    with _alone(database_url), get_backend(_driver_url(database_url)) as backend:
        if read_address(database_url).pooled:
            backend.connection.prepare_threshold = None
        backend.break_lock()  # a live migrator would hold the advisory lock, so the row is stale
        with backend.lock():
            yield backend


@contextmanager
def _alone(database_url: str) -> Iterator[None]:
    """Hold the advisory lock. It is polled: a statement that waits for the lock would block CREATE INDEX CONCURRENTLY forever.

    Behind a pooler a session lasts only as long as a transaction, so the lock is the transaction's. Idle and READ COMMITTED, that
    transaction does not block CREATE INDEX CONCURRENTLY either.
    """
    pooled = read_address(database_url).pooled
    deadline = time.monotonic() + LOCK_TIMEOUT
    with open_session(database_url, autocommit=not pooled) as connection:
        if pooled:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        attempt = LOCK_TRANSACTION if pooled else LOCK_SESSION
        while connection.execute(attempt, (ADVISORY_LOCK,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"another migration has been running for {LOCK_TIMEOUT:g} s; start again when it is done"
                )
            time.sleep(0.1)
        yield


def _driver_url(database_url: str) -> str:
    """The URL in yoyo's form for psycopg 3, with this module's session settings after the operator's."""
    return f"postgresql+psycopg:///?{urlencode(keywords(database_url, SESSION))}"


def failure(error: Exception) -> str:
    """One line about an error, without the URL: only texts of the server or of this code are repeated."""
    if isinstance(error, (InvalidSettings, StoreUnavailable)):
        return str(error)
    if isinstance(error, (psycopg.ProgrammingError, ValueError)) and not getattr(error, "sqlstate", None):
        return "DATABASE_URL: expected a URL such as postgresql://user:password@host:5432/database"
    first = str(error).strip().partition("\n")[0]
    return ": ".join(["migration failed", *getattr(error, "__notes__", []), first])


def main() -> int:
    """Print one line; return 0, 2 for a wrong setting, or 1 for a failure that may be retried."""
    os.environ.setdefault("LOGNAME", "quotewell")  # yoyo logs the user's name, and a container's user may have none
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
