"""`quotewell user` as an operator types it: against a real database."""

import asyncio
import json
import os
import pwd
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from api.app import create_app
from common.passwords import SCHEME, Passwords
from common.process.settings import Settings
from tests.api.conftest import Client, close
from tests.harness.polling import BUSY, eventually
from tests.ops.conftest import QUOTEWELL, Shell

ADA = ("ada", "ada@example.com")
PASSWORD, OTHER = "correct horse battery", "staple correct horse"
ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
AT_A_TERMINAL = "import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.fixture
async def api(settings: Settings, redis: Redis) -> AsyncIterator[Client]:
    """An API process on the operator's database."""
    client: Client = TestClient(TestServer(create_app(settings)))
    await client.start_server()
    yield client
    await close(client)


def create(shell: Shell, *words: str) -> dict[str, Any]:
    made: dict[str, Any] = shell.do("user", "create", *ADA, "--password-stdin", *words, stdin=PASSWORD)
    return made


def acts(shell: Shell) -> list[tuple[Any, ...]]:
    return shell.rows("SELECT event, actor, user_id FROM audit ORDER BY id")


def log_in(shell: Shell, times: int = 1) -> None:
    """Open logins as the API does."""
    shell.rows(f"INSERT INTO logins (user_id) SELECT id FROM users, generate_series(1, {times})")


def open_logins(shell: Shell) -> int:
    return int(shell.rows("SELECT count(*) FROM logins WHERE ended_at IS NULL")[0][0])


async def accepts(shell: Shell, password: str) -> bool:
    """Whether this is the password of the only account."""
    ((hashed, scheme),) = shell.rows("SELECT password_hash, password_scheme FROM users")
    assert scheme == SCHEME
    passwords = Passwords(cost=4)
    try:
        return await passwords.matches(password, hashed)
    finally:
        passwords.close()


async def test_a_created_account_has_the_password_from_stdin(shell: Shell) -> None:
    made = shell.do("user", "create", *ADA, "--password-stdin", stdin=f"{PASSWORD}\n")

    assert ("ada", "ada@example.com", "", False) == (made["username"], made["email"], made["scope"], made["locked"])
    assert ["user_created"] == made["events"]
    assert await accepts(shell, PASSWORD)
    assert [("user_created", ME, made["id"])] == acts(shell)


def test_an_account_may_be_an_operator_from_the_start(shell: Shell) -> None:
    made = create(shell, "--operator")

    assert "operator" == made["scope"]
    assert ["user_created", "operator_granted"] == [event for event, *_ in acts(shell)]


def test_an_operator_is_made_and_unmade_by_email_too(shell: Shell) -> None:
    create(shell)
    log_in(shell, times=2)
    made, left = shell.do("user", "operator", "ADA@example.com"), open_logins(shell)
    unmade = shell.do("user", "operator", "Ada", "--revoke")

    assert ("operator", 0, 2) == (made["scope"], made["logins_ended"], left)
    assert ("", 2, 0) == (unmade["scope"], unmade["logins_ended"], open_logins(shell))
    assert ["user_created", "operator_granted", "operator_revoked"] == [event for event, *_ in acts(shell)]


def test_another_right_of_an_account_stays(shell: Shell) -> None:
    create(shell, "--operator")
    shell.rows("UPDATE users SET scope = 'auditor operator'")

    assert "auditor" == shell.do("user", "operator", "ada", "--revoke")["scope"]
    assert "auditor operator" == shell.do("user", "operator", "ada")["scope"]


def test_a_locked_account_has_no_open_login(shell: Shell) -> None:
    create(shell)
    log_in(shell)
    locked = shell.do("user", "lock", "ada")

    assert (True, 1, 0) == (locked["locked"], locked["logins_ended"], open_logins(shell))
    assert shell.do("user", "unlock", "ada")["locked"] is False
    assert ["user_created", "user_locked", "user_unlocked"] == [event for event, *_ in acts(shell)]


async def test_a_lock_holds_at_the_api_within_a_second_and_until_it_is_opened(shell: Shell, api: Client) -> None:
    await asyncio.to_thread(create, shell)
    credentials = {"username": "ada", "password": PASSWORD}
    login = await api.post("/api/auth/login", json=credentials)
    headers = {"Authorization": f"Bearer {(await login.json())['access_token']}"}

    async def is_out() -> bool:
        return (await api.get("/api/auth/me", headers=headers)).status == 401

    assert not await is_out()
    await asyncio.to_thread(shell.do, "user", "lock", "ada")
    await eventually(is_out, within=1 + BUSY)
    while_locked = await api.post("/api/auth/login", json=credentials)
    await asyncio.to_thread(shell.do, "user", "unlock", "ada")
    unlocked = await api.post("/api/auth/login", json=credentials)

    assert (401, 200) == (while_locked.status, unlocked.status)


