"""How an answer reads: one JSON object for programs, text and tables for people. It knows the terminal; it knows no store and no question.

Where stdout is no terminal there is neither colour nor frame, and no line is cut. In a narrow terminal tables leave out what they can
spare.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NoReturn

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from common.errors import InvalidSettings

DONE, REFUSED, WRONG, AWAY = range(4)  # exit codes
ENDLESS = 10_000  # columns: as wide as it needs to be
GOOD, DOUBTFUL, BAD = "green", "yellow", "red"
STYLES = {
    **dict.fromkeys(("ok", "healthy", "connected"), GOOD),
    **dict.fromkeys(("warning", "degraded", "held", "late", "unknown", "in_flight", "unsettled", "expired"), DOUBTFUL),
    **dict.fromkeys(("problem", "unhealthy", "disconnected", "failing", "never"), BAD),
}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """`spare`: where the terminal is too narrow the column with the highest one is left out first; 0: never."""

    name: str
    spare: int = 0
    right: bool = False


def open_console(*, stderr: bool = False) -> Console:
    """Never markup: a name may hold brackets."""
    plain = not (sys.stderr if stderr else sys.stdout).isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=ENDLESS if plain else None)


def print_json(answer: object) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def tell(told: str) -> None:
    """One sentence beside the answer."""
    print(f"quotewell: {told}", file=sys.stderr, flush=True)


def end(code: int, told: str) -> NoReturn:
    """Say why, and leave."""
    tell(told)
    sys.exit(code)


def stands_alone(context: typer.Context) -> bool:
    """Whether no verb follows a command that has some; its own options would be lost before one, so they are refused."""
    if context.invoked_subcommand is None:
        return True
    sources = {name: context.get_parameter_source(name) for name in context.params}
    if any(source is not None and source.name == "COMMANDLINE" for source in sources.values()):
        raise InvalidSettings(f"options: expected after `{context.invoked_subcommand}`, not before it")
    return False


def word(text: str) -> Text:
    """In the colour of what it means."""
    return Text(text, STYLES.get(text, ""))


def span(seconds: float | None) -> str:
    """A duration as people say it: `3.2 s`, `12 s`, `3.4 min`, `5.1 h`, `3.0 d`; `-` for none."""
    if seconds is None:
        return "-"
    for unit, size, most in (("s", 1, 59.5), ("min", 60, 59.95), ("h", 3600, 47.95)):
        if (amount := seconds / size) < most:
            return f"{amount:.{int(unit != 's' or amount < 9.95)}f} {unit}"
    return f"{seconds / 86400:.1f} d"


def when(time: datetime | None) -> str:
    """By this machine's clock and zone, with the day unless it is today; `-` for none."""
    if time is None:
        return "-"
    local = time.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S %Z}" if today else f"{local:%Y-%m-%d %H:%M %Z}"


def print_pairs(console: Console, pairs: Sequence[tuple[str, Cell]]) -> None:
    """A name and what is to be said about it, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, told in pairs:
        table.add_row(name, told)
    _print(console, table)


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Without the columns that it can spare, if it would be wider than the console."""
    spared = sorted((column.spare for column in columns if column.spare), reverse=True)
    for limit in [*(spare + 1 for spare in spared), 1]:
        kept = [place for place, column in enumerate(columns) if column.spare < limit]
        table = _table(console, [columns[place] for place in kept], [[row[place] for place in kept] for row in rows])
        if _width(console, table) <= console.width:
            break
    if (excess := _width(console, table) - console.width) > 0:  # the last column gives way, the first names the row
        widest = max(len(text) for text in (columns[kept[-1]].name, *(row[kept[-1]] for row in rows)))
        table.columns[-1].max_width = max(1, widest - excess)
    _print(console, table)


def _print(console: Console, table: Table) -> None:
    """Rich fills each line up; whoever reads a file has no use for that."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(width=ENDLESS), table).maximum
