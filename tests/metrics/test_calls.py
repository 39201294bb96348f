"""Metrics of calls and queueing times, and of the whole service, also while a store is down."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from common.calls import permits, work
from common.calls.metrics import note_call, note_waits
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.metrics import collector as metrics_shared
from common.metrics.collector import ServiceCollector
from common.metrics.snapshot import observe
from common.process.resources import Resources
from common.process.settings import Settings
from common.provider import Permit
from common.store.budget import gate, heartbeats
from common.store.budget.ledger import Grant
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from tests.harness.polling import BUSY, PATIENCE

DAY = timedelta(days=1)
Figures = dict[tuple[str, ...], float]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def told(metrics: list[Metric]) -> Figures:
    """Samples by their name and the values of their labels, the prefix left out."""
    samples = [sample for metric in metrics for sample in metric.samples]
    return {(sample.name.removeprefix("quotewell_"), *sample.labels.values()): sample.value for sample in samples}


async def look(settings: Settings) -> Figures:
    """As a scrape does it: from a thread, on a loop of its own."""
    return told(await asyncio.to_thread(ServiceCollector(settings).collect))


def granted(call_class: CallClass = CallClass.REFRESH) -> Grant:
    return Grant(1, Function.QUOTE, ("IBM",), call_class, datetime.now(UTC))


@pytest.mark.parametrize(
    ("outcome", "throttled"),
    [
        (Outcome.OK, 0),
        (Outcome.UNAVAILABLE, 0),
        (Outcome.BAD_KEY, 0),
        (Outcome.THROTTLED_MINUTE, 1),
        (Outcome.THROTTLED_SECOND, 1),
        (Outcome.DAY_USED_UP, 1),
    ],
)
def test_a_call_is_counted_by_class_function_and_outcome_and_a_throttled_one_twice(
    outcome: Outcome, throttled: int
) -> None:
    labels = {"class": "operator", "function": "GLOBAL_QUOTE", "outcome": outcome.value}
    calls = value("quotewell_provider_calls_total", **labels)
    alarms = value("quotewell_provider_throttled_total", outcome=outcome.value)

    note_call(granted(CallClass.OPERATOR), outcome)

    assert calls + 1 == value("quotewell_provider_calls_total", **labels)
    assert alarms + throttled == value("quotewell_provider_throttled_total", outcome=outcome.value)


def test_an_alarm_stands_at_zero_before_it_first_rings() -> None:
    """An increase from nothing to one is none to Prometheus."""
    for outcome in ("throttled_second", "throttled_minute", "day_used_up"):
        assert REGISTRY.get_sample_value("quotewell_provider_throttled_total", {"outcome": outcome}) is not None


def test_waits_are_observed_by_class() -> None:
    name = "quotewell_grant_wait_seconds_sum"
    before = value(name, **{"class": "user"}), value(name, **{"class": "operator"})

    late, background = (CallClass.USER, timedelta(seconds=-1)), (CallClass.REFRESH, timedelta(seconds=1))
    note_waits([(CallClass.USER, timedelta(seconds=2)), (CallClass.OPERATOR, timedelta(hours=1)), late, background])

    after = value(name, **{"class": "user"}), value(name, **{"class": "operator"})
    assert [2, 3600] == pytest.approx([later - earlier for later, earlier in zip(after, before, strict=True)])


async def test_a_call_that_is_carried_out_counts_itself_and_what_waited_for_it(resources: Resources) -> None:
    calls = {"class": "user", "function": "GLOBAL_QUOTE", "outcome": "ok"}
    before = value("quotewell_provider_calls_total", **calls)
    waited = value("quotewell_grant_wait_seconds_count", **{"class": "user"})
    async with acquire(resources.db) as connection:
        await enqueue(connection, resources.budget, Function.QUOTE, ["IBM"], CallClass.USER, ttl=DAY)

    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    assert Outcome.OK is await work.carry_out(resources, permit)

    assert before + 1 == value("quotewell_provider_calls_total", **calls)
    assert waited + 1 == value("quotewell_grant_wait_seconds_count", **{"class": "user"})


async def test_a_fresh_database_has_figures_too(settings: Settings) -> None:
    found = await look(settings)

    assert (1, 1) == (found["store_up", "postgres"], found["store_up", "redis"])
    assert (1000, 1000) == (found["slots", "1000/1min"], found["slots_free", "1000/1min"])
    assert (0, 0, 0) == (
        found["workers",],
        found["beat_tick_timestamp_seconds",],
        found["worker_seen_timestamp_seconds",],
    )
    assert (1, 0) == (found["provider_state", "unknown"], found["provider_state", "ok"])
    assert float("inf") == found["refresh_age_seconds",]
    assert 0 == found["hold_seconds", "none"]
    assert [0] * 6 == [
        found["line_rows", name] for name in ("user", "stranger", "operator", "first", "refresh", "trial")
    ]


async def test_what_happened_is_told(settings: Settings, resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        await enqueue(connection, resources.budget, Function.QUOTE, ["IBM", "AAPL"], CallClass.OPERATOR, ttl=DAY)
        await heartbeats.upsert_heartbeats(connection, [heartbeats.BEAT, "worker@here:1", "worker@here:2"])
    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    await work.carry_out(resources, permit)

    found = await look(resources.settings)

    assert (2, 1) == (found["workers",], found["provider_state", "ok"])
    assert (999, 0) == (found["slots_free", "1000/1min"], found["calls_over_limit", "1000/1min"])
    assert 1 == found["journal_calls", "operator", "ok"]
    assert 1 == found["line_rows", "operator"]
    assert 0 < found["line_oldest_seconds", "operator"] < 30
    assert 0 <= found["refresh_age_seconds",] < 30
    assert found["refresh_gap_seconds",] == pytest.approx(0.06)
    for seen in ("beat_tick", "worker_seen", "provider_answered"):
        assert abs(time.time() - found[f"{seen}_timestamp_seconds",]) < 30


@pytest.mark.parametrize("why", ["operator", "bad_key", "provider_down"])
async def test_a_hold_is_told_with_its_reason(resources: Resources, why: str) -> None:
    async with acquire(resources.db) as connection:
        await gate.upsert_hold(connection, resources.budget.account, Hold(datetime.now(UTC) + DAY, why, False))

    found = await look(resources.settings)

    assert 86_000 < found["hold_seconds", why] <= 86_400
    assert ("hold_seconds", "none") not in found


async def test_a_database_that_is_away_is_a_figure_and_nothing_is_made_up(settings: Settings) -> None:
    found = await look(replace(settings, database_url="postgresql://127.0.0.1:9/none"))

    assert {("store_up", "postgres"): 0, ("store_up", "redis"): 1} == found


async def test_so_is_a_redis_that_is_away(settings: Settings) -> None:
    found = await look(replace(settings, redis_url="redis://127.0.0.1:9/0"))

    assert (1, 0) == (found["store_up", "postgres"], found["store_up", "redis"])
    assert ("slots_free", "1000/1min") in found


async def test_a_database_without_tables_is_as_good_as_none(settings: Settings, store_urls: dict[str, str]) -> None:
    found = await look(replace(settings, database_url=store_urls["DATABASE_URL"]))

    assert 0 == found["store_up", "postgres"]
    assert {"store_up"} == {name for name, *_ in found}


async def test_a_defect_of_the_look_tells_nothing_of_the_service_and_hides_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(resources: Resources) -> object:
        raise LookupError

    monkeypatch.setattr(metrics_shared, "observe", fail)

    assert {} == await look(settings)


async def test_scrapes_within_a_second_cost_one_look(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def counted(resources: Resources) -> object:
        looks.append(resources)
        return await observe(resources)

    monkeypatch.setattr(metrics_shared, "observe", counted)
    shared = ServiceCollector(settings)
    await asyncio.gather(*(asyncio.to_thread(shared.collect) for _ in range(5)))
    assert 1 == len(looks)

    monkeypatch.setattr(metrics_shared, "SNAPSHOT_TTL", 0.0)
    await asyncio.to_thread(shared.collect)

    assert 2 == len(looks)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that only takes its time is not to look like one that hangs."""
    monkeypatch.setattr(metrics_shared, "SNAPSHOT_TIMEOUT", PATIENCE)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looks that last until the event is set; none is waited for longer than a moment."""
    go = threading.Event()

    async def hang(resources: Resources) -> object:
        await asyncio.to_thread(go.wait)
        raise TimeoutError

    monkeypatch.setattr(metrics_shared, "observe", hang)
    monkeypatch.setattr(metrics_shared, "SNAPSHOT_TIMEOUT", 0.2)
    yield go
    go.set()


async def test_a_look_that_hangs_is_given_up_and_not_begun_again(settings: Settings, hanging: threading.Event) -> None:
    shared, begun = ServiceCollector(settings), time.monotonic()

    found = [told(await asyncio.to_thread(shared.collect)) for _ in range(3)]

    assert [{("store_up", "postgres"): 0}] * 3 == found
    assert time.monotonic() - begun < 2 + BUSY  # and not for ever
    assert 1 == sum(thread.name == "observe" for thread in threading.enumerate())


async def test_an_old_quote_is_as_old_as_the_market_was_open(db: asyncpg.Pool, settings: Settings) -> None:
    async with acquire(db) as connection:
        await connection.execute(
            """
            INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
            VALUES ($1, 'GLOBAL_QUOTE', '{IBM}', 'refresh', $2, $2, 'ok', 'test')
            """,
            settings.account,
            datetime.now(UTC) - timedelta(days=100),
        )

    found = await look(replace(settings, market_hours="nyse"))

    assert 0.1 < found["refresh_age_seconds",] / timedelta(days=100).total_seconds() < 0.25
