"""Compare a database's migrations with this code's: which are pending, and which were edited after they ran.

Yoyo identifies a migration by its name only. So the hash of what ran is stored beside yoyo's tables, and never overwritten.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from db.session import open_session

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Applied:
    """Ids in order. `pending`: not applied; `edited`: applied with another text; `foreign`: unknown to this version."""

    applied: list[str]
    pending: list[str]
    edited: list[str]
    foreign: list[str]


def note_applied(database_url: str, *, migrations: Path = MIGRATIONS) -> None:
    """Store the hashes of applied migrations; keep those already stored, and delete those of migrations that were rolled back."""
    hashes = _hashes(migrations)
    with open_session(database_url) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS _yoyo_hash (migration_id text PRIMARY KEY, sha256 text NOT NULL)"
        )
        connection.execute(
            "DELETE FROM _yoyo_hash WHERE migration_id NOT IN (SELECT migration_id FROM _yoyo_migration)"
        )
        connection.execute(
            """
            INSERT INTO _yoyo_hash SELECT migration_id, sha256
            FROM unnest(%s::text[], %s::text[]) AS ours (migration_id, sha256) JOIN _yoyo_migration USING (migration_id)
            ON CONFLICT (migration_id) DO NOTHING
            """,
            (list(hashes), list(hashes.values())),
        )


def select_applied(database_url: str, *, migrations: Path = MIGRATIONS) -> Applied:
    """Read the state; change nothing, also in a database that was never migrated."""
    ours = _hashes(migrations)
    with open_session(database_url, autocommit=True) as connection:
        ran = _select(connection, "_yoyo_migration", "SELECT migration_id, NULL FROM _yoyo_migration")
        kept = _select(connection, "_yoyo_hash", "SELECT migration_id, sha256 FROM _yoyo_hash")
    return Applied(
        applied=sorted(ran),
        pending=[name for name in ours if name not in ran],
        edited=[name for name in ours if name in ran and kept.get(name, ours[name]) != ours[name]],
        foreign=sorted(ran.keys() - ours.keys()),
    )


def _hashes(migrations: Path) -> dict[str, str | None]:
    paths = sorted(path for path in migrations.glob("*.sql") if not path.name.endswith(".rollback.sql"))
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _select(connection: psycopg.Connection, table: str, statement: str) -> dict[str, str | None]:
    """The rows as a dict; empty if the table does not exist yet."""
    (found,) = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() or (None,)
    return dict(connection.execute(statement.encode()).fetchall()) if found else {}