async def test_a_reset_gives_another_password_and_ends_all_logins(shell: Shell) -> None:
    create(shell)
    log_in(shell, times=3)
    ended = shell.do("user", "reset", "ada", "--password-stdin", stdin=OTHER)["logins_ended"]

    assert (3, 0) == (ended, open_logins(shell))
    assert (False, True) == (await accepts(shell, PASSWORD), await accepts(shell, OTHER))
    assert ["user_created", "password_reset"] == [event for event, *_ in acts(shell)]


@pytest.mark.parametrize("words", [["unlock", "ada"], ["operator", "ada", "--revoke"]])
def test_what_is_so_already_changes_nothing(shell: Shell, words: list[str]) -> None:
    create(shell)
    log_in(shell)
    answer = shell.do("user", *words)

    assert ([], 0, 1) == (answer["events"], answer["logins_ended"], open_logins(shell))
    assert ["user_created"] == [event for event, *_ in acts(shell)]


def test_an_account_is_shown_with_its_logins_and_acts(shell: Shell) -> None:
    made = create(shell)
    log_in(shell, times=2)
    shell.do("user", "operator", "ada")
    shown = shell.do("user", "show", "ada@example.com")

    assert (made["id"], "ada", "operator", False) == (shown["id"], shown["username"], shown["scope"], shown["locked"])
    assert 2 == shown["open_logins"]
    assert [("operator_granted", ME), ("user_created", ME)] == [(act["event"], act["actor"]) for act in shown["acts"]]
    assert "operator_granted" in shell.say("user", "show", "ada").stdout


def test_accounts_are_listed_oldest_first_and_in_pages(shell: Shell) -> None:
    create(shell, "--operator")
    shell.do("user", "create", "ben", "ben@example.com", "--password-stdin", stdin=PASSWORD)
    listed, second = shell.do("user", "list"), shell.do("user", "list", "--after", "1")
    found, printed = shell.do("user", "list", "--begins", "BEN@"), shell.say("user", "list", "--most", "1").stdout

    assert ([("ada", "operator"), ("ben", "")], 2) == (
        [(user["username"], user["scope"]) for user in listed["users"]],
        listed["total"],
    )
    assert [["ben"]] * 2 == [[user["username"] for user in report["users"]] for report in (second, found)]
    assert ("ada@example.com" in printed, "1 of 2; further ones: --after 1" in printed) == (True, True)


def test_a_deleted_account_leaves_its_number_in_the_audit(shell: Shell) -> None:
    made = create(shell)
    log_in(shell, times=2)
    shell.rows("INSERT INTO watchlist_items (user_id, symbol) SELECT id, 'IBM' FROM users")
    deleted = shell.do("user", "delete", "ADA@example.com", "--yes")

    assert ("ada", ["user_deleted"], 2) == (deleted["username"], deleted["events"], deleted["logins_ended"])
    assert (0, [(0,)]) == (open_logins(shell), shell.rows("SELECT watchers FROM symbols"))
    assert [] == shell.rows("SELECT id FROM users")
    assert ("user_deleted", ME, f"user:{made['id']}") == shell.rows("SELECT event, actor, subject FROM audit")[-1]


def test_without_a_terminal_a_deletion_must_be_confirmed_by_an_option(shell: Shell) -> None:
    create(shell)
    refused = shell.say("user", "delete", "ada", stdin="ada\n")

    assert (2, True) == (refused.returncode, "--yes: expected, for there is no terminal" in refused.stderr)
    assert 1 == len(shell.rows("SELECT id FROM users"))


@pytest.mark.parametrize(("typed", "code", "left"), [("ben", 1, 1), ("ada", 0, 0)])
async def test_at_a_terminal_a_deletion_is_confirmed_by_typing_the_name(
    shell: Shell, typed: str, code: int, left: int
) -> None:
    await asyncio.to_thread(create, shell)
    command = [sys.executable, "-c", AT_A_TERMINAL, str(QUOTEWELL), "user", "delete", "ada"]
    pipe = asyncio.subprocess.PIPE
    terminal = await asyncio.create_subprocess_exec(*command, env=shell.env, stdin=pipe, stdout=pipe)
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    prompt = await asyncio.wait_for(terminal.stdout.readuntil(b"Type the username: "), 30)
    terminal.stdin.write(f"{typed}\n".encode())
    rest, _ = await asyncio.wait_for(terminal.communicate(), 30)

    assert b"Delete ada (ada@example.com) for good?" in prompt
    assert (code, left) == (terminal.returncode, len(shell.rows("SELECT id FROM users"))), rest


