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


def test_a_hold_is_told_with_what_ends_it(shell: Shell) -> None:
    shell.say("budget", "hold", "--for", "1h")
    said = shell.say("status")

    assert "(operator); `quotewell budget release` ends the hold" in said.stderr
    assert "held (operator) until" in said.stdout


@pytest.mark.parametrize(
    ("reason", "told"), [("bad_key", "see ALPHA_VANTAGE_API_KEY"), ("provider_down", "one call tries now and then")]
)
def test_a_provider_that_fails_is_told_with_when_it_is_tried_again(shell: Shell, reason: str, told: str) -> None:
    account = shell.do("budget")["account"]
    shell.rows(
        "INSERT INTO ledgers (account, held_until, held_for, probing) "
        f"VALUES ('{account}', ledger_now() + interval '15 minutes', '{reason}', true)"
    )
    said = shell.say("status")

    assert (1, True) == (said.returncode, f"failing ({reason}) until" in said.stdout)
    assert f"the provider fails ({reason}); " in said.stderr
    assert told in said.stderr


@pytest.mark.parametrize(
    ("away", "told"),
    [(NOWHERE, "the database does not answer"), ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "Redis does not answer")],
)
def test_it_answers_though_a_store_is_away(shell: Shell, away: dict[str, str], told: str) -> None:
    said = shell.say("status", **away)

    assert (3, 1) == (said.returncode, len(said.stderr.splitlines()))
    assert said.stderr.startswith(f"quotewell: {told}")
    assert "disconnected" in said.stdout
