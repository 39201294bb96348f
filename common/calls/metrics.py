"""What every process that makes calls counts. Names, units and labels are listed in docs/logs-and-metrics.md, and a test holds them to it.

No label is a symbol, an account or a text of a caller's: each has a few values, known beforehand.
"""

from collections.abc import Iterable
from datetime import timedelta

from prometheus_client import Counter, Histogram, disable_created_metrics

from common.core.models import CallClass
from common.core.provider.outcomes import THROTTLES, Outcome
from common.store.budget.ledger import Grant

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series beside each other one, which nobody asks

WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)  # seconds

CALLS = Counter(
    "quotewell_provider_calls",
    "Calls to the provider that this process made, by what they were for and how they ended.",
    ["class", "function", "outcome"],
)
THROTTLED = Counter(
    "quotewell_provider_throttled",
    "Calls that the provider refused for their number. Each one is one too many.",
    ["outcome"],
)
GRANT_WAIT = Histogram(
    "quotewell_grant_wait_seconds",
    "From joining the line to the grant of the call, for what somebody asked for.",
    ["class"],
    buckets=WAITS,
)


for _throttle in THROTTLES:  # else a first one makes its own series, which is no increase
    THROTTLED.labels(_throttle.value)
for _class in (CallClass.USER, CallClass.STRANGER, CallClass.OPERATOR):
    GRANT_WAIT.labels(_class.value)


def note_call(grant: Grant, outcome: Outcome) -> None:
    """A call has ended."""
    CALLS.labels(grant.call_class.value, grant.function.value, outcome.value).inc()
    if outcome in THROTTLES:
        THROTTLED.labels(outcome.value).inc()


def note_waits(waits: Iterable[tuple[CallClass, timedelta]]) -> None:
    """Observe the queueing time of what is served. Nobody waits for background, nor for the grant of a call under way."""
    for call_class, waited in waits:
        if call_class is not CallClass.REFRESH and waited > timedelta():
            GRANT_WAIT.labels(call_class.value).observe(waited.total_seconds())
