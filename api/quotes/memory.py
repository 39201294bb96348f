"""One process's memory of quotes, charts, and the answers made from them. The newer version always wins, so a price never goes back.

The stream's tail keeps it up to date (api/streams/tail.py). While the tail is broken, an entry is valid for a second, then looked up again.
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

MAX_SYMBOLS = 20_000
RECHECK_INTERVAL = 1.0  # seconds, while the tail is broken
OVERVIEW = "/api/market/overview"


@dataclass(slots=True)
class Entry:
    """A symbol's newest quote, the id of its event (empty if it came from a store), and when it was last confirmed as newest."""

    quote: Quote
    event: str
    checked: float


class Memory:
    """`followed`: the tail keeps it up to date. `listeners` are called on the event loop with each newer quote, and must not block."""

    def __init__(self) -> None:
        self.followed = False
        self.outlook = Outlook()
        self.answers = Answers()
        self.charts = Charts(self.answers)
        self.listeners: set[Callable[[Entry], None]] = set()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def remember(self, quote: Quote, event: str = "") -> None:
        """Store a quote unless memory has a newer one."""
        entry = self._entries.get(quote.symbol)
        if entry is not None and entry.quote.fetched_at >= quote.fetched_at:
            entry.checked = time.monotonic()
            entry.event = entry.event or event
            return
        entry = self._entries[quote.symbol] = Entry(quote, event, time.monotonic())
        if len(self._entries) > MAX_SYMBOLS:
            self._entries.popitem(last=False)
        for path in (f"/api/stock/{quote.symbol}", OVERVIEW):  # they show the older price
            self.answers.drop(path)
        self.charts.drop_answers(quote.symbol)
        for listener in self.listeners:
            listener(entry)

    def symbols(self) -> list[str]:
        return list(self._entries)

    def entry(self, symbol: str) -> Entry | None:
        """The entry, up to date or not."""
        return self._entries.get(symbol)

    def recall(self, symbol: str) -> Quote | None:
        """The quote, if it may be answered without asking a store."""
        entry = self._entries.get(symbol)
        if entry is None:
            return None
        self._entries.move_to_end(symbol)
        return entry.quote if self.followed or time.monotonic() - entry.checked < RECHECK_INTERVAL else None


MEMORY = web.AppKey("memory", Memory)