def test_a_change_is_an_event_in_the_log_and_not_in_the_answer(shell: Shell) -> None:
    made = create(shell)
    done = shell.say("user", "lock", "ada")
    (logged,) = [json.loads(line) for line in done.stderr.splitlines()]

    assert ("user_locked", made["id"], ME) == (logged["event"], logged["user"], logged["actor"])
    assert f"ada ({made['id']}): user locked\n" == done.stdout


@pytest.mark.parametrize(
    "words", [["operator"], ["lock"], ["unlock"], ["reset", "--password-stdin"], ["show"], ["delete", "--yes"]]
)
def test_an_unknown_account_is_refused_in_one_sentence(shell: Shell, words: list[str]) -> None:
    refused = shell.say("user", *words, "nobody")

    assert 1 == refused.returncode
    assert (
        "quotewell: no account has the username or email 'nobody'; `quotewell user create` makes one\n"
        == refused.stderr
    )
    assert "" == refused.stdout


@pytest.mark.parametrize(
    ("names", "told"),
    [(("ADA", "other@example.com"), "with this username"), (("other", "ADA@EXAMPLE.COM"), "with this email")],
)
def test_a_taken_name_is_refused(shell: Shell, names: tuple[str, str], told: str) -> None:
    create(shell)
    refused = shell.say("user", "create", *names, "--password-stdin", stdin=PASSWORD)

    assert (1, True) == (refused.returncode, told in refused.stderr)
    assert 1 == len(acts(shell)) == len(shell.rows("SELECT id FROM users"))


def test_a_password_that_the_policy_refuses_is_refused(shell: Shell) -> None:
    refused = shell.say("user", "create", *ADA, "--password-stdin", stdin="seven77\n")

    assert (1, True) == (refused.returncode, "password: expected at least 8 characters" in refused.stderr)
    assert [] == acts(shell)


def test_the_policy_is_that_of_the_settings(shell: Shell) -> None:
    create(shell)
    strict = {"COMMON_PASSWORDS": "refuse", "PASSWORD_MIN_LENGTH": "12"}
    own = shell.say("user", "reset", "ada", "--password-stdin", stdin=ADA[1], **strict)
    short = shell.say("user", "reset", "ada", "--password-stdin", stdin="a" * 11, **strict)

    assert (1, True) == (own.returncode, "not your own name" in own.stderr)
    assert (1, True) == (short.returncode, "at least 12 characters" in short.stderr)


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (["create", "a ", "ada@example.com", "--password-stdin"], PASSWORD, "NAME: expected 3 to 32"),
        (["create", "ada", "nowhere", "--password-stdin"], PASSWORD, "EMAIL: expected an address"),
        (["create", "ada", "ada@example.com"], PASSWORD, "--password-stdin: expected"),
        (["create", "ada", "ada@example.com", "--password-stdin"], b"\xff" * 9, "password: expected UTF-8"),
        (["create", "ada", "ada@example.com", PASSWORD], "", "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(shell: Shell, words: list[str], stdin: str | bytes, told: str) -> None:
    refused = shell.say("user", *words, stdin=stdin)

    assert (2, True) == (refused.returncode, told in refused.stderr), refused.stderr


async def test_a_password_is_asked_for_twice_and_not_shown(shell: Shell) -> None:
    command = [sys.executable, "-c", AT_A_TERMINAL, str(QUOTEWELL), "user", "create", *ADA]
    terminal = await asyncio.create_subprocess_exec(
        *command, env=shell.env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    shown = b""
    for prompt, answer in [(b"Password", PASSWORD), (b"Once more", OTHER), (b"Password", OTHER), (b"Once more", OTHER)]:
        shown += await asyncio.wait_for(terminal.stdout.readuntil(prompt + b": "), 60)
        terminal.stdin.write(f"{answer}\n".encode())
    rest, _ = await asyncio.wait_for(terminal.communicate(), 60)

    assert (0, True) == (terminal.returncode, b"ada (1): user created" in rest), shown + rest
    assert await accepts(shell, OTHER)
    assert (False, False) == (PASSWORD.encode() in shown + rest, OTHER.encode() in shown + rest)
