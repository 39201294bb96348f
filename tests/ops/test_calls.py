"""`quotewell calls`, `line` and `audit` as an operator types them."""

import asyncio
import json

import pytest

from ops.arguments import actor
from tests.ops.conftest import Shell, Work, interrupt, typed


async def test_the_journal_is_newest_last_and_filtered(beside: Shell, work: Work) -> None:
    async with work():
        await beside.ado("refresh", "IBM", "ZZZZQ", code=1)
    failed = await beside.ado("calls", "--outcome", "no_data")
    ours = await beside.ado("calls", "--symbol", "ibm", "--class", "operator")
    shown = beside.say("calls", "--most", "2").stdout

    assert [["ZZZZQ"]] == [call["subjects"] for call in failed["calls"]]
    assert [("ok", "operator")] == [(call["outcome"], call["class"]) for call in ours["calls"]]
    assert ["at", "symbols", "outcome"] == shown.split()[:3]
    assert "older ones: --before " in shown


async def test_followed_calls_are_printed_once_as_they_end(beside: Shell, work: Work) -> None:
    async with work():  # symbols that background does not want: it would serve them in its own name
        await beside.ado("refresh", "IBM")
        async with typed(beside, "calls", "--follow", "--json", "--class", "operator") as following:
            assert following.stdout is not None
            first = json.loads(await asyncio.wait_for(following.stdout.readline(), 60))
            await beside.ado("refresh", "ORCL", "ZZZZQ", code=1)
            more = [json.loads(await asyncio.wait_for(following.stdout.readline(), 60)) for _ in range(2)]
            code, rest, told = await interrupt(following)

    assert (["IBM"], "ok") == (first["subjects"], first["outcome"])
    assert {"ORCL": "ok", "ZZZZQ": "no_data"} == {call["subjects"][0]: call["outcome"] for call in more}
    assert (0, "", "") == (code, rest, told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--outcome", "fine"], "--outcome: expected one of ok, unsent,"),
        (["--follow", "--before", "9"], "--follow: expected neither --before nor"),
    ],
)
def test_a_filter_that_cannot_be_is_wrong_usage(shell: Shell, words: list[str], told: str) -> None:
    refused = shell.say("calls", *words)

    assert (2, True) == (refused.returncode, refused.stderr.startswith(f"quotewell: {told}"))


def test_an_empty_journal_line_and_audit_say_so(shell: Shell) -> None:
    assert ["no call\n", "0 of 0 in the line\n", "no act\n"] == [
        shell.say(word).stdout for word in ("calls", "line", "audit")
    ]


def test_the_line_is_in_the_order_of_service(shell: Shell) -> None:
    shell.do("refresh", "AAPL", "MSFT", "--no-wait")
    line = shell.do("line")
    shown = shell.say("line", "--most", "1").stdout

    assert (2, [1, 2]) == (line["total"], [row["rank"] for row in line["rows"]])
    assert {("AAPL", "operator", "waiting"), ("MSFT", "operator", "waiting")} == {
        (row["subject"], row["class"], row["state"]) for row in line["rows"]
    }
    assert shown.endswith("1 of 2 in the line\n")


def test_the_audit_names_who_did_what(shell: Shell) -> None:
    shell.do("symbols", "pin", "IBM")
    shell.do("budget", "hold", "--for", "1h")
    report = shell.do("audit", "--event", "symbol_pinned", "--by", actor())
    shown = shell.say("audit").stdout.splitlines()

    assert [("symbol_pinned", "IBM")] == [(act["event"], act["subject"]) for act in report["acts"]]
    assert ["symbol_pinned", "calls_held"] == [line.split()[2] for line in shown[1:]]
