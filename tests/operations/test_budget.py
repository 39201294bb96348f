"""Slots as the ledger counts them, who spent them, and the operator's hold."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.calls import permits, work
from common.core.limits import LEASE, parse_limits
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.operations.budget import BudgetReport, Spent, hold, release, report_budget
from common.process.resources import Resources
from common.store.budget import gate, ledger
from common.store.budget.ledger import Wait
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from tests.operations.conftest import BY, acts, break_provider, serve, take
from tests.store.conftest import Clock

HOUR = timedelta(hours=1)


@pytest.fixture
def slow(process: Resources) -> Resources:
    """Two a minute, ten an hour."""
    return replace(process, budget=replace(process.budget, limits=parse_limits("2/1min,10/1h", "limits")))


async def want(process: Resources, *symbols: str, call_class: CallClass = CallClass.USER) -> None:
    async with acquire(process.db) as connection:
        await enqueue(connection, process.budget, Function.QUOTE, symbols, call_class, ttl=HOUR)


def slots(report: BudgetReport) -> list[tuple[str, int, int, bool]]:
    return [(each.limit, each.used, each.free, each.next_free_at is None) for each in report.limits]


async def test_before_the_first_call_every_slot_is_free(slow: Resources) -> None:
    report = await report_budget(slow)

    assert [("2/1min", 0, 2, True), ("10/1h", 0, 10, True)] == slots(report)
    assert (slow.budget.account, None, 0.0, None, None, False) == (
        report.account,
        report.next_free_at,
        report.next_free_s,
        report.held_until,
        report.held_for,
        report.probing,
    )
    assert [] == report.spent


async def test_a_spent_minute_says_when_the_next_slot_is_free(slow: Resources, clock: Clock) -> None:
    await want(slow, "A", "IBM", "MSFT")
    await serve(slow)
    clock.pass_(10)
    await serve(slow)
    clock.pass_(20)
    report = await report_budget(slow)
    answer = await permits.obtain_permit(slow)

    assert [("2/1min", 2, 0, False), ("10/1h", 2, 8, True)] == slots(report)
    assert isinstance(answer, Wait)
    assert answer.wait is not None
    assert (30.0, report.limits[0].next_free_at) == (report.next_free_s, report.next_free_at)
    assert answer.wait.total_seconds() == report.next_free_s


async def test_a_slot_of_a_call_under_way_counts_from_the_leases_end(slow: Resources) -> None:
    await want(slow, "A", "IBM")
    await take(slow)
    await take(slow)

    assert LEASE.total_seconds() + 60 == (await report_budget(slow)).next_free_s


async def test_what_never_left_costs_nothing(slow: Resources) -> None:
    await want(slow, "IBM")
    permit = await take(slow)
    await work.carry_out(slow, replace(permit, asked=permit.asked - 60))
    report = await report_budget(slow)

    assert [0, 0] == [limit.used for limit in report.limits]
    assert {"unsent"} == {spent.outcome for spent in report.spent}


async def test_calls_are_told_by_window_class_and_outcome(process: Resources, clock: Clock) -> None:
    await want(process, "IBM")
    await serve(process)
    clock.pass_(timedelta(minutes=5))
    await want(process, "MSFT", call_class=CallClass.OPERATOR)
    await break_provider(process, "http_503")
    await serve(process)

    assert [
        Spent("minute", "operator", "unavailable", 1),
        Spent("hour", "user", "ok", 1),
        Spent("hour", "operator", "unavailable", 1),
        Spent("day", "user", "ok", 1),
        Spent("day", "operator", "unavailable", 1),
    ] == (await report_budget(process)).spent


async def test_a_call_without_an_outcome_is_in_flight_until_its_lease_ends(process: Resources, clock: Clock) -> None:
    await want(process, "IBM")
    await take(process)
    flies = (await report_budget(process)).spent[0].outcome
    clock.pass_(LEASE)

    assert ("in_flight", "unsettled") == (flies, (await report_budget(process)).spent[0].outcome)


async def test_calls_of_another_key_are_not_told(process: Resources) -> None:
    await want(process, "IBM")
    await serve(process)
    other = replace(process, budget=replace(process.budget, account="another"))

    assert ("another", [], 0) == ((found := await report_budget(other)).account, found.spent, found.limits[0].used)


async def test_a_hold_lets_no_call_go_until_it_is_released(process: Resources) -> None:
    await want(process, "IBM")
    held = await hold(process, HOUR, by=BY)
    waits = await permits.obtain_permit(process)
    released = await release(process, by=BY)

    assert ("operator", 3600.0, held.held_until) == (held.held_for, held.next_free_s, held.next_free_at)
    assert Wait(HOUR, "operator") == waits
    assert (None, None, 0.0) == (released.held_until, released.held_for, released.next_free_s)
    assert Outcome.OK == await serve(process)
    assert [("calls_held", BY, "for 3600 s"), ("calls_released", BY, None)] == await acts(process)


async def test_a_longer_hold_stands(process: Resources) -> None:
    longer = await hold(process, 2 * HOUR, by=BY)

    assert longer.held_until == (await hold(process, HOUR, by=BY)).held_until


async def test_a_hold_that_is_over_is_not_told(process: Resources, clock: Clock) -> None:
    await hold(process, HOUR, by=BY)
    clock.pass_(HOUR)
    report = await report_budget(process)

    assert (None, None, None, 0.0) == (report.held_until, report.held_for, report.next_free_at, report.next_free_s)


async def test_a_refused_key_holds_all_calls_until_a_probe_or_until_it_is_released(process: Resources) -> None:
    async with acquire(process.db) as connection:
        until = await ledger.select_now(connection) + HOUR
        await gate.upsert_hold(connection, process.budget.account, Hold(until, Outcome.BAD_KEY, probing=True))
    rests = await report_budget(process)
    released = await release(process, by=BY)

    assert (until, "bad_key", True, until) == (rests.held_until, rests.held_for, rests.probing, rests.next_free_at)
    assert (None, None, False, None) == (
        released.held_until,
        released.held_for,
        released.probing,
        released.next_free_at,
    )
