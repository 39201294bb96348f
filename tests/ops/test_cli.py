"""The command line as a person types it, with its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from common.core.budget.staleness import lower_bound, zipf
from ops.cli import COMMANDS, load
from tests.harness.database import named
from tests.ops.conftest import NOWHERE, Shell
from tests.ops.prompt import Prompt

Say = Callable[..., subprocess.CompletedProcess[str]]

CANARY = "hunter2hunter2hunter2"
OF_THE_DATABASE = [
    ["symbols"],
    ["symbols", "pin", "AAPL"],
    ["symbols", "release", "AAPL"],
    ["budget"],
    ["budget", "hold", "--for", "1h"],
    ["budget", "release"],
    ["calls"],
    ["calls", "--follow"],
    ["line"],
    ["audit"],
    ["refresh", "AAPL", "--no-wait"],
    ["refresh", "--watched", "--no-wait"],
    ["job", "1", "--no-wait"],
    ["user", "lock", "ada"],
    ["user", "show", "ada"],
]


@pytest.fixture
def say(prompt: Prompt) -> Say:
    """Types a command; its environment goes over this process's own."""
    return lambda *words, **env: Shell(prompt, dict(os.environ)).say(*words, **env)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["plan", "--symbols", "200", "--budget", "5/min"], 0),
        (["job", "99"], 1),
        (["statsu"], 2),
        (["line"], 3),
    ],
)
def test_the_program_and_the_tests_prompt_say_the_same(shell: Shell, words: list[str], code: int) -> None:
    env = NOWHERE if code == 3 else {}
    program, prompted = shell.spawn(*words, **env), shell.say(*words, **env)

    assert code == program.returncode == prompted.returncode
    assert (program.stdout, program.stderr) == (prompted.stdout, prompted.stderr)


def test_a_plan_is_the_formulas_in_json(say: Say) -> None:
    answer = json.loads(say("plan", "--symbols", "200", "--budget", "5/min", "--json").stdout)

    assert (200, 5.0) == (answer["symbols"], answer["calls_per_minute"])
    assert pytest.approx(lower_bound(zipf(200), 5)) == answer["mean_age_min"]
    assert 20.0 == answer["round_robin_min"]
    assert pytest.approx(1) == sum(row["reads"] for row in answer["classes"])


def test_a_plan_reads_as_a_table(say: Say) -> None:
    shown = say("plan", "--symbols", "200", "--budget", "5/min,500/d")

    assert 0 == shown.returncode
    assert "most wanted" in shown.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--symbols", "20", "--budget", "5/mn"], "--budget: expected rules such as 5/min"),
        (["--symbols", "10", "--budget", "5/min,10/d"], "leaves nothing for 10 symbols"),
        (["--symbols", "0", "--budget", "5/min"], "--symbols"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_exit_code_2(say: Say, words: list[str], told: str) -> None:
    refused = say("plan", *words)

    assert 2 == refused.returncode
    assert told in refused.stderr


def test_a_duration_that_is_none_is_refused(shell: Shell) -> None:
    refused = shell.say("budget", "hold", "--for", "soon")

    assert (2, True) == (refused.returncode, "--for: expected a duration" in refused.stderr)


def test_without_stores_a_command_says_what_is_missing(say: Say) -> None:
    refused = say("budget", "hold", "--for", "1h", QUOTEWELL_ENV="production", DATABASE_URL="", REDIS_URL="")

    assert 2 == refused.returncode
    assert "DATABASE_URL: expected a URL" in refused.stderr


@pytest.mark.parametrize("words", OF_THE_DATABASE, ids=" ".join)
def test_a_database_that_is_away_is_exit_code_3_and_one_sentence(shell: Shell, words: list[str]) -> None:
    refused = shell.say(*words, **NOWHERE)

    assert (3, 1, "") == (refused.returncode, len(refused.stderr.splitlines()), refused.stdout)
    assert refused.stderr.startswith("quotewell: the database does not answer; nothing was written; see that it runs")


def test_a_database_that_is_not_migrated_is_exit_code_3_and_one_sentence(shell: Shell) -> None:
    url = named(shell.env["DATABASE_URL"], "postgres")
    refused = [shell.say(*words, DATABASE_URL=url) for words in [*OF_THE_DATABASE, ["status"]]]

    assert {(3, 1)} == {(each.returncode, len(each.stderr.splitlines())) for each in refused}
    assert all(
        each.stderr.endswith("does not exist; see that DATABASE_URL is right, then `quotewell migrate`\n")
        for each in refused
    )


def test_no_command_prints_a_secret(shell: Shell) -> None:
    looks = [["status"], ["doctor"], ["migrate"]]
    acts = [words for words in OF_THE_DATABASE if "--follow" not in words]
    parts = urlsplit(shell.env["DATABASE_URL"])
    canaries = {
        "DATABASE_URL": parts._replace(netloc=f"postgres:{CANARY}@{parts.netloc.rpartition('@')[2]}").geturl(),
        "REDIS_URL": f"redis://:{CANARY}@127.0.0.1:9/0",
        "ALPHA_VANTAGE_API_KEY": CANARY,
        "JWT_SECRET_KEY": CANARY * 3,
        "LOG_LEVEL": "DEBUG",
    }
    away = canaries | {"DATABASE_URL": f"postgresql://ada:{CANARY}@127.0.0.1:9/x?password={CANARY}"}
    said = [shell.say(*each, **canaries) for each in looks + acts] + [shell.say(*each, **away) for each in looks]
    said.append(shell.spawn(*looks[0], **canaries))

    assert not any(CANARY in each.stdout + each.stderr for each in said)
    assert not any("Traceback" in each.stderr for each in said)


def test_the_help_imports_no_client_of_a_store() -> None:
    """They take half a second, which is for those who need them."""
    code = "import sys, ops.cli; print(sorted({'aiohttp', 'asyncpg', 'celery', 'redis', 'psycopg'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_all_says_what_the_command_s_own_help_says(name: str) -> None:
    """The first is read without importing the second."""
    own = load(name).help.partition("\n\n")[0].replace("\n", " ")

    assert own.startswith(COMMANDS[name][1].removesuffix("."))


def test_a_command_that_is_not_there_is_wrong_usage_and_the_nearest_is_named(say: Say) -> None:
    refused = say("statsu")

    assert (2, True) == (refused.returncode, "Did you mean 'status'" in refused.stderr)


@pytest.mark.parametrize("words", [["calls", "--before"], ["audit", "--account"], ["symbols", "--skip"]], ids=" ".join)
def test_a_number_that_no_table_holds_is_wrong_usage(shell: Shell, words: list[str]) -> None:
    refused = shell.say(*words, "9" * 20)

    assert (2, True) == (refused.returncode, words[1] in refused.stderr)


def test_what_is_no_terminal_gets_plain_lines(shell: Shell) -> None:
    shell.do("symbols", "pin", "IBM")
    shown = shell.say("symbols").stdout

    assert shown.isascii()
    assert shown.splitlines() == [line.rstrip() for line in shown.splitlines()]
