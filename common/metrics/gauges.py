"""A snapshot as Prometheus metrics. Unknown values have no sample."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from common.metrics.snapshot import LedgerReading, Snapshot
from common.operations.budget import BudgetReport
from common.operations.status import StatusReport
from common.operations.types import CLASSES

STATES = ("ok", "held", "failing", "unknown")


def to_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    """All metrics of a snapshot; without PostgreSQL only the states of the stores."""
    status, reading = snapshot.status, snapshot.reading
    yield stores(postgres=status.database == "connected", redis=status.redis == "connected")
    if reading is not None:
        yield from _processes(status)
        yield from _freshness(status, reading)
        yield from _queue(status, reading)
        yield from _budget(reading.budget)


def stores(**up: bool) -> Metric:
    return _by("store", "quotewell_store_up", "Whether a store answers.", up)


def _processes(status: StatusReport) -> Iterator[Metric]:
    seen = max((worker.seen_at for worker in status.workers), default=None)
    provider, ticked = status.provider, _unix(status.beat.last_tick_at)
    states = {state: state == provider.state for state in STATES}
    yield _by("state", "quotewell_provider_state", "1 for the state that the provider is in.", states)
    answered = _unix(provider.last_ok_at)
    yield _one("quotewell_provider_answered_timestamp_seconds", "When a call last succeeded; 0: never.", answered)
    yield _one(
        "quotewell_beat_tick_timestamp_seconds", "When a worker last ran a task that beat sent; 0: never.", ticked
    )
    yield _one(
        "quotewell_worker_seen_timestamp_seconds", "When a worker was last seen; 0: none within a minute.", _unix(seen)
    )
    yield _one("quotewell_workers", "Worker processes seen within a minute.", len(status.workers))


def _freshness(status: StatusReport, reading: LedgerReading) -> Iterator[Metric]:
    yield _one("quotewell_symbols_wanted", "Tracked symbols: watched, read or pinned.", status.wanted)
    yield _one("quotewell_symbols_quarantined", "Tracked symbols in quarantine.", status.quarantined)
    yield _one(
        "quotewell_mean_age_seconds",
        "Mean age of tracked symbols, weighted by reads, in market-open time.",
        status.mean_age_s,
    )
    yield _one(
        "quotewell_mean_age_bound_seconds", "The lowest mean age that any order of refreshes reaches.", status.bound_s
    )
    yield _one("quotewell_age_ratio", "Mean age divided by its bound; 1 is the optimum.", status.age_ratio)
    refreshed = "Market-open time since a call returned quotes; +Inf: none ever did."
    yield _one("quotewell_refresh_age_seconds", refreshed, reading.refreshed)
    planned = "Planned time between two background calls; absent while none are due."
    yield _one("quotewell_refresh_gap_seconds", planned, reading.gap)
    yield _one("quotewell_market_open", "Whether the market is open, so that quotes age.", reading.market_open)


def _queue(status: StatusReport, reading: LedgerReading) -> Iterator[Metric]:
    found = {waiting.call_class: waiting for waiting in reading.waiting}
    rows: dict[str, float] = {name: found[name].rows if name in found else 0 for name in CLASSES}
    oldest: dict[str, float] = {name: found[name].oldest.total_seconds() if name in found else 0 for name in CLASSES}
    over = dict(zip((limit.limit for limit in reading.budget.limits), reading.over, strict=True))
    yield _by("class", "quotewell_line_rows", "Requests that wait for a call.", rows)
    yield _by("class", "quotewell_line_oldest_seconds", "How long the oldest waiting request has waited.", oldest)
    yield _one("quotewell_line_in_flight", "Requests whose call is under way.", status.in_flight)
    yield _by("limit", "quotewell_calls_over_limit", "Calls of the last five minutes that broke the limit.", over)


def _budget(budget: BudgetReport) -> Iterator[Metric]:
    yield _by(
        "limit",
        "quotewell_slots",
        "Calls that the limit allows.",
        {limit.limit: limit.calls for limit in budget.limits},
    )
    yield _by(
        "limit",
        "quotewell_slots_free",
        "Calls that the limit allows now.",
        {limit.limit: limit.free for limit in budget.limits},
    )
    spent = GaugeMetricFamily("quotewell_journal_calls", "Calls of the last hour.", labels=["class", "outcome"])
    for row in budget.spent:
        if row.window == "hour":
            spent.add_metric([row.call_class, row.outcome], row.calls)
    yield spent
    hold = GaugeMetricFamily("quotewell_hold_seconds", "Time until the hold ends; 0: no hold.", labels=["reason"])
    hold.add_metric([budget.held_for or "none"], _left(budget.held_until))
    yield hold


def _by(label: str, name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _one(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def _unix(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()


def _left(until: datetime | None) -> float:
    return 0.0 if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())
