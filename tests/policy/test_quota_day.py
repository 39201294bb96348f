"""A quota of calls a day, on two days in a row: spread over the session, with room for who waits."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from common.core.budget.staleness import lower_bound
from common.core.models import CallClass
from tests.policy.conftest import Begin
from tests.policy.day import Day, at, crowd
from tests.policy.record import over_limit

MONDAY = at("2026-11-16T14:30"), at("2026-11-16T21:00")
TUESDAY = at("2026-11-17T14:30"), at("2026-11-17T21:00")
HOUR = timedelta(hours=1)
QUOTA, SYMBOLS, MISSES = 200, 8, 24
AT_ONCE = timedelta(seconds=2)  # the rule of a second, and a call under way


async def quota_day(begin: Begin, quota: int = QUOTA, symbols: int = SYMBOLS) -> Day:
    day = await begin(MONDAY[0] - HOUR, ALPHA_VANTAGE_PLAN="standard", PROVIDER_LIMITS=f"1/1s,5/1min,{quota}/1d")
    day.cap = timedelta(minutes=10)
    await day.watch(crowd(symbols))
    return day


def plan_misses(day: Day, session: tuple[datetime, datetime], count: int) -> dict[str, datetime]:
    """Misses spread over a session, and when each began to wait."""
    gap = (session[1] - session[0]) / count
    wanted = {f"M{session[0]:%d}X{n:02}": session[0] + gap * (n + 0.37) for n in range(count)}
    for symbol, moment in wanted.items():
        day.plan(moment, partial(day.miss, symbol))
    return wanted


def waited(day: Day, wanted: dict[str, datetime]) -> list[timedelta]:
    """How long each miss waited for its call; those that were never served are left out."""
    served = {call.subjects[0]: call.at for call in day.record.calls if call.call_class is CallClass.USER}
    return [served[symbol] - since for symbol, since in wanted.items() if symbol in served]


async def test_a_quota_is_spread_over_each_of_two_sessions(begin: Begin) -> None:
    day = await quota_day(begin, 500, 20)
    await day.run(TUESDAY[1] + HOUR)

    assert len(day.record.between(MONDAY[0], TUESDAY[0])) >= 0.98 * 500
    assert len(day.record.between(TUESDAY[0], day.now)) >= 0.98 * (500 - 20)  # but for what Monday's sweep still takes
    for opening, close in (MONDAY, TUESDAY):
        by_the_hour = [len(day.record.between(opening + HOUR * n, opening + HOUR * (n + 1))) for n in range(6)]
        assert day.record.age(day.calendar, opening, close) <= 7
        assert day.record.age(day.calendar, close - HOUR, close) <= 7
        assert max(by_the_hour) <= 2 * min(by_the_hour)
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


@pytest.mark.parametrize(("quota", "symbols"), [(60, 6), (100, 20)])
async def test_the_session_leaves_the_sweep_its_call_for_each_symbol(begin: Begin, quota: int, symbols: int) -> None:
    day = await quota_day(begin, quota, symbols)
    await day.run(MONDAY[1] + HOUR)

    assert sorted(day.record.weights) == sorted(day.record.asked(MONDAY[1], day.now))


async def test_who_waits_is_served_at_once_on_the_first_day(begin: Begin) -> None:
    day = await quota_day(begin)
    wanted = plan_misses(day, MONDAY, MISSES)
    await day.run(MONDAY[1])

    waits = waited(day, wanted)
    assert len(waits) == len(wanted)
    assert max(waits) <= AT_ONCE
    rest = lower_bound(list(day.record.weights.values()), (QUOTA - SYMBOLS - MISSES) / 390)
    assert day.record.age(day.calendar, *MONDAY) <= 1.05 * rest
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_who_waits_is_served_at_once_after_a_day_that_was_used_up(begin: Begin) -> None:
    day = await quota_day(begin)
    wanted = plan_misses(day, TUESDAY, MISSES)
    await day.run(TUESDAY[1])

    waits = waited(day, wanted)
    assert len(waits) == len(wanted)
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}
    assert max(waits) <= AT_ONCE
