"""Brings the database's functions to the text of `db/functions/NAME.sql`: one function a file, whole, so that a diff shows the change.

The hash of the text that was applied is kept, so a file is applied once. It runs after the migrations and under their lock, in one
transaction: no process ever sees half of it. A file that has gone takes its function along, and another signature replaces the old one.
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
    """Apply what is new or was changed, drop what has gone; the names of both. The error's notes name a function that fails."""
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
    """Drop all that were applied, for a rollback. One that a trigger needs stays, and goes with the migration that made the trigger."""
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
    """The overloads that were there before, and were not replaced, go."""
    before = _overloads(connection, name)
    try:
        try:
            with connection.transaction():
                connection.execute(text.encode())
        except psycopg.errors.InvalidFunctionDefinition:  # another return type: it cannot be replaced
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
