"""`quotewell refresh` and `quotewell job`: queued in the database, followed to the end, told when nothing moves."""

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from common.errors import StoreUnavailable
from common.operations.budget import hold
from common.operations.refresh_jobs import JobReport, queue_refresh
from common.process.resources import Resources, open_redis
from common.process.settings import OVERVIEW
from common.store.connection.pool import open_pool
from ops.arguments import actor
from ops.commands.refresh import follow
from ops.render import AWAY
from tests.harness.polling import eventually
from tests.ops.conftest import NOWHERE, QUOTEWELL, Shell, Work, interrupt, typed

AT_A_TERMINAL = "import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


async def has_the_overview(shell: Shell) -> bool:
    """Whether each of its symbols has a quote: they come by themselves while a worker works."""
    return {*OVERVIEW.split(",")} <= {symbol for (symbol,) in shell.rows("SELECT symbol FROM quotes")}


def ends(report: dict[str, Any]) -> dict[str, str]:
    return {item["symbol"]: item["outcome"] for item in report["items"]}


async def test_a_refresh_is_followed_until_each_symbol_has_its_outcome(beside: Shell, work: Work) -> None:
    async with work():
        done = await asyncio.to_thread(beside.say, "refresh", "aapl", "brk.b", "ZZZZQ")
    lines = done.stdout.splitlines()

    assert (1, 4) == (done.returncode, len(lines))
    assert {("AAPL", "ok"), ("BRK-B", "ok"), ("ZZZZQ", "no_data")} == {tuple(line.split()[:2]) for line in lines[:3]}
    assert "job 1: 3 symbols, 2 refreshed, 1 not" == lines[3]
    assert [(actor(), 3)] == beside.rows(
        "SELECT queued_by, count(*) FROM refresh_jobs JOIN refresh_items ON id = job_id GROUP BY 1"
    )


async def test_a_job_in_json_is_one_object_with_all_items(beside: Shell, work: Work) -> None:
    async with work():
        report = await beside.ado("refresh", "AAPL", "MSFT")
    again = await beside.ado("job", str(report["id"]))

    assert {"AAPL": "ok", "MSFT": "ok"} == ends(report) == ends(again)
    assert (True, 2, 0) == (report["done"], report["settled"], report["failed"])


async def test_a_job_that_nobody_waits_for_stands_in_the_line(beside: Shell, work: Work) -> None:
    queued = beside.say("refresh", "AAPL", "--no-wait")
    waiting = beside.say("job", "1", "--no-wait")
    async with work():
        done = await asyncio.to_thread(beside.say, "job", "1")

    assert (0, "job 1: 1 symbol in the line; `quotewell job 1` follows it\n") == (queued.returncode, queued.stdout)
    assert (0, True) == (waiting.returncode, waiting.stdout.startswith("job 1: 1 symbol, 0 refreshed, 1 waiting"))
    assert (0, True) == (done.returncode, done.stdout.endswith("job 1: 1 symbol, 1 refreshed\n"))


async def test_all_that_are_wanted_are_refreshed_or_only_the_stale(beside: Shell, work: Work) -> None:
    beside.rows("INSERT INTO symbols (symbol, watchers) VALUES ('IBM', 1), ('ORCL', 2)")
    watched = beside.do("refresh", "--watched", "--no-wait")
    async with work():
        await beside.ado("job", str(watched["id"]))
        await eventually(lambda: has_the_overview(beside))
        stale = await asyncio.to_thread(beside.say, "refresh", "--stale")

    assert ["IBM", "ORCL"] == [item["symbol"] for item in watched["items"]]
    assert (0, "job 2: no symbol needs it\n") == (stale.returncode, stale.stdout)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["refresh"], 2, "SYMBOL...: expected symbols, or --watched, or --stale"),
        (["refresh", "AAPL", "--stale"], 2, "SYMBOL...: expected symbols, or --watched, or --stale"),
        (["refresh", *(f"S{number}" for number in range(10_000))], 1, "symbols: expected 1 to 500, not 10000"),
        (["refresh", "AAPL", "a b"], 1, "expected a symbol of 1 to 20 characters"),
        (["refresh", "AAPL", "NONE"], 1, "the provider does not have NONE; leave out"),
        (["job", "99"], 1, "there is no job 99"),
        (["job", "99", "--no-wait"], 1, "there is no job 99"),
    ],
)
def test_a_refresh_that_cannot_be_queues_nothing_and_says_why(
    shell: Shell, words: list[str], code: int, told: str
) -> None:
    if "NONE" in words:
        account = shell.do("budget")["account"]
        shell.rows(
            "INSERT INTO symbols (symbol) VALUES ('NONE');"
            f"INSERT INTO attempts (account, symbol, at, failures) VALUES ('{account}', 'NONE', ledger_now(), 1)"
        )
    refused = shell.say(*words)

    assert (code, 1, "") == (refused.returncode, len(refused.stderr.splitlines()), refused.stdout)
    assert refused.stderr.startswith(f"quotewell: {told}")
    assert [] == shell.rows("SELECT * FROM refresh_jobs")


