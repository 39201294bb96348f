"""The provider's budget from the operator's side: what is left and who spent it; hold all calls for a time, or let them go on."""

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console

from common.core.limits import parse_duration
from common.operations import budget
from common.operations.budget import BudgetReport, Spent
from common.operations.terms import CLASSES
from ops.actor import actor
from ops.stores import ask
from ops.terminal import (
    AsJson,
    Cell,
    Column,
    open_console,
    print_json,
    print_pairs,
    print_table,
    span,
    stands_alone,
    when,
    word,
)

WINDOWS = ("minute", "hour", "day")

app = typer.Typer(add_completion=False, help="What the provider still allows, and who spent it.")


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """What the provider still allows, and who spent it."""
    if stands_alone(context):
        _tell(ask(budget.report_budget), as_json=as_json)


@app.command("hold")
def hold(
    duration: Annotated[str, typer.Option("--for", help="How long, such as 24h or 90min.")],
    as_json: AsJson = False,
) -> None:
    """Make no call for a while: after the database was emptied or restored, it has forgotten calls that the provider counts."""
    length = parse_duration(duration, "--for")
    report = ask(lambda resources: budget.hold(resources, length, by=actor()))
    if as_json:
        print_json(report)
    else:
        print(f"no call until {when(report.held_until)}; `quotewell budget release` ends it")


@app.command("release")
def release(as_json: AsJson = False) -> None:
    """End every hold: the next call may go as soon as a slot is free."""
    report = ask(lambda resources: budget.release(resources, by=actor()))
    if as_json:
        print_json(report)
    else:
        print("calls go on")


def _tell(report: BudgetReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    console = open_console()
    print_pairs(console, [("account", report.account), ("next call", _next(report)), *_holds(report)])
    console.print()
    _print_limits(console, report)
    if report.spent:
        console.print()
        _print_spent(console, report.spent)
    else:
        console.print("\nno call in the last day")


def _next(report: BudgetReport) -> str:
    if report.next_free_at is None:
        return "at once"
    return f"in {span(report.next_free_s)}, at {when(report.next_free_at)}"


def _holds(report: BudgetReport) -> list[tuple[str, Cell]]:
    held: list[tuple[str, Cell]] = []
    if report.held_until:
        probe = ", then one call goes first" if report.probing else ""
        held.append(("held", f"until {when(report.held_until)}: {report.held_for}{probe}"))
    return held


def _print_limits(console: Console, report: BudgetReport) -> None:
    columns = [Column("limit"), Column("used", right=True), Column("free", right=True), Column("next free")]
    rows = [
        (limit.limit, str(limit.used), str(limit.free), when(limit.next_free_at) if limit.next_free_at else "now")
        for limit in report.limits
    ]
    print_table(console, columns, rows)


def _print_spent(console: Console, spent: list[Spent]) -> None:
    """Who spent what in the last minute, hour and day: a line a class and outcome."""
    calls: Counter[tuple[str, str, str]] = Counter()
    for part in spent:
        calls[part.call_class, part.outcome, part.window] += part.calls
    kinds = sorted(
        {(part.call_class, part.outcome) for part in spent}, key=lambda kind: (CLASSES.index(kind[0]), kind[1])
    )
    columns = [Column("spent by"), Column("outcome"), *(Column(window, right=True) for window in WINDOWS)]
    rows: list[list[Cell]] = [
        [call_class, word(outcome), *(str(calls[call_class, outcome, window]) for window in WINDOWS)]
        for call_class, outcome in kinds
    ]
    totals = [str(sum(part.calls for part in spent if part.window == window)) for window in WINDOWS]
    print_table(console, columns, [*rows, ["all", "", *totals]])
