"""What a database says of its migrations: lacking, edited after they ran, or another version's."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from db.applied import Applied, note_applied, select_applied
from db.migrate import migrate, rollback
from tests.harness.database import named


@pytest.fixture
def empty(store_urls: dict[str, str]) -> str:
    """The URL of an empty database."""
    with psycopg.connect(store_urls["DATABASE_URL"], autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS applied WITH (FORCE)")
        server.execute("CREATE DATABASE applied TEMPLATE template1")
    return named(store_urls["DATABASE_URL"], "applied")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a migration, and returns the folder."""

    def to_folder(name: str, text: str) -> Path:
        (tmp_path / f"{name}.sql").write_text(text)
        (tmp_path / f"{name}.rollback.sql").write_text("SELECT 1")
        return tmp_path

    return to_folder


def test_what_never_ran_is_pending_and_nothing_is_written(empty: str, write: Callable[[str, str], Path]) -> None:
    folder = write("0001.a", "SELECT 1")

    assert Applied([], ["0001.a"], [], []) == select_applied(empty, migrations=folder)
    with psycopg.connect(empty) as connection:
        assert [] == connection.execute("SELECT relname FROM pg_class WHERE relname ~ 'yoyo'").fetchall()


def test_a_migration_that_was_edited_after_it_ran_is_found(empty: str, write: Callable[[str, str], Path]) -> None:
    folder = write("0001.a", "SELECT 1")
    migrate(empty, migrations=folder)
    well = select_applied(empty, migrations=folder)
    write("0001.a", "SELECT 2")
    note_applied(empty, migrations=folder)

    assert Applied(["0001.a"], [], [], []) == well
    assert Applied(["0001.a"], [], ["0001.a"], []) == select_applied(empty, migrations=folder)


def test_what_ran_before_hashes_were_kept_is_not_called_edited(empty: str, write: Callable[[str, str], Path]) -> None:
    folder = write("0001.a", "SELECT 1")
    migrate(empty, migrations=folder)
    with psycopg.connect(empty) as connection:
        connection.execute("DROP TABLE _yoyo_hash")
    write("0001.a", "SELECT 2")

    assert [] == select_applied(empty, migrations=folder).edited


def test_what_was_rolled_back_may_come_again_with_another_text(empty: str, write: Callable[[str, str], Path]) -> None:
    folder = write("0001.a", "SELECT 1")
    migrate(empty, migrations=folder)
    rollback(empty, migrations=folder)
    write("0001.a", "SELECT 2")
    migrate(empty, migrations=folder)

    assert Applied(["0001.a"], [], [], []) == select_applied(empty, migrations=folder)


def test_a_migration_of_another_version_is_foreign(empty: str, write: Callable[[str, str], Path]) -> None:
    folder = write("0002.b", "SELECT 1")
    migrate(empty, migrations=folder)
    (folder / "0002.b.sql").unlink()
    write("0001.a", "SELECT 1")

    assert Applied(["0002.b"], ["0001.a"], [], ["0002.b"]) == select_applied(empty, migrations=folder)
