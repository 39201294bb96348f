"""`quotewell symbols` as an operator types it."""

import pytest

from ops.arguments import actor
from tests.ops.conftest import Shell

FAILING = """
INSERT INTO symbols (symbol, watchers) VALUES ('DEAD', 3);
INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
VALUES ('{}', 'DEAD', ledger_now(), 2, ledger_now() + interval '1 hour')
"""


def account(shell: Shell) -> str:
    return str(shell.do("budget")["account"])


def test_the_wanted_symbols_are_listed_heaviest_first(shell: Shell) -> None:
    shell.rows("INSERT INTO symbols (symbol, watchers) VALUES ('AAPL', 3), ('MSFT', 7), ('IBM', 0)")
    report = shell.do("symbols", "--sort", "weight")
    second = shell.do("symbols", "--sort", "weight", "--most", "1", "--skip", "1")

    assert (2, ["MSFT", "AAPL"]) == (report["total"], [row["symbol"] for row in report["symbols"]])
    assert (2, ["AAPL"]) == (second["total"], [row["symbol"] for row in second["symbols"]])


def test_a_pinned_symbol_is_wanted_until_it_is_unpinned(shell: Shell) -> None:
    pinned, again = shell.do("symbols", "pin", "brk.b"), shell.say("symbols", "pin", "BRK-B")
    listed = shell.do("symbols", "--only", "pinned")
    unpinned = shell.do("symbols", "unpin", "BRK-B")

    assert ("BRK-B", True, True) == (pinned["symbol"], pinned["kept"], pinned["changed"])
    assert "BRK-B: was so already, nothing changed\n" == again.stdout
    assert ["BRK-B"] == [row["symbol"] for row in listed["symbols"]]
    assert (False, 0) == (unpinned["pinned"], shell.do("symbols")["total"])
    assert [("symbol_pinned", actor(), "BRK-B"), ("symbol_unpinned", actor(), "BRK-B")] == shell.rows(
        "SELECT event, actor, subject FROM audit ORDER BY id"
    )


def test_a_symbol_in_quarantine_is_shown_and_released(shell: Shell) -> None:
    shell.rows(FAILING.format(account(shell)))
    shown = shell.say("symbols", "--only", "quarantined").stdout
    released = shell.say("symbols", "release", "dead")

    assert "failed 2x, rests until " in shown
    assert "1 of 1 quarantined symbols" in shown
    assert "DEAD: released, it is refreshed like the others\n" == released.stdout
    assert [] == shell.rows("SELECT failures, quarantined_until FROM attempts")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["release", "AAPL"], "AAPL does not fail"),
        (["unpin", "IBM"], "IBM is not pinned"),
        (["unpin", "AAPL"], "AAPL is one of OVERVIEW_SYMBOLS"),
        (["pin", "a b"], "expected a symbol of 1 to 20 characters"),
    ],
)
def test_an_act_that_makes_no_sense_is_refused_in_one_sentence(shell: Shell, words: list[str], told: str) -> None:
    refused = shell.say("symbols", *words)

    assert (1, 1, "") == (refused.returncode, len(refused.stderr.splitlines()), refused.stdout)
    assert refused.stderr.startswith(f"quotewell: {told}")
