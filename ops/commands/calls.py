"""The calls of the ledger, as they are or as they end, and the queue of what waits for one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from common.core.provider.outcomes import Outcome
from common.errors import InvalidSettings, StoreUnavailable
from common.operations.calls import MAX_CALLS, MAX_ROWS, CallRow, CallsReport, LineReport, report_calls, report_line
from common.operations.types import MAX_ID, ClassName
from common.process.resources import Resources
from ops.arguments import AsJson
from ops.render import Block, Column, render, span, table, warn, when, word
from ops.stores import call

POLL_INTERVAL = 0.5  # seconds
SETTLEMENT_DELAY = timedelta(seconds=2)  # after its lease; a call without an outcome then never gets one
IN_FLIGHT = "in_flight"
OUTCOMES = (*Outcome, IN_FLIGHT)
OUTCOME_WIDTH = max(map(len, OUTCOMES))
MAX_SUBJECTS = 4  # of a call, by name; a bulk call may have a hundred
Select = Callable[..., Awaitable[CallsReport]]  # report_calls with its filters

OnlySymbol = Annotated[str | None, typer.Option("--symbol", help="Only calls for this symbol.")]
OnlyOutcome = Annotated[str | None, typer.Option("--outcome", help=f"Only those that ended so: {', '.join(OUTCOMES)}.")]
OnlyClass = Annotated[ClassName | None, typer.Option("--class", help="Only those of this class.")]


def calls(
    symbol: OnlySymbol = None,
    outcome: OnlyOutcome = None,
    call_class: OnlyClass = None,
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_CALLS, help="At most so many.")] = 20,
    before: Annotated[
        int | None, typer.Option("--before", min=1, max=MAX_ID, help="Only those before the call of this number.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new ones as they end, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """The journal of calls, newest last.

    With --follow and --json each call is one JSON object on a line of its own.
    """
    _check(outcome, before, follow=follow)
    select = partial(report_calls, symbol=symbol, outcome=outcome, call_class=call_class)
    if follow:
        with suppress(KeyboardInterrupt):
            call(lambda resources: _follow(resources, select, most, as_json=as_json))
    else:
        render(call(lambda resources: select(resources, before=before, most=most)), _show_calls, as_json=as_json)


def line(
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_ROWS, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits for a call, in the order in which it will be served."""
    render(call(lambda resources: report_line(resources, most=most)), _show_line, as_json=as_json)


def _check(outcome: str | None, before: int | None, *, follow: bool) -> None:
    if outcome is not None and outcome not in OUTCOMES:
        raise InvalidSettings(f"--outcome: expected one of {', '.join(OUTCOMES)}, not {outcome!r}")
    if follow and (before is not None or outcome == IN_FLIGHT):
        raise InvalidSettings(
            "--follow: expected neither --before nor --outcome in_flight: it prints calls as they end"
        )


async def _follow(resources: Resources, select: Select, most: int, *, as_json: bool) -> None:
    """The last calls, then each as it ends, once. While a store is away, try again."""
    first = await select(resources, most=most)
    floor = first.calls[-1].id if first.calls else 0
    printed: set[int] = set()
    while True:
        report = await _retry(resources, select)
        ended = [row for row in reversed(report.calls) if row.id >= floor and row.id not in printed and _ended(row)]
        for row in ended:
            render(row, _show_ended, as_json=as_json)
        printed = {row.id for row in report.calls} & printed.union(row.id for row in ended)
        await asyncio.sleep(POLL_INTERVAL)


async def _retry(resources: Resources, select: Select) -> CallsReport:
    warned = False
    while True:
        try:
            return await select(resources, most=MAX_CALLS)
        except StoreUnavailable as error:
            if not warned:
                warn(f"{error}; still trying, Ctrl-C ends it")
            warned = True
            await asyncio.sleep(POLL_INTERVAL)


def _ended(row: CallRow) -> bool:
    return row.outcome is not None or row.ends_at + SETTLEMENT_DELAY < datetime.now(UTC)


def _show_ended(row: CallRow) -> Iterator[Block]:
    outcome = _outcome(row)
    outcome.pad_right(max(0, OUTCOME_WIDTH - len(outcome)))
    rest = f"  {span(row.took_s):>6}  {row.call_class:8}  {row.function}  {_subjects(row)}"
    yield Text.assemble(f"{when(row.granted_at)}  ", outcome, rest)


def _show_calls(report: CallsReport) -> Iterator[Block]:
    yield table(CALLS, reversed(report.calls)) if report.calls else "no call"
    if report.next is not None:
        yield f"\nolder ones: --before {report.next}"


def _show_line(report: LineReport) -> Iterator[Block]:
    if report.rows:
        yield table(LINE, report.rows)
        yield ""
    yield f"{len(report.rows)} of {report.total} in the line"


def _outcome(row: CallRow) -> Text:
    if row.outcome is None:
        return word(IN_FLIGHT if row.ends_at > datetime.now(UTC) else "never told")
    return word(row.outcome)


def _subjects(row: CallRow) -> str:
    more = len(row.subjects) - MAX_SUBJECTS
    return " ".join(row.subjects[:MAX_SUBJECTS]) + (f" and {more} more" if more > 0 else "")


CALLS = (
    Column("granted_at", "at"),
    Column("subjects", "symbols", _subjects),
    Column("outcome", show=_outcome),
    Column("took_s", "took", spare=1, right=True),
    Column("call_class", "for", spare=2),
    Column("function", spare=3),
    Column("id", "call", spare=4, right=True),
    Column("caller", "made by", spare=5),
)
LINE = (
    Column("rank", right=True),
    Column("subject"),
    Column("waited_s", "waits", right=True),
    Column("state", show=lambda row: row.state.replace("_", " ")),
    Column("call_class", "for", spare=1),
    Column("function", spare=3),
    Column("tries", spare=2, right=True),
)
