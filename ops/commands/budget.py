"""The provider's budget from the operator's side: what is left and who spent it; hold all calls for a time, or let them go on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import typer

from common.core.limits import parse_duration
from common.operations import budget
from common.operations.budget import BudgetReport, Spent
from common.operations.types import CLASSES
from ops.arguments import AsJson, actor, has_no_verb
from ops.render import Block, Cell, Column, pairs, render, span, table, when, word
from ops.stores import call

LIMITS = (
    Column("limit"),
    Column("used", right=True),
    Column("free", right=True),
    Column("next_free_at", "next free", lambda limit: when(limit.next_free_at) if limit.next_free_at else "now"),
)
SPENT = (
    Column("call_class", "spent by"),
    Column("outcome", show=lambda row: word(row.outcome)),
    Column("minute", right=True),
    Column("hour", right=True),
    Column("day", right=True),
)

app = typer.Typer(add_completion=False, help="What the provider still allows, and who spent it.")


class SpentRow(NamedTuple):
    """Calls of one class and outcome in the last minute, hour and day."""

    call_class: str
    outcome: str
    minute: int
    hour: int
    day: int


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """What the provider still allows, and who spent it."""
    if has_no_verb(context):
        render(call(budget.report_budget), _show, as_json=as_json)


@app.command("hold")
def hold(
    duration: Annotated[str, typer.Option("--for", help="How long, such as 24h or 90min.")],
    as_json: AsJson = False,
) -> None:
    """Make no call for a while: after the database was emptied or restored, it has forgotten calls that the provider counts."""
    length = parse_duration(duration, "--for")
    report = call(lambda resources: budget.hold(resources, length, by=actor()))
    render(
        report,
        lambda held: f"no call until {when(held.held_until)}; `quotewell budget release` ends it",
        as_json=as_json,
    )


@app.command("release")
def release(as_json: AsJson = False) -> None:
    """End every hold: the next call may go as soon as a slot is free."""
    report = call(lambda resources: budget.release(resources, by=actor()))
    render(report, lambda _: "calls go on", as_json=as_json)


def _show(report: BudgetReport) -> Iterator[Block]:
    yield pairs(_summary(report))
    yield ""
    yield table(LIMITS, report.limits)
    yield ""
    yield table(SPENT, _spent(report.spent)) if report.spent else "no call in the last day"


def _summary(report: BudgetReport) -> Iterator[tuple[str, Cell]]:
    yield "account", report.account
    next_call = f"in {span(report.next_free_s)}, at {when(report.next_free_at)}" if report.next_free_at else "at once"
    yield "next call", next_call
    if report.held_until:
        probe = ", then one call goes first" if report.probing else ""
        yield "held", f"until {when(report.held_until)}: {report.held_for}{probe}"


def _spent(spent: Sequence[Spent]) -> Iterator[SpentRow]:
    """A row a class and outcome, in the order in which classes are served; then the sum."""
    calls: Counter[tuple[str, str, str]] = Counter()
    for part in spent:
        calls[part.call_class, part.outcome, part.window] += part.calls
        calls["all", "", part.window] += part.calls
    kinds = {(part.call_class, part.outcome) for part in spent}
    for kind in [*sorted(kinds, key=lambda kind: (CLASSES.index(kind[0]), kind[1])), ("all", "")]:
        yield SpentRow(*kind, calls[*kind, "minute"], calls[*kind, "hour"], calls[*kind, "day"])
