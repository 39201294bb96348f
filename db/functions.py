"""Bring the database's functions to the texts in `db/functions/NAME.sql`: one whole function a file, so that a diff shows each change.

The hash of each applied text is stored, so a file is applied once. All of it runs in one transaction, after the migrations and under
their lock, so no process sees half of it. If a file is gone, its function is dropped; a changed signature replaces the old function.
"""

import hashlib
from pathlib import Path

import psycopg

from db.session import open_session

FUNCTIONS = Path(__file__).parent / "functions"
HASH_TABLE = "CREATE TABLE IF NOT EXISTS _function_hash (name text PRIMARY KEY, sha256 text NOT NULL)"
OVERLOADS = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname = %s"
)
SESSION_OPTIONS = "-c client_connection_check_interval=1s"


def apply_functions(database_url: str, *, functions: Path = FUNCTIONS) -> list[str]:
    """Apply new and changed functions, drop those whose file is gone; return the names of both. An error's notes name the function."""
    ours = {path.stem: path.read_text() for path in sorted(functions.glob("*.sql"))}
    with open_session(database_url, settings=SESSION_OPTIONS) as connection:
        connection.execute("SET LOCAL check_function_bodies = off")
        connection.execute(HASH_TABLE)
        applied: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM _function_hash").fetchall())
        changed = [name for name, text in ours.items() if applied.get(name) != _hash(text)]
        gone = [name for name in applied if name not in ours]
        for name in changed:
            _apply(connection, name, ours[name])
        for name in gone:
            _drop(connection, name, _overloads(connection, name))
    return changed + gone


def forget_functions(database_url: str) -> None:
    """Drop all applied functions, for a rollback. One that a trigger uses stays until the trigger's migration is rolled back."""
    with open_session(database_url) as connection:
        connection.execute(HASH_TABLE)
        for (name,) in connection.execute("SELECT name FROM _function_hash").fetchall():
            try:
                with connection.transaction():
                    _drop(connection, name, _overloads(connection, name))
            except psycopg.errors.DependentObjectsStillExist:
                pass
        connection.execute("DROP TABLE _function_hash")


def _apply(connection: psycopg.Connection, name: str, text: str) -> None:
    """Apply one function, and drop the overloads that it does not replace."""
    before = _overloads(connection, name)
    try:
        try:
            with connection.transaction():
                connection.execute(text.encode())
        except psycopg.errors.InvalidFunctionDefinition:  # the return type changed, so it cannot be replaced
            _drop(connection, name, before)
            before = set()
            connection.execute(text.encode())
    except psycopg.Error as error:
        error.add_note(f"in the function {name}")
        raise
    if len(_overloads(connection, name)) > 1:
        _drop(connection, name, before)
    connection.execute(
        "INSERT INTO _function_hash VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256",
        (name, _hash(text)),
    )


def _drop(connection: psycopg.Connection, name: str, overloads: set[str]) -> None:
    for signature in overloads:
        connection.execute(f"DROP FUNCTION {signature}".encode())  # as the server itself quotes it
    connection.execute("DELETE FROM _function_hash WHERE name = %s", (name,))


def _overloads(connection: psycopg.Connection, name: str) -> set[str]:
    return {signature for (signature,) in connection.execute(OVERLOADS, (name,)).fetchall()}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
