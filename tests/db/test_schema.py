"""db/schema.sql is the schema that the migrations make."""

from tests.db.schema import SCHEMA, dump
from tests.e2e.canaries import rows
from tests.harness.database import empty


def test_the_schema_file_is_what_the_migrations_make(database_url: str) -> None:
    assert SCHEMA.read_text() == dump(database_url), "run `make schema`"


def test_an_emptied_database_has_the_rows_of_a_new_one(database_url: str) -> None:
    """Tests share a database that `empty` empties: what a migration inserts, it inserts again."""
    expected = list(rows(database_url))
    empty(database_url)

    assert expected == list(rows(database_url))
