"""The journal of calls, as it is or as it grows, and the line of what waits for one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from common.core.provider.outcomes import Outcome
from common.errors import InvalidSettings, StoreUnavailable
from common.operations.calls import MOST_CALLS, MOST_ROWS, CallRow, CallsReport, LineRow, report_calls, report_line
from common.operations.terms import HIGHEST_ID, ClassName
from common.process.resources import Resources
from ops.stores import ask
from ops.terminal import AsJson, Cell, Column, open_console, print_json, print_table, span, tell, when, word

AGAIN = 0.5  # seconds between two looks at the journal
NEVER_TOLD = timedelta(seconds=2)  # after its lease a call without an outcome is not waited for
IN_FLIGHT = "in_flight"
OUTCOMES = (*Outcome, IN_FLIGHT)
OUTCOME_WIDTH = max(map(len, OUTCOMES))
NAMED = 4  # subjects of a call that are named
Wanted = Callable[..., Awaitable[CallsReport]]  # report_calls with its filters
CALLS = (
    Column("at"),
    Column("symbols"),
    Column("outcome"),
    Column("took", spare=1, right=True),
    Column("for", spare=2),
    Column("function", spare=3),
    Column("call", spare=4, right=True),
    Column("made by", spare=5),
)
LINE = (
    Column("rank", right=True),
    Column("subject"),
    Column("waits", right=True),
    Column("state"),
    Column("for", spare=1),
    Column("function", spare=3),
    Column("tries", spare=2, right=True),
)

OnlySymbol = Annotated[str | None, typer.Option("--symbol", help="Only calls for this symbol.")]
OnlyOutcome = Annotated[str | None, typer.Option("--outcome", help=f"Only those that ended so: {', '.join(OUTCOMES)}.")]
OnlyClass = Annotated[ClassName | None, typer.Option("--class", help="Only those of this class.")]


def calls(
    symbol: OnlySymbol = None,
    outcome: OnlyOutcome = None,
    call_class: OnlyClass = None,
    most: Annotated[int, typer.Option("--most", min=1, max=MOST_CALLS, help="At most so many.")] = 20,
    before: Annotated[
        int | None, typer.Option("--before", min=1, max=HIGHEST_ID, help="Only those before the call of this number.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new ones as they end, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """The journal of calls, newest last.

    With --follow and --json each call is one JSON object on a line of its own.
    """
    _check(outcome, before, follow=follow)
    wanted = partial(report_calls, symbol=symbol, outcome=outcome, call_class=call_class)
    if follow:
        with suppress(KeyboardInterrupt):
            ask(lambda stores: _follow(stores, wanted, most, as_json=as_json))
        return
    report = ask(lambda stores: wanted(stores, before=before, most=most))
    if as_json:
        print_json(report)
        return
    if report.calls:
        print_table(open_console(), CALLS, [_call(call) for call in reversed(report.calls)])
    else:
        print("no call")
    if report.next is not None:
        print(f"\nolder ones: --before {report.next}")


def line(
    most: Annotated[int, typer.Option("--most", min=1, max=MOST_ROWS, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits for a call, in the order in which it will be served."""
    report = ask(lambda stores: report_line(stores, most=most))
    if as_json:
        print_json(report)
        return
    if report.rows:
        print_table(open_console(), LINE, [_row(row) for row in report.rows])
        print()
    print(f"{len(report.rows)} of {report.total} in the line")


def _check(outcome: str | None, before: int | None, *, follow: bool) -> None:
    if outcome is not None and outcome not in OUTCOMES:
        raise InvalidSettings(f"--outcome: expected one of {', '.join(OUTCOMES)}, not {outcome!r}")
    if follow and (before is not None or outcome == IN_FLIGHT):
        raise InvalidSettings(
            "--follow: expected neither --before nor --outcome in_flight: it prints calls as they end"
        )


async def _follow(stores: Resources, wanted: Wanted, most: int, *, as_json: bool) -> None:
    """The last calls, then each as it ends, once. A store that is away is waited for."""
    first = await wanted(stores, most=most)
    floor = first.calls[-1].id if first.calls else 0
    told: set[int] = set()
    console = open_console()
    while True:
        report = await _look(stores, wanted)
        ended = [call for call in reversed(report.calls) if call.id >= floor and call.id not in told and _ended(call)]
        for call in ended:
            _print_call(console, call, as_json=as_json)
        told = {call.id for call in report.calls} & told.union(call.id for call in ended)
        await asyncio.sleep(AGAIN)


async def _look(stores: Resources, wanted: Wanted) -> CallsReport:
    away = False
    while True:
        try:
            return await wanted(stores, most=MOST_CALLS)
        except StoreUnavailable as error:
            if not away:
                tell(f"{error}; still trying, Ctrl-C ends it")
            away = True
            await asyncio.sleep(AGAIN)


def _ended(call: CallRow) -> bool:
    return call.outcome is not None or call.ends_at + NEVER_TOLD < datetime.now(UTC)


def _print_call(console: Console, call: CallRow, *, as_json: bool) -> None:
    if as_json:
        print_json(call)
        return
    outcome = _outcome(call)
    outcome.pad_right(max(0, OUTCOME_WIDTH - len(outcome)))
    rest = f"  {span(call.took_s):>6}  {call.call_class:8}  {call.function}  {_subjects(call.subjects)}"
    console.print(Text.assemble(f"{when(call.granted_at)}  ", outcome, rest), soft_wrap=True)


def _call(call: CallRow) -> list[Cell]:
    return [
        when(call.granted_at),
        _subjects(call.subjects),
        _outcome(call),
        span(call.took_s),
        call.call_class,
        call.function,
        str(call.id),
        call.caller,
    ]


def _outcome(call: CallRow) -> Text:
    if call.outcome is None:
        return word(IN_FLIGHT if call.ends_at > datetime.now(UTC) else "never told")
    return word(call.outcome)


def _subjects(subjects: Sequence[str]) -> str:
    """A bulk call may have a hundred."""
    return (
        " ".join(subjects)
        if len(subjects) <= NAMED
        else f"{' '.join(subjects[:NAMED])} and {len(subjects) - NAMED} more"
    )


def _row(row: LineRow) -> list[Cell]:
    return [
        str(row.rank),
        row.subject,
        span(row.waited_s),
        row.state.replace("_", " "),
        row.call_class,
        row.function,
        str(row.tries),
    ]
