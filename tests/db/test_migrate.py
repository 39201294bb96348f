import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from common.errors import InvalidSettings, StoreUnavailable
from common.process.servers import Postgres
from db import migrate as module
from db.migrate import main, migrate, rollback

MIGRATOR = """
import pathlib, sys
from db.migrate import migrate
print(len(migrate(sys.argv[1], migrations=pathlib.Path(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="quotewell-") as home:
        server = Postgres(Path(home), throwaway=True)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
        yield postgres.url("fresh")
        connection.execute("DROP DATABASE fresh WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001.create-a", "CREATE TABLE IF NOT EXISTS a (id int)", "DROP TABLE a")
    write(tmp_path, "0002.create-b", "CREATE TABLE IF NOT EXISTS b (id int)", "DROP TABLE b")
    return tmp_path


def write(folder: Path, name: str, up: str, down: str = "SELECT 1") -> None:
    (folder / f"{name}.sql").write_text(f"{up};\n")
    (folder / f"{name}.rollback.sql").write_text(f"{down};\n")


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE tablename IN ('a', 'b') ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def start_migrator(url: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", MIGRATOR, url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_activity(url: str, pattern: str, *, expected: bool) -> None:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE %s"
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(sql, (pattern,)).fetchone() != (int(expected),):
            assert time.monotonic() < deadline, f"waited for {pattern} in vain"
            time.sleep(0.02)


def test_migrations_are_applied_in_order_and_once(database: str, folder: Path) -> None:
    first = migrate(database, migrations=folder)
    second = migrate(database, migrations=folder)

    assert first == ["0001.create-a", "0002.create-b"]
    assert second == []
    assert tables(database) == ["a", "b"]


def test_a_database_goes_up_down_and_up_again(database: str, folder: Path) -> None:
    migrate(database, migrations=folder)

    assert rollback(database, migrations=folder) == ["0002.create-b", "0001.create-a"]
    assert tables(database) == []
    assert migrate(database, migrations=folder) == ["0001.create-a", "0002.create-b"]


def test_a_url_may_say_postgres_and_bring_options_of_its_own(database: str, folder: Path) -> None:
    url = database.replace("postgresql:", "postgres:") + "&options=-c%20search_path%3Dpublic&connect_timeout=3"

    assert len(migrate(url, migrations=folder)) == 2


def test_two_migrators_at_once_apply_each_migration_once(database: str, folder: Path) -> None:
    write(folder, "0003.be-slow", "INSERT INTO a SELECT 1 FROM pg_sleep(0.5)")
    migrators = [start_migrator(database, folder) for _ in range(2)]

    ended = [(migrator.communicate(timeout=60)[0].strip(), migrator.returncode) for migrator in migrators]

    assert sorted(ended) == [("0", 0), ("3", 0)]


def test_a_waiting_migrator_does_not_stall_a_concurrent_index(database: str, folder: Path) -> None:
    write(folder, "0003.be-slow", "INSERT INTO a SELECT 1 FROM pg_sleep(0.5)")
    index = "-- transactional: false\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_id ON a (id)"
    write(folder, "0004.index-a", index, "-- transactional: false\nDROP INDEX CONCURRENTLY a_id")
    migrators = [start_migrator(database, folder) for _ in range(2)]

    ended = [(migrator.communicate(timeout=60)[0].strip(), migrator.returncode) for migrator in migrators]

    assert sorted(ended) == [("0", 0), ("4", 0)]


def test_after_a_kill_9_midway_its_sql_stops_and_the_next_migration_succeeds(database: str, folder: Path) -> None:
    write(folder, "0003.be-slow", "SELECT pg_sleep(600)")
    killed = start_migrator(database, folder)
    wait_for_activity(database, "%pg_sleep(600)%", expected=True)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    wait_for_activity(database, "%pg_sleep(600)%", expected=False)
    with psycopg.connect(database) as connection:
        left_over = connection.execute("SELECT count(*) FROM yoyo_lock").fetchone()
    write(folder, "0003.be-slow", "SELECT 1")

    applied = migrate(database, migrations=folder)

    assert left_over == (1,)
    assert applied == ["0003.be-slow"]


def test_a_failing_migration_changes_nothing_and_is_named(database: str, folder: Path) -> None:
    write(folder, "0003.fail", "INSERT INTO a VALUES (1); SELECT 1 / 0")

    with pytest.raises(psycopg.Error) as raised:
        migrate(database, migrations=folder)

    assert raised.value.__notes__ == ["in 0003.fail"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM a").fetchone() == (0,)
    write(folder, "0003.fail", "INSERT INTO a VALUES (1)")
    assert migrate(database, migrations=folder) == ["0003.fail"]


def test_a_migrator_that_waits_too_long_says_so(database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 0.2)
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (module.ADVISORY_LOCK,))

        with pytest.raises(StoreUnavailable, match="another migration"):
            migrate(database, migrations=folder)


def test_a_folder_without_migrations_is_refused(database: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="expected migrations"):
        migrate(database, migrations=tmp_path)


def test_the_command_says_in_one_line_what_it_did(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr(module, "MIGRATIONS", folder)

    codes = (main(), main())

    assert codes == (0, 0)
    assert capsys.readouterr().out == "applied 2 migrations\nnothing to apply\n"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", 2),
        ("mysql://user:hunter2@localhost/x", 2),
        ("user:hunter2@localhost/x", 2),
        ("postgresql://user:hunter2@localhost:hunter2/x", 2),
        ("postgresql://user:hunter2@127.0.0.1:1/x", 1),
        ("postgresql://user:hunter2@127.0.0.1:1/x?connect_timeout=hunter2", 2),
    ],
)
def test_a_wrong_url_is_named_and_its_password_is_not_repeated(
    url: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    exit_code = main()

    said = capsys.readouterr()
    assert exit_code == code
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "hunter2" not in said.err
    assert "DATABASE_URL" in said.err or "migration failed" in said.err


@pytest.mark.parametrize(
    "options",
    ["pgbouncer=true", "schema=public&connection_limit=1", "keepalives=1&connect_timeout=5", "options=-c%20jit%3Doff"],
)
def test_migrations_run_by_a_url_with_options_of_other_libraries(database: str, folder: Path, options: str) -> None:
    url = f"{database}&{options}"

    assert 2 == len(migrate(url, migrations=folder))
    assert 2 == len(rollback(url, migrations=folder))


def test_through_a_pooler_a_second_migrator_waits_for_the_first(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{database}&pgbouncer=true"
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 0.3)
    with module._alone(url), pytest.raises(StoreUnavailable, match="another migration"):
        migrate(url, migrations=folder)

    assert 2 == len(migrate(url, migrations=folder))
