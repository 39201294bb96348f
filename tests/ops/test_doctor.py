"""`quotewell doctor`: what is wrong, how bad that is, and what to do; it costs no call."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.core.limits import PLANS, parse_limits
from common.operations.status import ProviderStatus
from common.process.settings import Settings
from ops.commands.checks import check_clock, check_disk, check_key, check_memory, check_provider, max_calls, place
from tests.ops.conftest import NOWHERE, Shell, Work
from tests.postgres_front import in_front_of, listening, refusing

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
GIB = 1 << 30
WELL = (
    "settings",
    "PostgreSQL",
    "migrations",
    "clock",
    "Redis",
    "Redis memory",
    "key",
    "limits",
    "worker",
    "beat",
    "provider",
    "disk",
)


def states(diagnosis: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in diagnosis["checks"]}


async def test_where_all_is_well_it_says_so_and_makes_no_call(beside: Shell, work: Work) -> None:
    async with work():
        await beside.ado("refresh", "AAPL")
        await beside.ado("status")
    made = beside.rows("SELECT max(id) FROM calls")
    diagnosis = beside.do("doctor")

    assert dict.fromkeys(WELL, "ok") == states(diagnosis)
    assert (0, 0, made) == (diagnosis["problems"], diagnosis["warnings"], beside.rows("SELECT max(id) FROM calls"))


def test_without_worker_and_beat_it_is_exit_code_1_and_says_what_to_start(shell: Shell) -> None:
    said = shell.say("doctor")

    assert (1, "") == (said.returncode, said.stderr)
    assert (
        "worker        problem: none was seen in the last minute; see that worker and beat run: `celery -A"
        in said.stdout
    )
    assert said.stdout.endswith("\n2 problems, no warnings\n")


@pytest.mark.parametrize(
    ("env", "code", "name", "state"),
    [
        (NOWHERE, 3, "PostgreSQL", "problem"),
        ({"REDIS_URL": "redis://127.0.0.1:9/0"}, 3, "Redis", "problem"),
        ({"PORT": "many"}, 2, "settings", "problem"),
        ({"JWT_SECRET_KEY": "short"}, 1, "settings", "warning"),
        ({"ALPHA_VANTAGE_API_KEY": "OURS"}, 1, "limits", "warning"),
        ({"READS": "accounts"}, 1, "reads", "warning"),
    ],
)
def test_each_thing_that_is_wrong_has_its_line(
    shell: Shell, env: dict[str, str], code: int, name: str, state: str
) -> None:
    said = shell.with_env(**env).do("doctor", code=code)

    assert state == states(said)[name]
    assert all(check["todo"] for check in said["checks"] if check["state"] != "ok")


def test_an_edited_migration_is_a_problem_and_a_newer_version_s_a_warning(shell: Shell) -> None:
    shell.do("migrate")
    shell.rows("UPDATE _yoyo_hash SET sha256 = 'other' WHERE migration_id = '0001.create-accounts'")
    edited = shell.say("doctor").stdout
    shell.rows("DELETE FROM _yoyo_hash")
    shell.rows("INSERT INTO _yoyo_migration SELECT 'h', '9999.later', now() FROM (SELECT 1) AS one")
    newer = shell.say("doctor").stdout

    assert "migrations    problem: edited after they ran: 0001.create-accounts; bring back the text" in edited
    assert "migrations    warning: unknown here: 9999.later; a newer version was deployed" in newer


@pytest.mark.parametrize(
    ("limits", "rule", "calls"),
    [
        ("5/1min", "5/1min", 5),
        ("1/2s,5/1min,25/1d", "25/1d", 25),
        ("1/2s", "5/1min", 30),
        ("25/1d", "5/1min", 25),
        ("5/1min", "25/1d", 7200),
        ("7/40s", "5/1min", 14),
    ],
)
def test_limits_are_held_against_a_plan_s_rule(limits: str, rule: str, calls: int) -> None:
    assert calls == max_calls(parse_limits(limits, "limits"), *parse_limits(rule, "rule"))


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_s_own_limits_are_within_it(settings: Settings, plan: str) -> None:
    ours = replace(settings, simulated=False, limits=PLANS[plan].limits)

    assert ["ok", "ok"] == [check.state for check in check_key(ours, {"ALPHA_VANTAGE_PLAN": plan})]


def test_production_without_a_key_is_warned_of(settings: Settings) -> None:
    key, _ = check_key(replace(settings, environment="production"), {})

    assert ("warning", "none, so prices are simulated") == (key.state, key.told)


@pytest.mark.parametrize(
    ("apart", "state"), [(0, "ok"), (0.9, "ok"), (-5, "warning"), (5, "warning"), (-31, "problem")]
)
def test_clocks_that_differ_are_told(apart: float, state: str) -> None:
    asked = NOW.timestamp()

    assert state == check_clock(asked, NOW + timedelta(seconds=apart), asked).state


def test_the_time_that_the_answer_took_is_no_difference() -> None:
    asked = NOW.timestamp()

    assert "the database's is this machine's" == check_clock(asked, NOW + timedelta(seconds=3), asked + 4).told


@pytest.mark.parametrize(
    ("used", "most", "policy", "state"),
    [
        (GIB, 0, "noeviction", "ok"),
        (GIB, 0, "allkeys-lru", "ok"),
        (GIB, 2 * GIB, "noeviction", "ok"),
        (GIB, 2 * GIB, "allkeys-lru", "warning"),
        (GIB, GIB, "noeviction", "warning"),
    ],
)
def test_a_redis_that_may_forget_or_refuse_is_warned_of(used: int, most: int, policy: str, state: str) -> None:
    assert state == check_memory({"used_memory": used, "maxmemory": most, "maxmemory_policy": policy}).state


@pytest.mark.parametrize(
    ("provider", "outcomes", "state", "told"),
    [
        (ProviderStatus("unknown"), {}, "ok", "no call yet"),
        (ProviderStatus("ok"), {"ok": 19, "in_flight": 1}, "ok", "19 ok, 1 in_flight"),
        (ProviderStatus("ok"), {"ok": 19, "throttled_minute": 1}, "warning", "others use the key"),
        (ProviderStatus("ok"), {"ok": 19, "bad_key": 1}, "problem", "ALPHA_VANTAGE_API_KEY"),
        (ProviderStatus("held", "operator", NOW), {"ok": 1}, "warning", "`quotewell budget release`"),
        (ProviderStatus("failing", "bad_key", NOW), {"bad_key": 1}, "problem", "ALPHA_VANTAGE_API_KEY"),
        (ProviderStatus("failing", "unavailable"), {"unavailable": 5}, "problem", "`quotewell calls`"),
    ],
)
def test_the_provider_s_last_answers_are_judged(
    provider: ProviderStatus, outcomes: dict[str, int], state: str, told: str
) -> None:
    check = check_provider(provider, Counter(outcomes))

    assert (state, True) == (check.state, told in f"{check.told} {check.todo}")


def test_the_disk_is_told_where_there_is_no_home_yet(tmp_path: Path) -> None:
    check = check_disk(tmp_path / "nothing")

    assert ("disk", True) == (check.name, check.told.endswith(f" at {Path().resolve()}"))


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://ada:secret@db.example:5432/quotes?password=secret", "quotes at db.example:5432"),
        ("postgresql://postgres@/quotes?host=/run", "quotes at a local socket"),
        ("rediss://:secret@cache.example:6380/1", "1 at cache.example:6380"),
        ("redis://cache.example", "by default at cache.example"),
    ],
)
def test_a_place_never_holds_a_password(url: str, where: str) -> None:
    assert where == place(url)


@pytest.mark.parametrize(
    ("sqlstate", "message", "todo"),
    [
        ("28P01", 'password authentication failed for user "ada"', "see that it runs"),
        ("53300", "sorry, too many clients already", "see that it runs"),
        ("3D000", 'database "d" does not exist', "see that it runs"),
        ("08P01", "unsupported startup parameter: idle_in_transaction_session_timeout", "add pgbouncer=true to it"),
        ("XX000", "Tenant or user not found", "see that it runs"),
    ],
)
async def test_a_database_that_refuses_is_told_in_its_own_words(
    shell: Shell, sqlstate: str, message: str, todo: str
) -> None:
    async with listening(refusing(sqlstate, message)) as port:
        url = f"postgresql://ada:CANARY@127.0.0.1:{port}/d?sslmode=disable"
        said = await asyncio.to_thread(lambda: shell.say("doctor", DATABASE_URL=url))

    assert (3, "") == (said.returncode, said.stderr)
    assert message in " ".join(said.stdout.split())
    assert todo in " ".join(said.stdout.split())
    assert "CANARY" not in said.stdout


async def test_a_database_without_tls_is_told_where_tls_is_required(shell: Shell, database_url: str) -> None:
    async with listening(in_front_of(database_url)) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/d?sslmode=require"
        said = await asyncio.to_thread(lambda: shell.say("doctor", DATABASE_URL=url))

    assert (3, "") == (said.returncode, said.stderr)
    assert "rejected SSL upgrade" in said.stdout


@pytest.mark.parametrize("command", ["doctor", "status", "migrate"])
def test_an_option_that_nobody_knows_is_exit_code_2_and_named(shell: Shell, command: str) -> None:
    url = "postgresql://ada:CANARY@h/d?sslmode=require&bogus=CANARY"
    said = shell.say(command, DATABASE_URL=url)

    assert 2 == said.returncode
    assert "DATABASE_URL: expected no option bogus" in said.stdout + said.stderr
    assert "CANARY" not in said.stdout + said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("options", ["pgbouncer=true&connection_limit=1", "keepalives=1&application_name=mine"])
async def test_all_is_well_by_a_url_with_options_of_other_libraries(
    beside: Shell, work: Work, options: str, database_url: str
) -> None:
    there = beside.with_env(DATABASE_URL=f"{database_url}&{options}")
    async with work():
        await there.ado("refresh", "AAPL")
        await there.ado("status")

    assert dict.fromkeys(WELL, "ok") == states(await there.ado("doctor"))
