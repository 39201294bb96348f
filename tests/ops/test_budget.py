"""`quotewell budget` as an operator types it."""

from common.process.resources import Resources
from ops.arguments import actor
from tests.ops.conftest import Shell, Work


async def test_the_budget_tells_every_limit_and_who_spent_it(beside: Shell, work: Work, resources: Resources) -> None:
    async with work():
        await beside.ado("refresh", "IBM", "ORCL")  # neither is pinned, so no first quote of theirs is under way
    budget = await beside.ado("budget")
    ours = [part for part in budget["spent"] if (part["window"], part["class"]) == ("hour", "operator")]

    assert resources.budget.account == budget["account"]
    assert [("1000/1min", 1000, 60.0)] == [(row["limit"], row["calls"], row["period_s"]) for row in budget["limits"]]
    assert budget["limits"][0]["used"] + budget["limits"][0]["free"] == 1000
    assert [("ok", 2)] == [(part["outcome"], part["calls"]) for part in ours]
    assert (None, 0) == (budget["next_free_at"], budget["next_free_s"])


def test_the_budget_reads_as_tables(shell: Shell) -> None:
    shown = shell.say("budget").stdout

    assert "next call  at once\n" in shown
    assert ["1000/1min", "0", "1000", "now"] in [line.split() for line in shown.splitlines()]
    assert "no call in the last day" in shown


def test_a_hold_stands_in_the_budget_and_in_the_audit_until_it_is_released(shell: Shell) -> None:
    held = shell.do("budget", "hold", "--for", "24h")
    shown = shell.say("budget").stdout
    released = shell.do("budget", "release")

    assert ("operator", True) == (held["held_for"], 86_300 < held["next_free_s"] <= 86_400)
    assert ": operator" in shown
    assert "next call  in 24.0 h, at " in shown
    assert (None, None) == (released["held_until"], released["held_for"])
    assert [("calls_held", actor()), ("calls_released", actor())] == shell.rows(
        "SELECT event, actor FROM audit ORDER BY id"
    )


def test_an_option_before_the_verb_is_refused_and_not_lost(shell: Shell) -> None:
    refused = shell.say("budget", "--json", "hold", "--for", "1h")

    assert (2, "quotewell: options: expected after `hold`, not before it\n") == (refused.returncode, refused.stderr)
    assert [] == shell.rows("SELECT * FROM audit")
