"""Charts that are read all day beside quotes that are refreshed all day: quotes lose nothing, and each evening every chart is complete."""

from datetime import date, datetime, timedelta
from functools import partial

import pytest

from common.core.budget.staleness import lower_bound
from common.core.models import CallClass, Function
from tests.policy.conftest import Begin
from tests.policy.day import Day, at, crowd
from tests.policy.record import Call, over_limit

HALF_HOUR, MINUTE, DAY = timedelta(minutes=30), timedelta(minutes=1), timedelta(days=1)
OPEN, CLOSE, NEXT_OPEN = at("2026-11-23T14:30"), at("2026-11-23T21:00"), at("2026-11-24T14:30")  # a Monday
AFTERNOON = at("2026-11-23T19:00")
MONDAY = date(2026, 11, 23)


def charts_of(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.function is Function.DAILY]


def plan_reads(day: Day, symbols: list[str], since: datetime, until: datetime) -> None:
    """Each chart is read every half hour."""
    for at_, symbol in enumerate(symbols):
        moment = since + HALF_HOUR * at_ / len(symbols)
        while moment < until:
            day.plan(moment, partial(day.read_chart, symbol))
            moment += HALF_HOUR


async def test_fifty_charts_cost_quotes_nothing_and_hold_the_close_before_the_next_open(begin: Begin) -> None:
    day = await begin(AFTERNOON, ALPHA_VANTAGE_PLAN="standard")
    await day.watch(crowd(50))
    symbols = [*list(day.record.weights)[:25], *(f"C{n:02}" for n in range(25))]  # half of them nobody watches
    for symbol in symbols:
        await day.keep_chart(symbol)
    plan_reads(day, symbols, AFTERNOON, CLOSE + 2 * HALF_HOUR)
    await day.run(CLOSE + 2 * HALF_HOUR)
    day.cap = timedelta(minutes=20)
    await day.run(NEXT_OPEN)

    weights = list(day.record.weights.values())
    assert day.record.age(day.calendar, AFTERNOON + 2 * HALF_HOUR, CLOSE) / lower_bound(weights, 5) <= 1.05
    assert [] == charts_of(day.record.between(AFTERNOON, CLOSE))
    night = day.record.between(CLOSE + 5 * MINUTE, NEXT_OPEN)
    sweep = night[: len(weights)]
    assert sorted(day.record.weights) == sorted(subject for call in sweep for subject in call.subjects)
    assert sorted(symbols) == sorted(call.subjects[0] for call in charts_of(night))
    for symbol in symbols:
        kept, view = await day.chart(symbol)
        assert (MONDAY, frozenset()) == (kept.newest, view.partial)
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_charts_that_lack_a_day_when_the_session_opens_get_a_tenth_of_it(begin: Begin) -> None:
    day = await begin(OPEN - timedelta(days=3), ALPHA_VANTAGE_PLAN="standard")  # in Friday's session
    symbols = [f"C{n:02}" for n in range(20)]
    for symbol in symbols:
        await day.keep_chart(symbol)
    day.clock.set(OPEN - MINUTE)
    await day.watch(crowd(50))
    until = OPEN + 4 * HALF_HOUR
    plan_reads(day, symbols, OPEN, until)
    await day.run(until)

    made = charts_of(day.record.calls)
    first = day.record.between(OPEN, made[-1].at + MINUTE)
    assert sorted(symbols) == sorted(call.subjects[0] for call in made)
    assert len(made) <= len(first) / 10 + 1
    weights = list(day.record.weights.values())
    assert day.record.age(day.calendar, OPEN + 2 * HALF_HOUR, until) / lower_bound(weights, 5) <= 1.05


@pytest.mark.parametrize(("watched", "most"), [(15, 2), (20, 0)])
async def test_on_a_free_key_charts_leave_the_closing_sweep_whole(begin: Begin, watched: int, most: int) -> None:
    day = await begin(OPEN - HALF_HOUR, ALPHA_VANTAGE_PLAN="free")
    day.cap = timedelta(minutes=20)
    day.trading_day = lambda calendar, now: calendar.sessions[(calendar.last_closed(now) or 1) - 1][0].date()
    await day.watch(crowd(watched))
    symbols = [f"C{n:02}" for n in range(6)]
    for symbol in symbols:
        await day.keep_chart(symbol)
    until = OPEN + 2 * DAY
    plan_reads(day, symbols, OPEN, until)
    for evening in range(2):
        for n in range(5):  # what is kept for who waits
            day.plan(OPEN + evening * DAY + n * HALF_HOUR, partial(day.miss, f"M{evening}X{n}"))
    await day.run(until)

    for evening in range(2):
        night = day.record.between(CLOSE + evening * DAY, NEXT_OPEN + evening * DAY)
        swept = [call.subjects[0] for call in night if call.call_class is CallClass.REFRESH]
        assert set(day.record.weights) <= set(swept[: watched + 1])  # and the probe
        assert len(charts_of(night)) <= most
    assert (most > 0) == bool(charts_of(day.record.calls))
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}
