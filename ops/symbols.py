"""The wanted symbols from the operator's side: which are old, which fail; pin one, or end its quarantine."""

from typing import Annotated

import typer
from rich.console import Console

from common.operations import symbols
from common.operations.symbols import MOST, Only, Sort, SymbolChange, SymbolRow, SymbolsReport
from common.operations.terms import HIGHEST_ID
from ops.actor import actor
from ops.stores import ask
from ops.terminal import AsJson, Cell, Column, open_console, print_json, print_table, span, stands_alone, when

COLUMNS = (
    Column("symbol"),
    Column("price", spare=3, right=True),
    Column("age", right=True),
    Column("target", spare=2, right=True),
    Column("weight", spare=1, right=True),
    Column("watchers", spare=7, right=True),
    Column("reads", spare=8, right=True),
    Column("last attempt", spare=6),
    Column("in line", spare=5),
    Column("pinned", spare=4),
    Column("trouble"),
)

app = typer.Typer(add_completion=False, help="The wanted symbols: how much, how old, what went wrong.")

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as AAPL, in any spelling.")]


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    only: Annotated[Only, typer.Option("--only", help="Which of them.")] = "all",
    sort: Annotated[Sort, typer.Option("--sort", help="Oldest first, heaviest first, or by name.")] = "age",
    most: Annotated[int, typer.Option("--most", min=1, max=MOST, help="At most so many.")] = 50,
    skip: Annotated[int, typer.Option("--skip", min=0, max=HIGHEST_ID, help="Leave out so many first ones.")] = 0,
    as_json: AsJson = False,
) -> None:
    """The wanted symbols: how much, how old, what went wrong. Ages are in time that the market was open."""
    if not stands_alone(context):
        return
    report = ask(lambda stores: symbols.report_symbols(stores, only=only, sort=sort, most=most, offset=skip))
    if as_json:
        print_json(report)
    else:
        _print_symbols(open_console(), report, only)


@app.command("release")
def release(symbol: Symbol, as_json: AsJson = False) -> None:
    """End a symbol's quarantine: it stands with the others again."""
    change = ask(lambda stores: symbols.end_quarantine(stores, symbol, by=actor()))
    _tell(change, "released, it is refreshed like the others", as_json=as_json)


@app.command("pin")
def pin(symbol: Symbol, as_json: AsJson = False) -> None:
    """Keep a symbol fresh though nobody watches or reads it."""
    change = ask(lambda stores: symbols.pin(stores, symbol, by=actor()))
    _tell(change, "pinned", as_json=as_json)


@app.command("unpin")
def unpin(symbol: Symbol, as_json: AsJson = False) -> None:
    """Refresh a symbol no more than its watchers and readers want it."""
    change = ask(lambda stores: symbols.unpin(stores, symbol, by=actor()))
    _tell(change, "not pinned any more", as_json=as_json)


def _tell(change: SymbolChange, told: str, *, as_json: bool) -> None:
    if as_json:
        print_json(change)
    else:
        print(f"{change.symbol}: {told if change.changed else 'was so already, nothing changed'}")


def _print_symbols(console: Console, report: SymbolsReport, only: str) -> None:
    if report.symbols:
        print_table(console, COLUMNS, [_row(row) for row in report.symbols])
        console.print()
    kind = "wanted" if only == "all" else only
    console.print(f"{len(report.symbols)} of {report.total} {kind} symbols{_ages(report)}", soft_wrap=True)


def _ages(report: SymbolsReport) -> str:
    if report.mean_age_s is None:
        return ""
    told = f"; a price is {span(report.mean_age_s)} old as it is read"
    if report.bound_s is None or report.age_ratio is None:
        return told
    return f"{told}, {report.age_ratio:.2f} times the least possible {span(report.bound_s)}"


def _row(row: SymbolRow) -> list[Cell]:
    return [
        row.symbol,
        "-" if row.price is None else f"{row.price:,.2f}",
        span(row.age_s),
        span(row.target_age_s),
        f"{row.weight:,.0f}",
        str(row.watchers),
        f"{row.reads:,.0f}",
        when(row.attempted_at),
        row.in_line or "-",
        "kept" if row.kept else "overview" if row.pinned else "-",
        _trouble(row),
    ]


def _trouble(row: SymbolRow) -> Cell:
    if not row.failures:
        return "-"
    failed = f"failed {row.failures}x"
    return f"{failed}, rests until {when(row.quarantined_until)}" if row.quarantined_until else failed