def test_without_a_worker_it_says_so_and_the_job_stays(shell: Shell) -> None:
    said = shell.say("refresh", "AAPL", "--json")

    assert 1 == said.returncode
    assert "no worker was seen in the last 20 s; see that worker and beat run" in said.stderr
    assert "job 1 stays in the line, `quotewell job 1` follows it" in said.stderr
    assert '"waiting":1' in said.stdout
    assert [("AAPL",)] == shell.rows("SELECT subject FROM demand")


async def test_ctrl_c_leaves_the_job_and_says_how_to_see_it(shell: Shell) -> None:
    shell.do("refresh", "AAPL", "MSFT", "--no-wait")
    shell.rows("DELETE FROM demand WHERE subject = 'AAPL'")
    shell.rows("UPDATE refresh_items SET outcome = 'expired' WHERE symbol = 'AAPL'")
    async with typed(shell, "job", "1") as following:
        assert following.stdout is not None
        first = await asyncio.wait_for(following.stdout.readline(), 60)
        code, rest, told = await interrupt(following)

    assert ["AAPL", "expired"] == first.decode().split()[:2]
    assert (130, "", "quotewell: job 1 goes on; `quotewell job 1` follows it\n") == (code, rest, told)
    assert [("MSFT",)] == shell.rows("SELECT subject FROM demand")


def test_a_symbol_whose_time_in_the_line_is_over_was_not_refreshed(shell: Shell) -> None:
    shell.do("refresh", "AAPL", "--no-wait")
    shell.rows("DELETE FROM demand")
    shell.rows("UPDATE refresh_items SET outcome = 'expired'")
    said = shell.say("job", "1")

    assert (1, 2) == (said.returncode, len(said.stdout.splitlines()))
    assert "its time in the line was over\njob 1: 1 symbol, 0 refreshed, 1 not\n" in said.stdout


async def test_at_a_terminal_a_bar_shows_how_far_it_is(beside: Shell, work: Work) -> None:
    env = beside.env | {"TERM": "xterm-256color"}
    command = [sys.executable, "-c", AT_A_TERMINAL, str(QUOTEWELL), "refresh", "AAPL"]
    terminal = await asyncio.create_subprocess_exec(
        *command, env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert terminal.stdout is not None
    shown = await asyncio.wait_for(terminal.stdout.readuntil(b"1 waiting"), 60)
    async with work():
        rest = await asyncio.wait_for(terminal.stdout.read(), 60)

    assert (0, True, True) == (await terminal.wait(), "━".encode() in shown, b"job 1" in shown)
    assert b"job 1: 1 symbol, 1 refreshed" in rest
    assert b"refresh_queued" not in shown + rest


async def queued(resources: Resources) -> int:
    return (await queue_refresh(resources, ["AAPL"], by=actor())).id


def unseen(report: JobReport) -> None:
    """Nobody looks."""


async def test_what_does_not_move_because_redis_is_away_is_a_reason(resources: Resources) -> None:
    lonely = replace(resources, redis=open_redis("redis://127.0.0.1:9/0", timeout=0.5))
    stall = await follow(lonely, await queued(resources), unseen, stall_timeout=0.1)

    assert stall is not None
    assert (AWAY, True) == (stall.code, stall.reason.startswith("Redis does not answer"))


async def test_a_database_that_stays_away_ends_the_watching(resources: Resources) -> None:
    async with open_pool(NOWHERE["DATABASE_URL"], name="tests", size=1, statement_timeout=1) as away:
        with pytest.raises(StoreUnavailable):
            await follow(replace(resources, db=away), 1, unseen, store_timeout=0.5)


async def test_what_only_waits_for_a_hold_to_end_is_told_once(
    resources: Resources, capsys: pytest.CaptureFixture[str]
) -> None:
    job = await queued(resources)
    await hold(resources, timedelta(hours=1), by=actor())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await follow(resources, job, unseen, stall_timeout=0.1)

    assert 1 == capsys.readouterr().err.count("(operator); Ctrl-C leaves the job in the line")
