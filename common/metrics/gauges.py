"""A snapshot as Prometheus metrics. Unknown values have no sample."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from common.metrics.snapshot import LedgerReading, Snapshot
from common.operations.budget import BudgetReport
from common.operations.status import StatusReport
from common.operations.terms import CLASSES

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
    yield _one("quotewell_provider_answered_timestamp_seconds", "When a call last went well; 0: never.", answered)
    yield _one("quotewell_beat_tick_timestamp_seconds", "The last tick that a worker worked; 0: none.", ticked)
    yield _one("quotewell_worker_seen_timestamp_seconds", "Of any worker; 0: none within a minute.", _unix(seen))
    yield _one("quotewell_workers", "Worker processes that were at the line within a minute.", len(status.workers))


def _freshness(status: StatusReport, reading: LedgerReading) -> Iterator[Metric]:
    yield _one("quotewell_symbols_wanted", "Symbols that are watched, read or pinned.", status.wanted)
    yield _one("quotewell_symbols_quarantined", "Wanted symbols that rest after failures.", status.quarantined)
    yield _one(
        "quotewell_mean_age_seconds", "Of wanted symbols, weighted by reads; market-open time.", status.mean_age_s
    )
    yield _one("quotewell_mean_age_bound_seconds", "The least that any order of refreshes reaches.", status.bound_s)
    yield _one("quotewell_age_ratio", "The mean age over its bound; 1 cannot be beaten for long.", status.age_ratio)
    refreshed = "Market-open time since a call brought quotes; +Inf: none ever did."
    yield _one("quotewell_refresh_age_seconds", refreshed, reading.refreshed)
    planned = "Between two background calls, as planned; none while none are due."
    yield _one("quotewell_refresh_gap_seconds", planned, reading.gap)
    yield _one("quotewell_market_open", "Whether quotes grow old.", reading.market_open)


def _queue(status: StatusReport, reading: LedgerReading) -> Iterator[Metric]:
    found = {waiting.call_class: waiting for waiting in reading.waiting}
    rows: dict[str, float] = {name: found[name].rows if name in found else 0 for name in CLASSES}
    oldest: dict[str, float] = {name: found[name].oldest.total_seconds() if name in found else 0 for name in CLASSES}
    over = dict(zip((limit.limit for limit in reading.budget.limits), reading.over, strict=True))
    yield _by("class", "quotewell_line_rows", "Demands that wait for a call.", rows)
    yield _by("class", "quotewell_line_oldest_seconds", "How long the oldest of them has waited.", oldest)
    yield _one("quotewell_line_in_flight", "Demands whose call is under way.", status.in_flight)
    yield _by("limit", "quotewell_calls_over_limit", "Calls that broke it within five minutes, by the journal.", over)


def _budget(budget: BudgetReport) -> Iterator[Metric]:
    yield _by(
        "limit", "quotewell_slots", "Calls that it allows.", {limit.limit: limit.calls for limit in budget.limits}
    )
    yield _by("limit", "quotewell_slots_free", "Of these, now.", {limit.limit: limit.free for limit in budget.limits})
    spent = GaugeMetricFamily("quotewell_journal_calls", "Calls of the last hour.", labels=["class", "outcome"])
    for row in budget.spent:
        if row.window == "hour":
            spent.add_metric([row.call_class, row.outcome], row.calls)
    yield spent
    hold = GaugeMetricFamily("quotewell_hold_seconds", "Until calls go on; 0: now.", labels=["reason"])
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
