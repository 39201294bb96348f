"""How a report is printed: as one JSON object for programs, as text and tables for people. It knows no store and no command.

Where stdout is no terminal there is neither colour nor frame, and no line is cut. In a narrow terminal tables leave out columns.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import msgspec
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

DONE, REFUSED, WRONG, AWAY = range(4)  # exit codes
MAX_WIDTH = 10_000  # columns of what is no terminal
GOOD, DOUBTFUL, BAD = "green", "yellow", "red"
STYLES = {
    **dict.fromkeys(("ok", "healthy", "connected"), GOOD),
    **dict.fromkeys(("warning", "degraded", "held", "late", "unknown", "in_flight", "unsettled", "expired"), DOUBTFUL),
    **dict.fromkeys(("problem", "unhealthy", "disconnected", "failing", "never"), BAD),
}

Cell = str | Text
Block = str | Text | Table
Report = TypeVar("Report")


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a report's rows, under its own name or a header; `show` reads a row where the field's value is not enough.

    `spare`: where the terminal is too narrow the column with the highest one is left out first; 0: never.
    """

    field: str
    header: str = ""
    show: Callable[[Any], Cell] | None = None
    spare: int = 0
    right: bool = False

    @property
    def name(self) -> str:
        return self.header or self.field

    def cell(self, row: object) -> Cell:
        return self.show(row) if self.show else _cell(self.field, getattr(row, self.field))


def render(report: Report, show: Callable[[Report], str | Iterable[Block]], *, as_json: bool) -> Report:
    """Print the report as JSON, or as the sentence, or the sentences and tables, that `show` makes of it."""
    if as_json:
        print(msgspec.json.encode(report).decode(), flush=True)
        return report
    blocks = show(report)
    for block in [blocks] if isinstance(blocks, str) else blocks:
        _print(block)
    return report


def open_console(*, stderr: bool = False) -> Console:
    """Never markup: a name may hold brackets."""
    plain = not (sys.stderr if stderr else sys.stdout).isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=MAX_WIDTH if plain else None)


def warn(sentence: str) -> None:
    """One sentence beside the report."""
    print(f"quotewell: {sentence}", file=sys.stderr, flush=True)


def end(code: int, sentence: str) -> NoReturn:
    """Say why, and leave."""
    warn(sentence)
    sys.exit(code)


def word(text: str) -> Text:
    """In the colour of what it means."""
    return Text(text, STYLES.get(text, ""))


def span(seconds: float | None) -> str:
    """A duration as people say it: `3.2 s`, `12 s`, `3.4 min`, `5.1 h`, `3.0 d`; `-` for none."""
    if seconds is None:
        return "-"
    for unit, size, limit in (("s", 1, 59.5), ("min", 60, 59.95), ("h", 3600, 47.95)):
        if (amount := seconds / size) < limit:
            return f"{amount:.{int(unit != 's' or amount < 9.95)}f} {unit}"
    return f"{seconds / 86400:.1f} d"


def when(time: datetime | None) -> str:
    """By this machine's clock and zone, with the day unless it is today; `-` for none."""
    if time is None:
        return "-"
    local = time.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S %Z}" if today else f"{local:%Y-%m-%d %H:%M %Z}"


def pairs(rows: Iterable[tuple[str, Cell]]) -> Table:
    """A name and what is to be said about it, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def table(columns: Sequence[Column], rows: Iterable[object], console: Console | None = None) -> Table:
    """A line a row, without the columns that it can spare if it would be wider than the console."""
    console, rows = console or open_console(), list(rows)
    spared = sorted((column.spare for column in columns if column.spare), reverse=True)
    for limit in [*(spare + 1 for spare in spared), 1]:
        kept = [column for column in columns if column.spare < limit]
        fitted = _table(console, kept, rows)
        if _width(console, fitted) <= console.width:
            return fitted
    # the last column gives way: the first names the row
    excess = _width(console, fitted) - console.width
    widest = max(len(text) for text in (kept[-1].name, *(kept[-1].cell(row) for row in rows)))
    fitted.columns[-1].max_width = max(1, widest - excess)
    return fitted


def _cell(field: str, value: Any) -> str:
    """A value as people read it; a field of seconds ends in `_s`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return when(value)
    return span(value) if field.endswith("_s") else str(value)


def _print(block: Block) -> None:
    """Sentences are not wrapped. Rich fills each line of a table up with blanks, which are of no use in a file."""
    console = open_console()
    if isinstance(block, str | Text):
        console.print(block, soft_wrap=True)
    elif console.is_terminal:
        console.print(block)
    else:
        with console.capture() as captured:
            console.print(block)
        for line in captured.get().splitlines():
            print(line.rstrip())


def _table(console: Console, columns: Sequence[Column], rows: Sequence[object]) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(column.cell(row) for column in columns))
    return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(width=MAX_WIDTH), table).maximum
