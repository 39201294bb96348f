"""The wanted symbols from the operator's side: which are old, which fail; pin one, or end its quarantine."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

import typer

from common.operations import symbols
from common.operations.symbols import MAX_SYMBOLS, Only, Sort, SymbolChange, SymbolRow, SymbolsReport
from common.operations.types import MAX_ID
from ops.arguments import AsJson, actor, has_no_verb
from ops.commands.status import compare_ages
from ops.render import Block, Column, render, span, table, when
from ops.stores import call

app = typer.Typer(add_completion=False, help="The wanted symbols: how much, how old, what went wrong.")

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as AAPL, in any spelling.")]


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    only: Annotated[Only, typer.Option("--only", help="Which of them.")] = "all",
    sort: Annotated[Sort, typer.Option("--sort", help="Oldest first, heaviest first, or by name.")] = "age",
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_SYMBOLS, help="At most so many.")] = 50,
    skip: Annotated[int, typer.Option("--skip", min=0, max=MAX_ID, help="Leave out so many first ones.")] = 0,
    as_json: AsJson = False,
) -> None:
    """The wanted symbols: how much, how old, what went wrong. Ages are in time that the market was open."""
    if has_no_verb(context):
        report = call(lambda resources: symbols.report_symbols(resources, only=only, sort=sort, most=most, offset=skip))
        render(report, lambda found: _show(found, "wanted" if only == "all" else only), as_json=as_json)


@app.command("release")
def release(symbol: Symbol, as_json: AsJson = False) -> None:
    """End a symbol's quarantine: it stands with the others again."""
    _change(symbols.end_quarantine, symbol, "released, it is refreshed like the others", as_json=as_json)


@app.command("pin")
def pin(symbol: Symbol, as_json: AsJson = False) -> None:
    """Keep a symbol fresh though nobody watches or reads it."""
    _change(symbols.pin, symbol, "pinned", as_json=as_json)


@app.command("unpin")
def unpin(symbol: Symbol, as_json: AsJson = False) -> None:
    """Refresh a symbol no more than its watchers and readers want it."""
    _change(symbols.unpin, symbol, "not pinned any more", as_json=as_json)


def _change(operation: Callable[..., Awaitable[SymbolChange]], symbol: str, done: str, *, as_json: bool) -> None:
    change = call(lambda resources: operation(resources, symbol, by=actor()))
    outcome = done if change.changed else "was so already, nothing changed"
    render(change, lambda _: f"{change.symbol}: {outcome}", as_json=as_json)


def _show(report: SymbolsReport, kind: str) -> Iterator[Block]:
    if report.symbols:
        yield table(COLUMNS, report.symbols)
        yield ""
    age = f"; a price is {span(report.mean_age_s)} old as it is read" if report.mean_age_s is not None else ""
    yield f"{len(report.symbols)} of {report.total} {kind} symbols{age}{compare_ages(report)}"


def _pinned(row: SymbolRow) -> str:
    return "kept" if row.kept else "overview" if row.pinned else "-"


def _trouble(row: SymbolRow) -> str:
    if not row.failures:
        return "-"
    rest = f", rests until {when(row.quarantined_until)}" if row.quarantined_until else ""
    return f"failed {row.failures}x{rest}"


COLUMNS = (
    Column("symbol"),
    Column("price", show=lambda row: "-" if row.price is None else f"{row.price:,.2f}", spare=3, right=True),
    Column("age_s", "age", right=True),
    Column("target_age_s", "target", spare=2, right=True),
    Column("weight", show=lambda row: f"{row.weight:,.0f}", spare=1, right=True),
    Column("watchers", spare=7, right=True),
    Column("reads", show=lambda row: f"{row.reads:,.0f}", spare=8, right=True),
    Column("attempted_at", "last attempt", spare=6),
    Column("in_line", "in line", spare=5),
    Column("pinned", show=_pinned, spare=4),
    Column("trouble", show=_trouble),
)
