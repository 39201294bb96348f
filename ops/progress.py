"""What is seen of a refresh as it goes: each symbol's end once, as a line, and at a terminal a bar of the whole."""

import sys
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from common.core.provider.outcomes import Outcome
from common.operations.refreshing import JobItem, JobReport
from ops.terminal import open_console, span, word

ENDED = ("settled", "expired")
MEANINGS: dict[str, str] = {
    Outcome.UNAVAILABLE: "the provider did not answer",
    Outcome.UNSENT: "the call never left",
    Outcome.NOT_ENTITLED: "the key's plan does not have it",
    Outcome.BAD_KEY: "the key is refused; see ALPHA_VANTAGE_API_KEY",
    Outcome.BAD_REQUEST: "the provider does not take this symbol",
    Outcome.UNKNOWN_NOTICE: "the provider said what we do not know; the worker's log has it",
    Outcome.NO_DATA: "the provider has no data for it",
    "expired": "its time in the line was over",
}
WIDTH = max(map(len, (*Outcome, "expired")))


@dataclass(slots=True)
class View:
    """Open while a job is followed. `quiet`: stdout is for one JSON object. `seen`: the job as it was last, once it is there."""

    quiet: bool
    seen: JobReport | None = None
    told: set[str] = field(default_factory=set)
    out: Console = field(default_factory=open_console)
    bar: Progress = field(init=False)
    task: TaskID = field(init=False)

    def __post_init__(self) -> None:
        console = open_console(stderr=True) if self.quiet or not self.out.is_terminal else self.out
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self.task = self.bar.add_task("", total=None, left="")

    def __enter__(self) -> "View":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()

    def show(self, report: JobReport) -> None:
        """Tell what has ended since the last look."""
        self.seen = report
        if not report.done:
            self.bar.start()
        ended = [item for item in report.items if item.state in ENDED and item.symbol not in self.told]
        self.told.update(item.symbol for item in ended)
        if not self.quiet:
            for item in ended:
                self.out.print(_line(item, report), soft_wrap=True)
        self.bar.update(
            self.task,
            description=f"job {report.id}",
            total=report.total,
            completed=report.settled + report.expired,
            left=_left(report),
        )


def summary(report: JobReport) -> str:
    """One line on the whole."""
    if not report.total:
        return f"job {report.id}: no symbol needs it"
    parts = [f"{report.settled - report.failed} refreshed"]
    parts += [f"{report.failed + report.expired} not"] if report.failed + report.expired else []
    parts += [f"{_left(report)}"] if not report.done else []
    return f"job {report.id}: {symbols(report.total)}, {', '.join(parts)}"


def symbols(count: int) -> str:
    return "1 symbol" if count == 1 else f"{count} symbols"


def _left(report: JobReport) -> str:
    if report.done:
        return ""
    left = "nobody knows how long" if report.estimate_s is None else f"about {span(report.estimate_s)} left"
    return f"{report.waiting} waiting, {report.under_way} under way, {left}"


def _line(item: JobItem, report: JobReport) -> Text:
    ended = item.outcome or item.state
    told = word(ended)
    told.pad_right(WIDTH - len(ended))
    if ended != Outcome.OK:
        return Text.assemble(f"{item.symbol:8} ", told, "  ", MEANINGS.get(ended, ""))
    after = (item.settled_at - report.queued_at).total_seconds() if item.settled_at else None
    return Text.assemble(f"{item.symbol:8} ", told, f"  after {span(after)}")
