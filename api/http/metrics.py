"""The API's metrics: requests, cache lookups by layer, ages of served quotes, the stream, logins.

Hot answers are counted as plain integers and flushed about once a second: a Prometheus counter would cost more than the answer.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from aiohttp import hdrs, web
from prometheus_client import Counter, Gauge, Histogram

from api.http.answers import Answer
from common.core.models import Quote
from common.errors import NotNow, QuotewellError, StoreUnavailable
from common.market_calendar import open_calendar

Layer = Literal["answer", "memory", "redis", "postgres", "live"]

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)  # seconds
AGES = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 23400, 117000)  # seconds; a session has 23,400
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)  # seconds
LOGIN = "/api/auth/login"
LOGGED_IN = {200: "ok", 401: "failed", 429: "limited"}


class Ages(Histogram):
    """A histogram that takes one value many times at once.

    prometheus_client has no public way, so this writes `_buckets`, `_upper_bounds` and `_sum` as `Histogram.observe` does
    (https://github.com/prometheus/client_python/blob/v0.26.0/prometheus_client/metrics.py). Remove when `observe` takes a count.
    """

    def observe_many(self, amount: float, times: int) -> None:
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(times)
        self._sum.inc(amount * times)


REQUESTS = Histogram(
    "quotewell_http_request_duration_seconds",
    "From the head of a request to its answer, hot answers apart; of a stream to its beginning.",
    ["method", "route", "status"],
    buckets=DURATIONS,
)
HOT_ANSWERS = Counter(
    "quotewell_http_hot_answers",
    "Answers that were ready and went out past everything else, within some 10 microseconds.",
    ["status"],
)
REFUSALS = Counter("quotewell_http_refusals", "Answers that tell a client to come again later, by code.", ["code"])
SERVER_ERRORS = Counter(
    "quotewell_http_server_errors", "Answers of status 500 and above but for 503, which says when to come again."
)
LOOKUPS = Counter(
    "quotewell_cache_lookups",
    "Quotes that were looked for, by layer in the order of the read path: answer, memory, redis, postgres, live.",
    ["layer", "outcome"],
)
AGE = Ages(
    "quotewell_quote_age_seconds",
    "Market-open seconds from a quote's fetch to its being served.",
    buckets=AGES,
)
STREAM_LAG = Histogram(
    "quotewell_stream_lag_seconds",
    "From a quote's publication, by the clock of Redis, to this process's memory, by ours.",
    buckets=LAGS,
)
STREAM_READ = Gauge(
    "quotewell_stream_caught_up_timestamp_seconds",
    "When the process that is furthest behind last had the newest event of the stream; 0: never.",
    multiprocess_mode="livemin",
)
STREAM_CLIENTS = Gauge("quotewell_stream_clients", "Clients that quotes are pushed to.", multiprocess_mode="livesum")
READS = Counter("quotewell_reads_flushed", "Reads that were written to the weights of symbols.")
LOGINS = Counter("quotewell_logins", "Log-ins by how they went.", ["outcome"])


for _error in NotNow.__subclasses__():
    REFUSALS.labels(_error.code)
for _login in LOGGED_IN.values():  # create the series early: increase() ignores a counter's first sample
    LOGINS.labels(_login)


def note_request(request: web.Request, status: int, took: float) -> None:
    """Count a request that took `took` seconds, by its route and not its path. Hot answers are counted in `Hot`."""
    resource = request.match_info.route.resource
    route = "none" if resource is None else resource.canonical
    method = request.method if request.method in hdrs.METH_ALL else "other"
    REQUESTS.labels(method, route, status).observe(took)
    if status >= 500 and status != 503:
        SERVER_ERRORS.inc()
    if route == LOGIN and status in LOGGED_IN:
        LOGINS.labels(LOGGED_IN[status]).inc()


def note_refusal(error: QuotewellError) -> None:
    """Count an error that is temporary."""
    if isinstance(error, NotNow):
        REFUSALS.labels(error.code).inc()


def note_lookups(layer: Layer, *, hits: int = 0, misses: int = 0, errors: int = 0) -> None:
    """Count lookups in a layer, in quotes; `errors`: the layer did not answer."""
    for outcome, times in (("hit", hits), ("miss", misses), ("error", errors)):
        if times:
            LOOKUPS.labels(layer, outcome).inc(times)


@contextmanager
def live_lookup() -> Iterator[None]:
    """Count the wait for a first quote by how it ends."""
    try:
        yield
    except StoreUnavailable:
        note_lookups("live", errors=1)
        raise
    except QuotewellError:
        note_lookups("live", misses=1)
        raise
    note_lookups("live", hits=1)


def note_served(quotes: Iterable[Quote], market_hours: str) -> None:
    """Observe the ages of quotes that are answered now."""
    age = _ages(market_hours)
    for quote in quotes:
        AGE.observe_many(age(quote.fetched_at), 1)


def note_stream(events: Iterable[str], *, newest: bool) -> None:
    """Observe the lag of events that were read, by their ids; `newest`: none is left unread."""
    now = time.time()
    for event in events:
        STREAM_LAG.observe(max(0.0, now - int(event.partition("-")[0]) / 1000))
    if newest:
        STREAM_READ.set(now)


class Hot:
    """Counts of hot answers since the last flush, by body and status."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, int], tuple[Answer, list[int]]] = {}

    def count(self, answer: Answer, status: int) -> None:
        tally = self._tallies.get((answer.etag, status))
        if tally is None:
            self._tallies[answer.etag, status] = (answer, [1])
        else:
            tally[1][0] += 1

    def flush(self, market_hours: str) -> None:
        """Add the counts to the metrics. They are exact, but every quote gets its age of this moment."""
        tallies, self._tallies = self._tallies, {}
        age = _ages(market_hours)
        for (_, status), (answer, [times]) in tallies.items():
            HOT_ANSWERS.labels(status).inc(times)
            if answer.symbol:
                note_lookups("answer", hits=times)
                AGE.observe_many(age(answer.modified), times)


HOT = Hot()


def _ages(market_hours: str) -> Callable[[datetime], float]:
    """A function that gives the age of a quote at this moment, in market-open seconds."""
    now = datetime.now(UTC)
    calendar = open_calendar(market_hours, now)
    clock = calendar.clock(now)
    return lambda fetched_at: max(0.0, clock - calendar.clock(fetched_at))
