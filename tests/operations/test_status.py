"""Everything at one glance, also while stores are away."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.calls.settle import settle
from common.core.limits import LEASE
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.operations.status import BeatStatus, ProviderStatus, report_status
from common.operations.symbols import report_symbols
from common.process.resources import Resources, open_redis
from common.store.budget import gate
from common.store.budget.heartbeats import upsert_heartbeats
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from common.store.market.symbols import upsert_pins
from tests.operations.conftest import after, execute, serve, take
from tests.store.conftest import Clock
from worker.jobs import work_queue

HOUR = timedelta(hours=1)


async def want(process: Resources, *symbols: str) -> None:
    async with acquire(process.db) as connection:
        await enqueue(connection, process.budget, Function.QUOTE, symbols, CallClass.OPERATOR, ttl=HOUR)


async def end(process: Resources, symbol: str, outcome: Outcome) -> None:
    """A call that ends so, without a provider."""
    await want(process, symbol)
    await settle(process, (await take(process)).grant, outcome, ())


async def test_what_works_is_healthy(process: Resources, clock: Clock) -> None:
    await work_queue(process, stopping=after(1), ticked=True)
    report = await report_status(process)

    assert ("healthy", "connected", "connected") == (report.status, report.database, report.redis)
    assert ProviderStatus("ok", None, None, clock.now) == report.provider
    assert BeatStatus("ok", clock.now, 0.0) == report.beat
    assert [(process.budget.process, clock.now, 0.0)] == [(one.name, one.seen_at, one.age_s) for one in report.workers]
    assert ("testing", "simulated") == (report.environment, report.source)
    assert report.version[0].isdigit()


async def test_before_anything_ran_it_says_so(process: Resources) -> None:
    report = await report_status(process)

    assert ("degraded", ProviderStatus("unknown"), BeatStatus("never")) == (report.status, report.provider, report.beat)
    assert ([], 0, 0, 0, 0) == (report.workers, report.wanted, report.waiting, report.in_flight, report.quarantined)
    assert (None, None, None) == (report.age_ratio, report.mean_age_s, report.bound_s)


async def test_beat_that_ticks_no_more_is_late_and_workers_are_told_for_a_minute(
    process: Resources, clock: Clock
) -> None:
    seen = []
    await work_queue(process, stopping=after(1), ticked=True)
    for seconds in (20, 1, 38.5, 1):
        clock.pass_(seconds)
        report = await report_status(process)
        seen.append((report.beat.state, len(report.workers), report.status))

    assert [
        ("ok", 1, "healthy"),
        ("late", 1, "degraded"),
        ("late", 1, "degraded"),
        ("late", 0, "degraded"),
    ] == seen


async def test_a_worker_that_is_woken_by_hand_says_nothing_of_beat(process: Resources) -> None:
    await work_queue(process, stopping=after(1))
    report = await report_status(process)

    assert ("never", 1) == (report.beat.state, len(report.workers))


async def test_a_hold_is_told_with_its_reason(process: Resources, clock: Clock) -> None:
    await work_queue(process, stopping=after(1), ticked=True)
    async with acquire(process.db) as connection:
        await gate.upsert_hold(connection, process.budget.account, Hold(clock.now + HOUR, "operator", probing=False))
    during = await report_status(process)
    clock.pass_(HOUR)

    assert ("held", "operator", clock.now) == (during.provider.state, during.provider.reason, during.provider.until)
    assert "degraded" == during.status
    assert "ok" == (await report_status(process)).provider.state


async def test_a_provider_fails_after_three_calls_without_an_answer_until_one_comes(
    process: Resources, clock: Clock
) -> None:
    await want(process, "IBM")
    await serve(process)
    answered, states = clock.now, []
    for number in range(3):
        await end(process, f"S{number}", Outcome.UNAVAILABLE)
        await execute(process, "DELETE FROM demand")
        states.append((await report_status(process)).provider.state)
    fails = await report_status(process)
    clock.pass_(15)
    await want(process, "IBM")
    await serve(process)

    assert ["ok", "ok", "failing"] == states
    assert ProviderStatus("failing", "provider_down", clock.now, answered) == fails.provider
    assert ProviderStatus("ok", None, None, clock.now) == (await report_status(process)).provider


async def test_a_probe_that_fails_doubles_the_wait(process: Resources, clock: Clock) -> None:
    waits = []
    for number in range(9):
        await end(process, f"S{number}", Outcome.UNAVAILABLE)
        await execute(process, "DELETE FROM demand")
        if (until := (await report_status(process)).provider.until) is not None:
            waits.append((until - clock.now).total_seconds())
            clock.set(until)

    assert [15, 30, 60, 120, 240, 480, 900] == waits


async def test_a_refused_key_fails_until_it_is_tried_again(process: Resources, clock: Clock) -> None:
    await end(process, "IBM", Outcome.BAD_KEY)
    refused = await report_status(process)
    clock.pass_(timedelta(minutes=15))
    await want(process, "IBM")
    await serve(process)

    assert ProviderStatus("failing", "bad_key", clock.now) == refused.provider
    assert "ok" == (await report_status(process)).provider.state


async def test_symbols_and_the_line_are_counted(process: Resources, clock: Clock) -> None:
    async with acquire(process.db) as connection:
        await upsert_pins(connection, ["IBM", "NOSUCH"])
    await want(process, "NOSUCH")
    await serve(process)
    await want(process, "IBM", "MSFT", "TSLA")
    await take(process)
    flies = await report_status(process)
    clock.pass_(LEASE)
    waits = await report_status(process)

    assert (2, 1, 2, 1) == (flies.wanted, flies.quarantined, flies.waiting, flies.in_flight)
    assert (3, 0) == (waits.waiting, waits.in_flight)


async def test_ages_are_those_of_the_symbols_report(process: Resources, clock: Clock) -> None:
    async with acquire(process.db) as connection:
        await upsert_pins(connection, ["IBM"])
    await want(process, "IBM")
    await serve(process)
    clock.pass_(90)
    status, symbols = await report_status(process), await report_symbols(process)

    assert (90.0, symbols.bound_s, symbols.age_ratio) == (status.mean_age_s, status.bound_s, status.age_ratio)


@pytest.mark.parametrize(
    ("database", "redis", "judged"), [(True, False, "degraded"), (False, True, "degraded"), (False, False, "unhealthy")]
)
async def test_it_tells_which_store_is_away(process: Resources, database: bool, redis: bool, judged: str) -> None:
    if not database:
        await process.db.close()
    away = process if redis else replace(process, redis=open_redis("redis://127.0.0.1:9", timeout=0.1))
    report = await report_status(away)
    await away.redis.aclose()

    words = {True: "connected", False: "disconnected"}
    assert (judged, words[database], words[redis]) == (report.status, report.database, report.redis)
    assert (database, database) == (report.wanted is not None, report.beat.state != "unknown")


async def test_the_name_of_a_process_that_is_not_beat_is_a_worker(process: Resources) -> None:
    async with acquire(process.db) as connection:
        await upsert_heartbeats(connection, ["worker@b:2", "worker@a:1", "beat"])

    assert ["worker@a:1", "worker@b:2"] == [one.name for one in (await report_status(process)).workers]
