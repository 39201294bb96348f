"""db/schema.sql is the schema that the migrations make."""

from tests.db.schema import SCHEMA, dump


def test_the_schema_file_is_what_the_migrations_make(database_url: str) -> None:
    assert SCHEMA.read_text() == dump(database_url), "run `make schema`"
