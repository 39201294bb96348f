"""No secret leaks: real processes go through every failure, and then all that they wrote is searched for planted secrets."""

import asyncio
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from redis import Redis

from common.errors import InvalidSettings
from common.process.settings import Settings
from tests.e2e.canaries import Canaries, Written, command_lines, logs, rows, values
from tests.e2e.client_errors import CLIENT_ERRORS
from tests.e2e.environment import open_environment
from tests.e2e.server_faults import SERVER_FAULTS, end_all
from tests.harness.processes import API, BEAT, WORKER

HASH = re.compile(rb"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
TESTING = {"QUOTEWELL_ENV": "testing", "DATABASE_URL": "postgresql:///q", "REDIS_URL": "redis://h/0"}
KINDS = ("logs", "answers", "Redis", "tables", "command lines")
# Log lines that show that each failure took place.
EXPECTED_LINES = [
    ("web.log", "request_failed"),
    ("web.log", "request_malformed"),
    ("web.log", "call_refused"),
    ("web.log", "token_reused"),
    ("web.log", '"lost"'),
    ("web.log", "Current configuration"),  # gunicorn's, at its level debug
    ("readable-api.log", "Traceback"),
    ("readable-api.log", "[debug    ]"),
    ("worker.log", "call_refused"),
    ("worker.log", "WorkerLostError"),
    ("worker.log", "TaskPool: Apply"),  # Celery's, at the level DEBUG
    ("refused-api.log", "AuthenticationError"),
    ("refused-worker.log", ".> transport:"),
    ("refused-beat.log", "invalid username-password pair"),
    ("refused-migrate.log", "password authentication failed"),
    ("inspect-conf.log", "broker_url"),
    ("inspect-report.log", "broker_url"),
    ("operator.log", "user created"),
    ("postgres.log", "password authentication failed"),
    ("commands.log", '"celery:quotewell'),
    ("commands.log", "request_id"),  # a worker was woken by a request
    ("commands.log", "(redacted)"),
]


@dataclass(frozen=True, slots=True)
class WrittenTexts:
    """What was written during the run, by kind, and the secrets that must not be in it."""

    written: dict[str, list[Written]]
    canaries: Canaries


async def run_all() -> WrittenTexts:
    """Every failure, one after another."""
    async with open_environment() as environment:
        for failure in (*CLIENT_ERRORS, *SERVER_FAULTS):
            await failure(environment)
        shown = list(command_lines(environment.stack.processes))
        await end_all(environment)
        written = (
            list(logs(environment.stack.folder)),
            environment.answers,
            [*environment.redis_values, *values(environment.stack.redis.url())],
            list(rows(environment.stack.postgres.url())),
            shown,
        )
        return WrittenTexts(dict(zip(KINDS, written, strict=True)), environment.canaries)


@pytest.fixture(scope="module")
def seen() -> WrittenTexts:
    return asyncio.run(run_all())


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_stands_in_what_was_written_on_paths_that_fail(kind: str, seen: WrittenTexts) -> None:
    found = seen.canaries.find(seen.written[kind])

    assert [] == found, "\n".join(found)


def test_the_paths_led_where_they_should(seen: WrittenTexts) -> None:
    told = dict(seen.written["logs"])

    assert [] == [(name, text) for name, text in EXPECTED_LINES if text.encode() not in told[name]]
    assert all(seen.written.values())


def test_no_hash_of_a_password_leaves_its_table(seen: WrittenTexts) -> None:
    theirs = ("postgres.log", "the table users")  # what PostgreSQL writes for itself, its own settings say
    written = [each for kind in seen.written.values() for each in kind]

    assert [] == [place for place, text in written if place not in theirs and HASH.search(text)]


@pytest.mark.parametrize("command", [API, WORKER, BEAT], ids=["api", "worker", "beat"])
def test_a_process_does_not_repeat_a_password_that_it_takes_for_a_port(command: Sequence[str]) -> None:
    canaries = Canaries()
    env = {**TESTING, "REDIS_URL": f"redis://u:{canaries.plant('a password', '{0}/{0}')}@h/0"}

    ended = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)

    assert [] == canaries.find([("its output", ended.stdout + ended.stderr)])
    assert (2, True) == (ended.returncode, b"REDIS_URL" in ended.stderr)


@pytest.mark.parametrize("odd", ["/", "?", "#"])
@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_password_that_is_not_escaped_is_refused_without_being_repeated(name: str, odd: str) -> None:
    canaries = Canaries()
    odd_url = f"{TESTING[name].partition(':')[0]}://u:{canaries.plant('a password', f'{{0}}{odd}{{0}}')}@h/0"
    with pytest.raises(InvalidSettings, match=name) as refusal:
        Settings.from_env({**TESTING, name: odd_url})

    assert [] == canaries.find([("the message", str(refusal.value).encode())])


