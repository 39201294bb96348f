"""`quotewell user` as an operator types it: against a real database."""

import asyncio
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from api.app import create_app
from common.passwords import SCHEME, Passwords
from common.process.settings import Settings
from tests.api.conftest import Client, close, eventually, register
from tests.conftest import named
from tests.ops.conftest import QUOTEWELL
from tests.ops.prompt import Prompt

ADA = ("ada", "ada@example.com")
PASSWORD, OTHER = "correct horse battery", "staple correct horse"
ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
AT_A_TERMINAL = "import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class Operator:
    """Types commands in an environment."""

    def __init__(self, prompt: Prompt, env: dict[str, str]) -> None:
        self.prompt = prompt
        self.env = env

    def say(self, *words: str, stdin: str | bytes = PASSWORD, **env: str) -> subprocess.CompletedProcess[bytes]:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return self.prompt.run(["user", *words], self.env | env, given)

    def do(self, *words: str, stdin: str = PASSWORD) -> dict[str, Any]:
        """What a command that must succeed answers in JSON."""
        done = self.say(*words, "--json", stdin=stdin)
        assert 0 == done.returncode, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def create(self, *words: str) -> dict[str, Any]:
        return self.do("create", *ADA, "--password-stdin", *words)


@pytest.fixture
async def api(settings: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API process on the operator's database."""
    client: Client = TestClient(TestServer(create_app(settings)))
    await client.start_server()
    yield client
    await close(client)


@pytest.fixture
def operator(prompt: Prompt, store_urls: dict[str, str], database_url: str) -> Operator:
    stores = {"QUOTEWELL_ENV": "testing", "DATABASE_URL": database_url, "REDIS_URL": store_urls["REDIS_URL"]}
    return Operator(prompt, {**os.environ, **stores})


def rows(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(statement.encode()).fetchall()


def acts(database_url: str) -> list[tuple[Any, ...]]:
    return rows(database_url, "SELECT event, actor, user_id FROM audit ORDER BY id")


def log_in(database_url: str, times: int = 1) -> None:
    """Open logins as the API does."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO logins (user_id) SELECT id FROM users, generate_series(1, %s)", [times])


def open_logins(database_url: str) -> int:
    return int(rows(database_url, "SELECT count(*) FROM logins WHERE ended_at IS NULL")[0][0])


async def accepts(database_url: str, password: str) -> bool:
    """Whether this is the password of the only account."""
    ((hashed, scheme),) = rows(database_url, "SELECT password_hash, password_scheme FROM users")
    assert scheme == SCHEME
    passwords = Passwords(cost=4)
    try:
        return await passwords.matches(password, hashed)
    finally:
        passwords.close()


async def test_a_created_account_has_the_password_from_stdin(operator: Operator, database_url: str) -> None:
    made = operator.do("create", *ADA, "--password-stdin", stdin=f"{PASSWORD}\n")

    assert ("ada", "ada@example.com", "", False) == (made["username"], made["email"], made["scope"], made["locked"])
    assert ["user_created"] == made["events"]
    assert await accepts(database_url, PASSWORD)
    assert [("user_created", ME, made["id"])] == acts(database_url)


def test_an_account_may_be_an_operator_from_the_start(operator: Operator, database_url: str) -> None:
    made = operator.create("--operator")

    assert "operator" == made["scope"]
    assert ["user_created", "operator_granted"] == [event for event, *_ in acts(database_url)]


def test_an_operator_is_made_and_unmade_by_email_too(operator: Operator, database_url: str) -> None:
    operator.create()
    log_in(database_url, times=2)
    made, left = operator.do("operator", "ADA@example.com"), open_logins(database_url)
    unmade = operator.do("operator", "Ada", "--revoke")

    assert ("operator", 0, 2) == (made["scope"], made["logins_ended"], left)
    assert ("", 2, 0) == (unmade["scope"], unmade["logins_ended"], open_logins(database_url))
    assert ["user_created", "operator_granted", "operator_revoked"] == [event for event, *_ in acts(database_url)]


def test_another_right_of_an_account_stays(operator: Operator, database_url: str) -> None:
    operator.create("--operator")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET scope = 'auditor operator'")

    assert "auditor" == operator.do("operator", "ada", "--revoke")["scope"]
    assert "auditor operator" == operator.do("operator", "ada")["scope"]


def test_a_locked_account_has_no_open_login(operator: Operator, database_url: str) -> None:
    operator.create()
    log_in(database_url)
    locked = operator.do("lock", "ada")

    assert (True, 1, 0) == (locked["locked"], locked["logins_ended"], open_logins(database_url))
    assert operator.do("unlock", "ada")["locked"] is False
    assert ["user_created", "user_locked", "user_unlocked"] == [event for event, *_ in acts(database_url)]


@pytest.mark.parametrize("words", [["lock"], ["reset", "--password-stdin"], ["operator", "--revoke"]])
async def test_what_ends_all_logins_holds_at_the_api_within_a_second(
    operator: Operator, api: Client, words: list[str]
) -> None:
    await asyncio.to_thread(operator.create, "--operator")
    login = await api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {(await login.json())['access_token']}"}

    async def is_out() -> bool:
        return (await api.get("/api/auth/me", headers=headers)).status == 401

    assert not await is_out()
    await asyncio.to_thread(operator.do, *words, "ada", stdin=OTHER)
    await eventually(is_out, seconds=1)


async def test_nobody_logs_in_to_a_locked_account_until_it_is_open_again(operator: Operator, api: Client) -> None:
    await register(api, "ada")
    statuses = []
    for word in ("lock", "unlock"):
        await asyncio.to_thread(operator.do, word, "ada")
        response = await api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
        statuses.append(response.status)

    assert [401, 200] == statuses


async def test_a_reset_gives_another_password_and_ends_all_logins(operator: Operator, database_url: str) -> None:
    operator.create()
    log_in(database_url, times=3)
    ended = operator.do("reset", "ada", "--password-stdin", stdin=OTHER)["logins_ended"]

    assert (3, 0) == (ended, open_logins(database_url))
    assert (False, True) == (await accepts(database_url, PASSWORD), await accepts(database_url, OTHER))
    assert ["user_created", "password_reset"] == [event for event, *_ in acts(database_url)]


@pytest.mark.parametrize("words", [["unlock", "ada"], ["operator", "ada", "--revoke"]])
def test_what_is_so_already_changes_nothing(operator: Operator, database_url: str, words: list[str]) -> None:
    operator.create()
    log_in(database_url)
    answer = operator.do(*words)

    assert ([], 0, 1) == (answer["events"], answer["logins_ended"], open_logins(database_url))
    assert ["user_created"] == [event for event, *_ in acts(database_url)]


def test_an_account_is_shown_with_its_logins_and_acts(operator: Operator, database_url: str) -> None:
    made = operator.create()
    log_in(database_url, times=2)
    operator.do("operator", "ada")
    shown = operator.do("show", "ada@example.com")

    assert (made["id"], "ada", "operator", False) == (shown["id"], shown["username"], shown["scope"], shown["locked"])
    assert 2 == shown["open_logins"]
    assert [("operator_granted", ME), ("user_created", ME)] == [(act["event"], act["actor"]) for act in shown["acts"]]
    assert b"operator_granted" in operator.say("show", "ada").stdout


def test_a_change_is_an_event_in_the_log_and_not_in_the_answer(operator: Operator) -> None:
    made = operator.create()
    done = operator.say("lock", "ada")
    (logged,) = [json.loads(line) for line in done.stderr.splitlines()]

    assert ("user_locked", made["id"], ME) == (logged["event"], logged["user"], logged["actor"])
    assert f"ada ({made['id']}): user locked\n" == done.stdout.decode()


@pytest.mark.parametrize("words", [["operator"], ["lock"], ["unlock"], ["reset", "--password-stdin"], ["show"]])
def test_an_unknown_account_is_refused_in_one_sentence(operator: Operator, words: list[str]) -> None:
    refused = operator.say(*words, "nobody")

    assert 1 == refused.returncode
    assert (
        b"quotewell: no account has the username or email 'nobody'; `quotewell user create` makes one\n"
        == refused.stderr
    )
    assert b"" == refused.stdout


@pytest.mark.parametrize(
    ("names", "told"),
    [(("ADA", "other@example.com"), b"with this username"), (("other", "ADA@EXAMPLE.COM"), b"with this email")],
)
def test_a_taken_name_is_refused(operator: Operator, database_url: str, names: tuple[str, str], told: bytes) -> None:
    operator.create()
    refused = operator.say("create", *names, "--password-stdin")

    assert (1, True) == (refused.returncode, told in refused.stderr)
    assert 1 == len(acts(database_url)) == len(rows(database_url, "SELECT id FROM users"))


def test_a_password_that_the_policy_refuses_is_refused(operator: Operator, database_url: str) -> None:
    refused = operator.say("create", *ADA, "--password-stdin", stdin="seven77\n")

    assert (1, True) == (refused.returncode, b"password: expected at least 8 characters" in refused.stderr)
    assert [] == acts(database_url)


def test_the_policy_is_that_of_the_settings(operator: Operator) -> None:
    operator.create()
    strict = {"COMMON_PASSWORDS": "refuse", "PASSWORD_MIN_LENGTH": "12"}
    own = operator.say("reset", "ada", "--password-stdin", stdin=ADA[1], **strict)
    short = operator.say("reset", "ada", "--password-stdin", stdin="a" * 11, **strict)

    assert (1, True) == (own.returncode, b"not your own name" in own.stderr)
    assert (1, True) == (short.returncode, b"at least 12 characters" in short.stderr)


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (["create", "a b", "ada@example.com", "--password-stdin"], PASSWORD, b"NAME: expected 3 to 32"),
        (["create", "ada", "nowhere", "--password-stdin"], PASSWORD, b"EMAIL: expected an address"),
        (["create", "ada", "ada@example.com"], PASSWORD, b"--password-stdin: expected"),
        (["create", "ada", "ada@example.com", "--password-stdin"], b"\xff" * 9, b"password: expected UTF-8"),
        (["create", "ada", "ada@example.com", PASSWORD], "", b"unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(operator: Operator, words: list[str], stdin: str | bytes, told: bytes) -> None:
    refused = operator.say(*words, stdin=stdin)

    assert (2, True) == (refused.returncode, told in refused.stderr), refused.stderr


def test_a_database_that_does_not_answer_is_exit_code_3(operator: Operator) -> None:
    refused = operator.say("lock", "ada", DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")

    assert (3, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert refused.stderr.startswith(b"quotewell: the database does not answer; nothing was written; see that it runs")


def test_a_database_that_is_not_migrated_is_exit_code_3(operator: Operator) -> None:
    refused = operator.say("lock", "ada", DATABASE_URL=named(operator.env["DATABASE_URL"], "postgres"))

    assert (3, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert b"`quotewell migrate`" in refused.stderr


async def test_a_password_is_asked_for_twice_and_not_shown(operator: Operator, database_url: str) -> None:
    command = [sys.executable, "-c", AT_A_TERMINAL, str(QUOTEWELL), "user", "create", *ADA]
    terminal = await asyncio.create_subprocess_exec(
        *command, env=operator.env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    shown = b""
    for prompt, answer in [(b"Password", PASSWORD), (b"Once more", OTHER), (b"Password", OTHER), (b"Once more", OTHER)]:
        shown += await asyncio.wait_for(terminal.stdout.readuntil(prompt + b": "), 20)
        terminal.stdin.write(f"{answer}\n".encode())
    rest, _ = await asyncio.wait_for(terminal.communicate(), 20)

    assert (0, True) == (terminal.returncode, b"ada (1): user created" in rest), shown + rest
    assert await accepts(database_url, OTHER)
    assert (False, False) == (PASSWORD.encode() in shown + rest, OTHER.encode() in shown + rest)
