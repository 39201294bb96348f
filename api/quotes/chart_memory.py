"""One process's memory of charts: the provider's bars as they were last looked up, and the answers that were made of them.

An answer shows the newest quote too, so a newer one ends it; the bars stay, and the next answer costs no look at a store.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from api.http.answers import Answer, Answers
from common.core.quotes.chart import Chart

MAX_CHARTS = 500  # some 60 kB each
RECHECK_INTERVAL = 60.0  # seconds that a chart is answered without a look at the database


@dataclass(slots=True)
class Kept:
    """A chart, when it was looked up (monotonic seconds), and the paths that it was answered at."""

    chart: Chart
    looked_up: float
    paths: set[str] = field(default_factory=set)


class Charts:
    """The charts of one process by symbol, the least used leave first."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def recall(self, symbol: str) -> Chart | None:
        """What may be answered without a look at the database."""
        kept = self._kept.get(symbol)
        return kept.chart if kept is not None and time.monotonic() - kept.looked_up < RECHECK_INTERVAL else None

    def last(self, symbol: str) -> Chart | None:
        """What was last looked up, however long ago: for when the database does not answer."""
        kept = self._kept.get(symbol)
        return None if kept is None else kept.chart

    def remember(self, chart: Chart) -> None:
        kept = self._kept.pop(chart.symbol, None)
        paths = set() if kept is None else kept.paths
        self._kept[chart.symbol] = Kept(chart, time.monotonic(), paths)
        if len(self._kept) > MAX_CHARTS:
            _, left = self._kept.popitem(last=False)
            self._drop(left)

    def keep_answer(self, symbol: str, path: str, answer: Answer) -> None:
        """Have the answer ready until a newer quote ends it; not for a chart that has left, for nobody would end it."""
        if (kept := self._kept.get(symbol)) is not None:
            kept.paths.add(path)
            self._answers.keep(path, answer)

    def end_answers(self, symbol: str) -> None:
        """A newer quote of it has come."""
        if (kept := self._kept.get(symbol)) is not None:
            self._drop(kept)

    def _drop(self, kept: Kept) -> None:
        for path in kept.paths:
            self._answers.drop(path)
        kept.paths.clear()