SPELLINGS: list[tuple[str, Callable[[str], bytes]]] = [
    ("as it is", str.encode),
    ("in capitals", lambda secret: secret.upper().encode()),
    ("in small letters", lambda secret: secret.lower().encode()),
    ("in a URL", lambda secret: f"redis://:{quote(f'ö/{secret}@', safe='')}@host".encode()),
    ("in JSON", lambda secret: f'{{"password": "\\u00f6{secret}"}}'.encode()),
    ("in hex", lambda secret: f"\\x{secret.encode().hex()}".encode()),
    ("in base64", lambda secret: b64encode(secret.encode())),
    ("in base64 after one", lambda secret: b64encode(b"a" + secret.encode() + b"bc")),
    ("in base64 after two", lambda secret: b64encode(b"ab" + secret.encode() + b"c")),
    ("among other bytes", lambda secret: b"\xff\x00" + secret.encode() + b"\xfe"),
    ("cut short", lambda secret: b"x" * 99 + secret.encode()),
]


@pytest.mark.parametrize("spell", [spell for _, spell in SPELLINGS], ids=[name for name, _ in SPELLINGS])
def test_a_secret_is_found_in_each_spelling(spell: Callable[[str], bytes]) -> None:
    canaries = Canaries()
    canaries.plant("another")
    secret = canaries.plant("a secret")
    [found] = canaries.find([("a quiet place", b"nothing"), ("a log", b"before " + spell(secret) + b" after")])

    assert found.startswith("a secret in a log: ")


@pytest.mark.parametrize("part", [slice(None), slice(20), slice(-20, None)])
def test_a_token_is_found_by_either_end(part: slice) -> None:
    canaries = Canaries()
    token = "GqZ3vXw9kB1nYt7uRc5sLd2fHj8mQe4a0PzVxTiKo6W"  # pragma: allowlist secret
    canaries.add("a token", token)

    assert 1 == len(canaries.find([("an answer", token[part].encode())]))


def test_what_is_no_secret_is_not_found() -> None:
    canaries = Canaries()
    assert [] == canaries.find([("nowhere", b"anything")])
    secret = canaries.plant("a secret")

    assert [] == canaries.find([("a log", secret[1:].encode() + secret[:-1].encode()), ("nowhere", b"")])


def test_a_secret_in_a_log_file_is_found(tmp_path: Path) -> None:
    canaries = Canaries()
    (tmp_path / "api.log").write_text(f"a line\nGET /?token={canaries.plant('a token')}\n")
    (tmp_path / "worker.log").write_text("a line\n")
    [found] = canaries.find(logs(tmp_path))

    assert found.startswith("a token in api.log: ")


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("string", ("SET", "k", "{}")),
        ("string", ("SET", "{}", "v")),
        ("hash", ("HSET", "k", "field", "{}")),
        ("hash", ("HSET", "k", "{}", "value")),
        ("list", ("LPUSH", "k", '{{"body": "{}"}}', "more")),
        ("set", ("SADD", "k", "{}")),
        ("zset", ("ZADD", "k", "1", "{}")),
        ("stream", ("XADD", "k", "*", "body", "{}")),
    ],
)
async def test_a_secret_in_any_value_of_redis_is_found(
    kind: str, command: tuple[str, ...], store_urls: dict[str, str], redis: object
) -> None:
    canaries = Canaries()
    secret = canaries.plant("a password")
    with Redis.from_url(store_urls["REDIS_URL"]) as client:
        client.set("quiet", "nothing")
        client.execute_command(*(word.format(secret) for word in command))
    [found] = canaries.find(values(store_urls["REDIS_URL"]))

    assert found.startswith(f"a password in the {kind} ")


@pytest.mark.parametrize("kind", ["text", "bytea", "text[]", "jsonb"])
def test_a_secret_in_any_table_is_found(kind: str, database_url: str) -> None:
    canaries = Canaries()
    secret = canaries.plant("a ticket")
    value = {"text": secret, "bytea": secret.encode(), "text[]": [secret], "jsonb": f'{{"a": "{secret}"}}'}[kind]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE "Odd name" (id int, held {kind})'.encode())
        connection.execute('INSERT INTO "Odd name" VALUES (1, NULL), (2, %s)', [value])
    [found] = canaries.find(rows(database_url))

    assert found.startswith('a ticket in the table "Odd name": ')


def test_a_secret_in_the_list_of_processes_is_found() -> None:
    canaries = Canaries()
    command = [sys.executable, "-c", "print(flush=True); input()", canaries.plant("a key")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # until it runs, its command line may be empty: Linux writes that last
        found = canaries.find(command_lines({"api": process}))
        process.communicate(b"\n")

    assert ["a key in the command line of api"] == [each.partition(":")[0] for each in found]
