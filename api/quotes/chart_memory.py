"""One process's memory of charts: the provider's bars, and the answers made from them.

An answer also shows the newest quote, so a newer quote drops it. The bars stay, and the next answer needs no store.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from api.http.answers import Answer, Answers
from common.core.quotes.chart import Chart

MAX_CHARTS = 500  # some 60 kB each
RECHECK_INTERVAL = 60.0  # seconds before a chart is looked up again in the database


@dataclass(slots=True)
class Kept:
    """A chart, when it was looked up (monotonic seconds), and the paths of its answers."""

    chart: Chart
    looked_up: float
    paths: set[str] = field(default_factory=set)


class Charts:
    """The charts of one process by symbol; the oldest lookups are evicted first."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def recall(self, symbol: str) -> Chart | None:
        """The chart, if it is recent enough to answer without the database."""
        kept = self._kept.get(symbol)
        return kept.chart if kept is not None and time.monotonic() - kept.looked_up < RECHECK_INTERVAL else None

    def last(self, symbol: str) -> Chart | None:
        """The chart, however old, for when the database does not answer."""
        kept = self._kept.get(symbol)
        return None if kept is None else kept.chart

    def remember(self, chart: Chart) -> None:
        kept = self._kept.pop(chart.symbol, None)
        paths = set() if kept is None else kept.paths
        self._kept[chart.symbol] = Kept(chart, time.monotonic(), paths)
        if len(self._kept) > MAX_CHARTS:
            _, evicted = self._kept.popitem(last=False)
            self._drop(evicted)

    def keep_answer(self, symbol: str, path: str, answer: Answer) -> None:
        """Keep an answer until a newer quote drops it. Not for an evicted chart: nothing would drop its answer."""
        if (kept := self._kept.get(symbol)) is not None:
            kept.paths.add(path)
            self._answers.keep(path, answer)

    def drop_answers(self, symbol: str) -> None:
        """Drop the answers of a symbol: a newer quote has come."""
        if (kept := self._kept.get(symbol)) is not None:
            self._drop(kept)

    def _drop(self, kept: Kept) -> None:
        for path in kept.paths:
            self._answers.drop(path)
        kept.paths.clear()
