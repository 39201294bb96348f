"""Metrics of every process that makes calls. docs/logs-and-metrics.md lists names, units and labels, and a test compares them.

No label is a symbol, an account or a client's text: each has a few values, known in advance.
"""

from collections.abc import Iterable
from datetime import timedelta

from prometheus_client import Counter, Histogram, disable_created_metrics

from common.core.models import CallClass
from common.core.provider.outcomes import THROTTLES, Outcome
from common.store.budget.ledger import Grant

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and nobody queries them

WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)  # seconds

CALLS = Counter(
    "quotewell_provider_calls",
    "Calls to the provider that this process made.",
    ["class", "function", "outcome"],
)
THROTTLED = Counter(
    "quotewell_provider_throttled",
    "Calls that the provider throttled. Should stay 0.",
    ["outcome"],
)
GRANT_WAIT = Histogram(
    "quotewell_grant_wait_seconds",
    "Queueing time of served requests, until the grant of their call.",
    ["class"],
    buckets=WAITS,
)


for _throttle in THROTTLES:  # pre-create the series: increase() ignores a counter's first sample
    THROTTLED.labels(_throttle.value)
for _class in (CallClass.USER, CallClass.STRANGER, CallClass.OPERATOR):
    GRANT_WAIT.labels(_class.value)


def note_call(grant: Grant, outcome: Outcome) -> None:
    """Count a call that has ended."""
    CALLS.labels(grant.call_class.value, grant.function.value, outcome.value).inc()
    if outcome in THROTTLES:
        THROTTLED.labels(outcome.value).inc()


def note_waits(waits: Iterable[tuple[CallClass, timedelta]]) -> None:
    """Observe the queueing time of each served request, unless it is background's or joined a call already granted."""
    for call_class, waited in waits:
        if call_class is not CallClass.REFRESH and waited > timedelta():
            GRANT_WAIT.labels(call_class.value).observe(waited.total_seconds())
