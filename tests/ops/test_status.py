"""`quotewell status`: one glance, and an exit code for scripts."""

import pytest

from tests.ops.conftest import NOWHERE, Shell, Work


async def test_all_is_well_while_a_worker_works(beside: Shell, work: Work) -> None:
    async with work():
        await beside.ado("refresh", "AAPL")
        status = await beside.ado("status")

    assert ("healthy", "connected", "connected") == (status["status"], status["database"], status["redis"])
    assert ("ok", "ok", 1) == (status["provider"]["state"], status["beat"]["state"], len(status["workers"]))


def test_without_a_worker_it_says_what_to_start(shell: Shell) -> None:
    said = shell.say("status")

    assert 1 == said.returncode
    assert said.stdout.startswith("status     degraded: Quotewell ")
    assert said.stderr.startswith(
        "quotewell: no worker was seen in the last 20 s; see that worker and beat run: `celery"
    )
    assert 1 == len(said.stderr.splitlines())


def test_beat_alone_may_be_what_is_missing(shell: Shell) -> None:
    shell.rows(
        "INSERT INTO pulses VALUES ('worker@here:1', ledger_now()), ('beat', ledger_now() - interval '1 minute')"
    )
    said = shell.say("status")

    assert (1, True) == (
        said.returncode,
        said.stderr.startswith("quotewell: beat does not tick; start it with `celery"),
    )
    assert "beat       late, ticked 1.0 min ago" in said.stdout


@pytest.mark.parametrize(
    ("reason", "state", "remedy"),
    [
        ("operator", "held", "`quotewell budget release` ends the hold"),
        ("bad_key", "failing", "see ALPHA_VANTAGE_API_KEY"),
        ("provider_down", "failing", "one call tries now and then"),
    ],
)
def test_why_no_call_goes_is_told_with_what_to_do(shell: Shell, reason: str, state: str, remedy: str) -> None:
    account = shell.do("budget")["account"]
    shell.rows(
        "INSERT INTO ledgers (account, held_until, held_for, probing) "
        f"VALUES ('{account}', ledger_now() + interval '15 minutes', '{reason}', true)"
    )
    said = shell.say("status")

    assert (1, True) == (said.returncode, f"{state} ({reason}) until" in said.stdout)
    assert f"({reason}); " in said.stderr
    assert remedy in said.stderr


@pytest.mark.parametrize(
    ("away", "told"),
    [(NOWHERE, "the database does not answer"), ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "Redis does not answer")],
)
def test_it_answers_though_a_store_is_away(shell: Shell, away: dict[str, str], told: str) -> None:
    said = shell.say("status", **away)

    assert (3, 1) == (said.returncode, len(said.stderr.splitlines()))
    assert said.stderr.startswith(f"quotewell: {told}")
    assert "disconnected" in said.stdout
