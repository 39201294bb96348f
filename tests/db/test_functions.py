"""Functions are applied by the hash of their text: new ones, changed ones, other signatures, and none twice."""

from pathlib import Path

import psycopg
import pytest

from db.functions import FUNCTIONS, apply_functions
from db.migrate import migrate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "one", "one() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.sql").write_text(f"CREATE OR REPLACE FUNCTION {text};\n")


def value(url: str, call: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT {call}".encode()).fetchone()
    return row and row[0]


def signatures(url: str, name: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = %s ORDER BY 1", [name]
        ).fetchall()
    return [signature for (signature,) in rows]


@pytest.fixture
def url(database_url: str) -> str:
    """A database that knows nothing of our own functions: those of this test alone are applied."""
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM _function_hash")
    return database_url


def test_a_function_is_applied_once_and_again_when_its_text_changes(url: str, folder: Path) -> None:
    assert (["one"], []) == (apply_functions(url, functions=folder), apply_functions(url, functions=folder))
    write(folder, "one", "one() RETURNS integer LANGUAGE sql AS 'SELECT 11'")
    assert ["one"] == apply_functions(url, functions=folder)
    assert 11 == value(url, "one()")


@pytest.mark.parametrize(
    "text",
    ["one(p integer) RETURNS integer LANGUAGE sql AS 'SELECT p'", "one() RETURNS text LANGUAGE sql AS 'SELECT ''a'''"],
)
def test_another_signature_replaces_the_old_one(url: str, folder: Path, text: str) -> None:
    apply_functions(url, functions=folder)
    write(folder, "one", text)
    apply_functions(url, functions=folder)

    assert 1 == len(signatures(url, "one"))
    assert ["one(integer)" if "p integer" in text else "one()"] == signatures(url, "one")


def test_a_file_that_has_gone_takes_its_function_along(url: str, folder: Path) -> None:
    apply_functions(url, functions=folder)
    (folder / "one.sql").unlink()

    assert ["one"] == apply_functions(url, functions=folder)
    assert [] == signatures(url, "one")


def test_a_function_that_fails_is_named_and_changes_nothing(url: str, folder: Path) -> None:
    write(folder, "two", "two() RETURNS nonsense LANGUAGE sql AS 'SELECT 1'")

    with pytest.raises(psycopg.Error) as raised:
        apply_functions(url, functions=folder)

    assert ["in the function two"] == raised.value.__notes__
    assert [] == signatures(url, "one")


def test_a_file_holds_the_one_function_of_its_name(database_url: str) -> None:
    for path in FUNCTIONS.glob("*.sql"):
        assert 1 == path.read_text().count("CREATE OR REPLACE FUNCTION"), path.name
        assert 1 == len(signatures(database_url, path.stem)), path.name


def test_an_older_release_brings_its_own_functions_back(database_url: str, folder: Path) -> None:
    """A deploy that is rolled back migrates nothing, and must find the functions that its code calls."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE _function_hash SET sha256 = 'of a later release' WHERE name = 'decayed'")
        connection.execute(
            "CREATE OR REPLACE FUNCTION decayed(p_reads double precision, p_at timestamptz, p_now timestamptz, p_half_life interval)"
            " RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 0::float8'"
        )

    assert [] == migrate(database_url)

    assert 1.0 == value(database_url, "decayed(2, now() - interval '1 day', now(), interval '1 day')")
