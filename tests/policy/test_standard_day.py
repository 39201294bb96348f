"""Five calls a minute, a hundred symbols: the square-root law all day, one sweep, and silence."""

from datetime import timedelta

from common.core.budget.staleness import lower_bound, round_robin
from tests.policy.conftest import Begin
from tests.policy.day import LOOK, Day, at, crowd
from tests.policy.record import over_limit

OPEN, CLOSE = at("2026-11-27T14:30"), at("2026-11-27T18:00")  # a Friday of half a session
NEXT_OPEN = at("2026-11-30T14:30")
FINAL = CLOSE + timedelta(minutes=5)  # realtime prices: after the closing auction
HOUR = timedelta(hours=1)


async def standard_day(begin: Begin, start: str, symbols: int = 100) -> Day:
    day = await begin(at(start), ALPHA_VANTAGE_PLAN="standard")
    await day.watch(crowd(symbols))
    return day


async def test_over_a_session_prices_are_as_young_as_theory_allows(begin: Begin) -> None:
    """Two calls a minute for forty symbols, which is as five for a hundred."""
    day = await begin(at("2026-11-27T14:00"), PROVIDER_LIMITS="1/1s,2/1min", PROVIDER_DATA="realtime")
    await day.watch(crowd(40))
    await day.run(CLOSE)

    weights = list(day.record.weights.values())
    age = day.record.age(day.calendar, OPEN + HOUR, CLOSE)
    assert age / lower_bound(weights, 2) <= 1.05
    assert day.record.worst_age(day.calendar, OPEN + HOUR, CLOSE) <= 1.01 * 2 * 2 * round_robin(weights, 2)
    assert len(day.record.calls) >= 0.98 * 2 * 210
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_after_the_close_each_symbol_is_asked_once_more_and_none_until_the_next_open(begin: Begin) -> None:
    day = await standard_day(begin, "2026-11-27T17:30")
    day.cap = timedelta(minutes=20)
    await day.run(NEXT_OPEN + timedelta(minutes=1))

    assert day.record.between(CLOSE, FINAL) == []
    sweep, morning = day.record.between(FINAL, NEXT_OPEN), day.record.between(NEXT_OPEN, day.now)
    assert sorted(day.record.weights) == sorted(symbol for call in sweep for symbol in call.subjects)
    assert sweep[0].at <= FINAL + LOOK
    assert sweep[-1].at <= FINAL + timedelta(minutes=100 / 5)
    assert morning[0].at <= NEXT_OPEN + LOOK
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_the_sweep_begins_with_what_is_wanted_most_for_its_age(begin: Begin) -> None:
    day = await standard_day(begin, "2026-11-27T17:50", symbols=30)
    await day.run(CLOSE)
    refreshed = {call.subjects[0]: day.calendar.clock(call.at) for call in day.record.calls}
    age = {s: day.calendar.clock(CLOSE) - refreshed.get(s, day.record.since) for s in day.record.weights}
    await day.run(FINAL + HOUR)

    sweep = day.record.asked(FINAL, day.now)
    assert sweep == sorted(sweep, key=lambda symbol: -day.record.weights[symbol] * age[symbol])


async def test_where_the_market_never_closes_no_hour_differs_from_another(begin: Begin) -> None:
    friday = at("2026-11-20T20:30")
    day = await begin(friday, PROVIDER_LIMITS="1/1s,2/1min", PROVIDER_DATA="realtime", MARKET_HOURS="always")
    await day.watch(crowd(8))
    await day.run(friday + HOUR)  # over what the exchange calls the close
    day.clock.set(at("2026-11-21T03:00"))
    await day.run(at("2026-11-21T03:30"))

    bound = lower_bound(list(day.record.weights.values()), 2)
    assert day.record.age(day.calendar, friday + HOUR / 4, friday + HOUR) / bound <= 1.05
    assert len(day.record.between(friday, friday + HOUR)) >= 0.98 * 2 * 60
    assert len(day.record.between(at("2026-11-21T03:00"), day.now)) >= 0.98 * 2 * 30
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}


async def test_a_symbol_added_at_night_is_fetched_at_night_and_one_with_a_quote_is_not(begin: Begin) -> None:
    day = await standard_day(begin, "2026-11-24T02:00", symbols=5)
    added = at("2026-11-24T03:00")
    day.plan(added, lambda: day.add("NEW"))
    day.cap = timedelta(minutes=5)
    await day.run(at("2026-11-24T09:00"))

    assert [("NEW",)] == [call.subjects for call in day.record.calls]
    assert day.record.calls[0].at == added


async def test_where_prices_are_end_of_day_a_symbol_added_at_night_is_fetched_too(begin: Begin) -> None:
    day = await begin(at("2026-11-24T02:00"), ALPHA_VANTAGE_PLAN="free")
    await day.watch(crowd(5))
    day.plan(at("2026-11-24T03:00"), lambda: day.add("NEW"))
    day.cap = timedelta(minutes=5)
    await day.run(at("2026-11-24T09:00"))

    assert [("NEW",)] == [call.subjects for call in day.record.calls]
