"""`quotewell migrate` as an operator types it; what migrations do is tested in tests/db."""

import psycopg
import pytest

from db.applied import MIGRATIONS, select_applied
from tests.harness.database import named
from tests.ops.conftest import NOWHERE, Shell

UP = sorted(path.stem for path in MIGRATIONS.glob("*.sql") if not path.name.endswith(".rollback.sql"))


@pytest.fixture
def fresh(shell: Shell, store_urls: dict[str, str]) -> Shell:
    """A shell with a database that was never migrated."""
    with psycopg.connect(store_urls["DATABASE_URL"], autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        server.execute("CREATE DATABASE fresh TEMPLATE template1")
    return shell.with_env(DATABASE_URL=named(store_urls["DATABASE_URL"], "fresh"))


def test_a_fresh_database_is_migrated_once_and_the_hashes_are_kept(fresh: Shell) -> None:
    applied, again = fresh.do("migrate"), fresh.say("migrate")

    assert ({"applied": UP}, "nothing to apply\n") == (applied, again.stdout)
    assert [] == select_applied(fresh.env["DATABASE_URL"]).pending
    assert len(UP) == len(fresh.rows("SELECT * FROM _yoyo_hash"))


def test_a_fresh_database_is_the_doctors_problem(fresh: Shell) -> None:
    said = fresh.say("doctor")

    assert 1 == said.returncode
    assert f"problem: {len(UP)} not applied, from 0001.create-accounts on; run `quotewell migrate`" in said.stdout


def test_a_database_that_is_away_is_exit_code_3_and_one_sentence(shell: Shell) -> None:
    refused = shell.say("migrate", **NOWHERE)

    assert (3, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "see that the database runs, and that DATABASE_URL leads to it" in refused.stderr
