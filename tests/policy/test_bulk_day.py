"""A premium key: a hundred symbols a call, and what becomes of them if the key lacks the right to it."""

from datetime import datetime, timedelta

from common.core.budget.staleness import lower_bound
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.store.budget.ledger import Grant
from tests.policy.conftest import Begin
from tests.policy.day import Day, at, crowd
from tests.policy.record import over_limit

OPEN = at("2026-11-20T14:30")  # a Friday
MINUTE = timedelta(minutes=1)
A_CALL = 100  # symbols


async def premium_day(begin: Begin, start: datetime, symbols: int) -> Day:
    """Begins at `start`; the symbols were refreshed ten minutes before."""
    day = await begin(start - 10 * MINUTE, ALPHA_VANTAGE_PLAN="premium-75")
    await day.watch(crowd(symbols))
    day.clock.set(start)
    return day


def refuses_bulk(grant: Grant, _now: datetime) -> Outcome:
    return Outcome.NOT_ENTITLED if grant.function is Function.BULK else Outcome.OK


async def test_each_call_carries_a_hundred_symbols_and_all_stay_young(begin: Begin) -> None:
    day = await premium_day(begin, OPEN, 500)
    until = OPEN + timedelta(seconds=45)
    await day.run(until)

    bound = lower_bound(list(day.record.weights.values()), 75 * A_CALL)
    since = OPEN + timedelta(seconds=15)
    assert {(Function.BULK, A_CALL)} == {(call.function, len(set(call.subjects))) for call in day.record.calls}
    assert day.record.age(day.calendar, since, until) <= 1.10 * bound
    assert day.record.worst_age(day.calendar, since, until) <= 2 * (500 / A_CALL / 75)
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_a_key_without_the_right_to_bulk_asks_one_by_one_for_a_day(begin: Begin) -> None:
    close = at("2026-11-20T21:00")
    day = await premium_day(begin, close - MINUTE, 40)
    day.provider, day.cap = refuses_bulk, timedelta(hours=1)
    day.plan(close - MINUTE, lambda: day.miss("MISS"))
    await day.run(close - MINUTE + timedelta(hours=24))

    refused, *singles = day.record.calls
    assert (Function.BULK, 41) == (refused.function, len(refused.subjects))
    assert {Function.QUOTE} == {call.function for call in singles}
    served = next(call for call in singles if call.subjects == ("MISS",))
    assert served.call_class is CallClass.USER
    assert served.at - refused.ended <= timedelta(seconds=3)
    assert sorted(day.record.weights) == sorted(day.record.asked(close + timedelta(minutes=5), day.now))
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_after_a_refused_bulk_call_no_symbol_seems_younger_than_it_is(begin: Begin) -> None:
    day = await premium_day(begin, OPEN, 40)
    day.provider = refuses_bulk
    await day.run(OPEN + timedelta(seconds=75))

    refused, *singles = day.record.calls
    assert sorted(refused.subjects) == sorted(day.record.weights)
    assert set(day.record.weights) == {symbol for call in singles for symbol in call.subjects}


async def test_a_day_after_the_refusal_bulk_is_tried_again(begin: Begin) -> None:
    close = at("2026-11-20T21:00")
    day = await premium_day(begin, close - MINUTE, 10)
    day.provider, day.cap = refuses_bulk, timedelta(hours=1)
    await day.run(close)
    monday = at("2026-11-23T14:30")
    await day.run(monday + timedelta(seconds=10))

    tried = [call.at for call in day.record.calls if call.function is Function.BULK]
    assert [close - MINUTE, monday] == [moment.replace(microsecond=0) for moment in tried]
