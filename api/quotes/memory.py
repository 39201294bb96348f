"""One process's memory of quotes, of charts, and of the answers made of them. A newer version always wins, so a price never goes back here.

The stream makes it right (api/streams/tail.py); while that is broken an entry is good for a second and then looked up again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from api.http.answers import Answers
from api.quotes.chart_memory import Charts
from common.core.models import Quote
from common.core.quotes.outlook import Outlook

MAX_SYMBOLS = 20_000  # symbols
RECHECK_INTERVAL = 1.0  # seconds
OVERVIEW = "/api/market/overview"


@dataclass(slots=True)
class Entry:
    """A symbol's newest quote, the id of the event that told it (empty: a store did), and when it was last known to be newest."""

    quote: Quote
    event: str
    checked: float


class Memory:
    """`followed`: the stream keeps it right. `listeners` hear of each newer quote, on the loop, and must not wait."""

    def __init__(self) -> None:
        self.followed = False
        self.outlook = Outlook()
        self.answers = Answers()
        self.charts = Charts(self.answers)
        self.listeners: set[Callable[[Entry], None]] = set()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def remember(self, quote: Quote, event: str = "") -> None:
        """Take a quote in unless memory has a newer one."""
        entry = self._entries.get(quote.symbol)
        if entry is not None and entry.quote.fetched_at >= quote.fetched_at:
            entry.checked = time.monotonic()
            entry.event = entry.event or event
            return
        entry = self._entries[quote.symbol] = Entry(quote, event, time.monotonic())
        if len(self._entries) > MAX_SYMBOLS:
            self._entries.popitem(last=False)
        for path in (f"/api/stock/{quote.symbol}", OVERVIEW):  # an older price of it is told by no answer from here on
            self.answers.drop(path)
        self.charts.end_answers(quote.symbol)
        for listener in self.listeners:
            listener(entry)

    def symbols(self) -> list[str]:
        return list(self._entries)

    def entry(self, symbol: str) -> Entry | None:
        """What is remembered, right or not."""
        return self._entries.get(symbol)

    def recall(self, symbol: str) -> Quote | None:
        """What may be answered without asking a store."""
        entry = self._entries.get(symbol)
        if entry is None:
            return None
        self._entries.move_to_end(symbol)
        return entry.quote if self.followed or time.monotonic() - entry.checked < RECHECK_INTERVAL else None


MEMORY = web.AppKey("memory", Memory)
