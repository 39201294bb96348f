"""What is seen of a job as it goes: each symbol's end as a line, at a terminal a bar of the whole, and a sentence in the end."""

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from common.core.provider.outcomes import Outcome
from common.operations.refresh_jobs import JobItem, JobReport
from ops.render import open_console, span, word

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


class JobView:
    """What is printed of a job: each symbol's end, once, and at a terminal a bar. `quiet`: stdout is for one JSON object."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.seen: JobReport | None = None
        self._printed: set[str] = set()
        self._out = open_console()
        console = open_console(stderr=True) if quiet or not self._out.is_terminal else self._out
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
        self._task = self.bar.add_task("", total=None, left="")

    def show(self, report: JobReport) -> None:
        """Print what has ended since the last report."""
        self.seen = report
        ended = [item for item in report.items if item.state in ENDED and item.symbol not in self._printed]
        self._printed.update(item.symbol for item in ended)
        if not self.quiet:
            for item in ended:
                self._out.print(_line(item, report), soft_wrap=True)

    def follow(self, report: JobReport) -> None:
        """Show it, and move the bar."""
        if not report.done:
            self.bar.start()
        self.show(report)
        ended = report.settled + report.expired
        self.bar.update(
            self._task, description=f"job {report.id}", total=report.total, completed=ended, left=_left(report)
        )


def summarize(report: JobReport) -> str:
    if not report.total:
        return f"job {report.id}: no symbol needs it"
    parts = [f"{report.settled - report.failed} refreshed"]
    if missed := report.failed + report.expired:
        parts.append(f"{missed} not")
    if not report.done:
        parts.append(_left(report))
    return f"job {report.id}: {count_symbols(report.total)}, {', '.join(parts)}"


def count_symbols(count: int) -> str:
    return "1 symbol" if count == 1 else f"{count} symbols"


def _left(report: JobReport) -> str:
    if report.done:
        return ""
    left = "nobody knows how long" if report.estimate_s is None else f"about {span(report.estimate_s)} left"
    return f"{report.waiting} waiting, {report.under_way} under way, {left}"


def _line(item: JobItem, report: JobReport) -> Text:
    ended = item.outcome or item.state
    outcome = word(ended)
    outcome.pad_right(WIDTH - len(ended))
    if ended != Outcome.OK:
        return Text.assemble(f"{item.symbol:8} ", outcome, "  ", MEANINGS.get(ended, ""))
    after = (item.settled_at - report.queued_at).total_seconds() if item.settled_at else None
    return Text.assemble(f"{item.symbol:8} ", outcome, f"  after {span(after)}")
