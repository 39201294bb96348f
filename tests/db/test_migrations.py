"""The real migrations: each goes up, down and up again, bears being run twice, and is never edited once it was released."""

import hashlib
from pathlib import Path

import psycopg
import pytest

from db.applied import MIGRATIONS
from db.migrate import migrate, rollback
from tests.harness.database import named

HASHES = Path(__file__).with_name("migrations.sha256")
UP = sorted(path for path in MIGRATIONS.glob("*.sql") if not path.name.endswith(".rollback.sql"))
OURS = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '%yoyo%'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
ORDER BY 1
"""


@pytest.fixture
def empty(store_urls: dict[str, str]) -> str:
    """The URL of an empty database."""
    with psycopg.connect(store_urls["DATABASE_URL"], autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS migrations WITH (FORCE)")
        server.execute("CREATE DATABASE migrations TEMPLATE template1")
    return named(store_urls["DATABASE_URL"], "migrations")


def objects(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute(OURS).fetchall()]


def run(connection: psycopg.Connection, path: Path) -> None:
    connection.execute(path.read_bytes())


def test_each_migration_goes_up_down_and_up_and_bears_being_run_twice(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        for path in UP:
            before = objects(connection)
            run(connection, path)
            after = objects(connection)
            run(connection, path)
            assert after == objects(connection), f"{path.name} twice"
            run(connection, path.with_suffix(".rollback.sql"))
            assert before == objects(connection), f"{path.name} down"
            run(connection, path)
            assert after == objects(connection), f"{path.name} up again"


def test_all_go_up_down_and_up_by_the_command(empty: str) -> None:
    names = [path.stem for path in UP]

    assert names == migrate(empty)
    assert [] == migrate(empty)
    assert names[::-1] == rollback(empty)
    with psycopg.connect(empty) as connection:
        assert [] == objects(connection)
    assert names == migrate(empty)


def test_no_migration_was_edited() -> None:
    """yoyo knows a migration by its name alone: an edited one that is applied already goes unnoticed. Write a new one instead."""
    seen = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in UP]

    assert HASHES.read_text().splitlines() == seen
