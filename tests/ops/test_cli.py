"""The command line as a person types it: in a process of its own, with its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from common.core.staleness import lower_bound, zipf

QUOTEWELL = Path(sys.executable).with_name("quotewell")


def say(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Type a command; `env` goes over this process's own."""
    return subprocess.run([QUOTEWELL, *words], env={**os.environ, **env}, capture_output=True, text=True, check=False)


@pytest.fixture
def stores(store_urls: dict[str, str], database_url: str) -> dict[str, str]:
    """The environment of an operator."""
    return {"QUOTEWELL_ENV": "testing", "DATABASE_URL": database_url, "REDIS_URL": store_urls["REDIS_URL"]}


def held(database_url: str) -> tuple[object, ...] | None:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT held_for, held_until > now() + interval '23 hours' FROM ledgers").fetchone()


def test_a_plan_is_the_formulas_in_json() -> None:
    answer = json.loads(say("plan", "--symbols", "200", "--budget", "5/min", "--json").stdout)

    assert (200, 5.0) == (answer["symbols"], answer["calls_per_minute"])
    assert pytest.approx(lower_bound(zipf(200), 5)) == answer["mean_age_min"]
    assert 20.0 == answer["round_robin_min"]
    assert pytest.approx(1) == sum(row["reads"] for row in answer["classes"])


def test_a_plan_reads_as_a_table() -> None:
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
def test_a_plan_that_cannot_be_is_refused_with_exit_code_2(words: list[str], told: str) -> None:
    refused = say("plan", *words)

    assert 2 == refused.returncode
    assert told in refused.stderr


def test_an_operator_holds_all_calls_and_lets_them_go_on(stores: dict[str, str], database_url: str) -> None:
    told = json.loads(say("budget", "hold", "--for", "24h", "--json", **stores).stdout)

    assert ("operator", True) == held(database_url)
    assert told["held_until"].startswith("20")
    assert 0 == say("budget", "release", **stores).returncode
    assert (None, None) == held(database_url)


def test_a_duration_that_is_none_is_refused(stores: dict[str, str]) -> None:
    refused = say("budget", "hold", "--for", "soon", **stores)

    assert (2, True) == (refused.returncode, "--for: expected a duration" in refused.stderr)


def test_without_stores_a_command_says_what_is_missing() -> None:
    refused = say("budget", "hold", "--for", "1h", QUOTEWELL_ENV="production", DATABASE_URL="", REDIS_URL="")

    assert 2 == refused.returncode
    assert "DATABASE_URL: expected a URL" in refused.stderr


def test_a_store_that_does_not_answer_is_exit_code_1(stores: dict[str, str]) -> None:
    stores["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/nothing"
    refused = say("budget", "hold", "--for", "1h", **stores)

    assert (1, True) == (refused.returncode, "the database does not answer" in refused.stderr)
    assert "Traceback" not in refused.stderr
