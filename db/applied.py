"""What a database says about its migrations, beside this code's: which are lacking, and whether one was edited since it ran.

Yoyo knows a migration by its name alone. So the hash of what ran is kept beside yoyo's own tables, and is never written twice.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from db.session import open_session

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Applied:
    """Ids in order. `pending`: not applied; `edited`: applied with another text; `foreign`: applied by another version of this code."""

    applied: list[str]
    pending: list[str]
    edited: list[str]
    foreign: list[str]


def note_applied(database_url: str, *, migrations: Path = MIGRATIONS) -> None:
    """Keep the hashes of what is applied; those that are kept already stay as they are, and what was rolled back is forgotten."""
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
    """Reads only: a database that was never migrated stays as it is."""
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
    """Empty where there is no such table yet."""
    (found,) = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() or (None,)
    return dict(connection.execute(statement.encode()).fetchall()) if found else {}
