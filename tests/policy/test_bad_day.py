"""Dead symbols, throttle notices, outages: what goes wrong costs what it must, and no more."""

import itertools
from datetime import datetime, timedelta

from common.core.budget.staleness import lower_bound
from common.core.models import Function
from common.core.provider.outcomes import Outcome
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from tests.policy.conftest import Begin
from tests.policy.day import Day, at, crowd
from tests.policy.record import over_limit

OPEN, NOON = at("2026-11-23T14:30"), at("2026-11-23T17:00")
WARM_UP = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def standard_day(begin: Begin, start: datetime, symbols: int) -> Day:
    day = await begin(start, ALPHA_VANTAGE_PLAN="standard")
    await day.watch(crowd(symbols))
    return day


async def quarantined(day: Day) -> int:
    async with acquire(day.resources.db) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM attempts WHERE failures > 0"))


async def test_a_dead_fifth_takes_a_twentieth_of_the_calls_and_the_living_stay_young(begin: Begin) -> None:
    day = await standard_day(begin, OPEN, 100)
    dead = set(sorted(day.record.weights)[2::5])
    day.provider = lambda grant, _now: Outcome.NO_DATA if grant.subjects[0] in dead else Outcome.OK
    until = OPEN + timedelta(hours=2)
    await day.run(until)

    living = {symbol: weight for symbol, weight in day.record.weights.items() if symbol not in dead}
    bound = lower_bound(list(living.values()), 5)
    wasted = sum(call.subjects[0] in dead for call in day.record.calls)
    assert day.record.age(day.calendar, OPEN + WARM_UP, until, only=living) / bound <= 1.10
    assert wasted - len(dead) <= 0.05 * len(day.record.calls)
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_after_a_throttle_notice_there_is_silence_for_a_minute_and_then_it_goes_on(begin: Begin) -> None:
    day = await standard_day(begin, NOON - timedelta(minutes=10), 20)
    first: list[datetime] = []

    def throttles_at_noon(_grant: Grant, now: datetime) -> Outcome:
        if now < NOON or first:
            return Outcome.OK
        first.append(now)
        return Outcome.THROTTLED_MINUTE

    day.provider = throttles_at_noon
    await day.run(NOON + timedelta(minutes=11))

    [notice] = [call for call in day.record.calls if call.outcome is Outcome.THROTTLED_MINUTE]
    after = [call for call in day.record.calls if call.at > notice.at]
    assert after[0].at == notice.ended + MINUTE
    assert len(day.record.between(after[0].at, after[0].at + timedelta(minutes=9))) >= 0.98 * 45
    assert await quarantined(day) == 0
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_an_outage_blames_no_symbol_and_ages_recover(begin: Begin) -> None:
    day = await standard_day(begin, NOON - timedelta(minutes=10), 20)
    back = NOON + timedelta(minutes=10)
    day.provider = lambda _grant, now: Outcome.UNAVAILABLE if NOON <= now < back else Outcome.OK
    await day.run(back)
    assert await quarantined(day) == 0
    failed = [call for call in day.record.calls if call.outcome is Outcome.UNAVAILABLE]
    await day.run(back + timedelta(minutes=45))

    recovered = back + timedelta(minutes=15)
    bound = lower_bound(list(day.record.weights.values()), 5)
    waits = [after.at - before.ended for before, after in itertools.pairwise(failed)]
    assert [timedelta(seconds=s) for s in (15, 30, 60, 120, 240)] == waits[
        2:7
    ]  # three calls close the gate, then one probe at a time
    assert 8 == len(failed)
    assert {Function.QUOTE} == {call.function for call in failed}
    assert day.record.age(day.calendar, recovered, day.now, answered=True) / bound <= 1.05
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}
