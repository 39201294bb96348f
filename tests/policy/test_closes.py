"""Every symbol gets its close: whatever fails, the sweep goes on until each has the final price, or the market opens again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from common.calls import permits
from common.core.calendar.closes import LAG
from common.core.provider.outcomes import Outcome
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from tests.policy.conftest import Begin
from tests.policy.day import Day, Provider, at, crowd
from tests.policy.record import over_limit
from tests.policy.test_end_of_day import prices_of_the_evening

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MONDAY = at("2026-11-16T21:00")
FRIDAY = at("2026-11-20T21:00")
HALF_DAY = at("2026-11-27T18:00")  # after Thanksgiving
NEW_YEARS_EVE = at("2026-12-31T21:00")  # a Thursday: Friday is a holiday

HAS_CLOSE = "SELECT symbol FROM quotes WHERE fetched_at >= $1 AND trading_day >= $2 AND symbol = ANY ($3)"


async def standard_day(begin: Begin, close: datetime, **env: str) -> Day:
    """Twenty symbols at five calls a minute, from ten minutes before a close."""
    day = await begin(close - 10 * MINUTE, ALPHA_VANTAGE_PLAN="standard", **env)
    await day.watch(crowd(20))
    return day


async def free_day(begin: Begin, symbols: int = 15, late: Mapping[str, timedelta] | None = None) -> Day:
    """A free key of today, from an hour before Monday's close; the close comes out two hours and a half after it."""
    day = await begin(MONDAY - HOUR, ALPHA_VANTAGE_PLAN="free")
    day.trading_day, day.cap, day.late = prices_of_the_evening, 5 * MINUTE, late or {}
    await day.watch(crowd(symbols))
    return day


async def lacking(day: Day, close: datetime) -> Sequence[str]:
    """The watched symbols without the final price of a session."""
    final = close + LAG[day.resources.policy.data]
    async with acquire(day.resources.db) as connection:
        has = {
            row["symbol"] for row in await connection.fetch(HAS_CLOSE, final, close.date(), list(day.record.weights))
        }
    return sorted(day.record.weights.keys() - has)


def fails_at(*numbers: int) -> Provider:
    """Of the calls from now on, these bring no answer, counted from 0."""
    made = iter(range(10**6))
    return lambda _grant, _now: Outcome.UNAVAILABLE if next(made) in numbers else Outcome.OK


def away(since: datetime, until: datetime) -> Provider:
    return lambda _grant, now: Outcome.UNAVAILABLE if since <= now < until else Outcome.OK


@pytest.mark.parametrize("close", [FRIDAY, HALF_DAY, NEW_YEARS_EVE])
async def test_one_failed_call_costs_no_symbol_its_close(begin: Begin, close: datetime) -> None:
    day = await standard_day(begin, close)
    await day.run(close + timedelta(minutes=5, seconds=1))
    day.provider = fails_at(0)
    await day.run(close + 15 * MINUTE)

    assert [] == await lacking(day, close)
    assert 21 == len(day.record.between(close, day.now))  # and nothing besides


@pytest.mark.parametrize(
    ("close", "lasts"), [(FRIDAY, 20 * MINUTE), (HALF_DAY, 20 * MINUTE), (FRIDAY, 3 * HOUR), (NEW_YEARS_EVE, 3 * HOUR)]
)
async def test_an_outage_at_the_close_costs_no_symbol_its_close(
    begin: Begin, close: datetime, lasts: timedelta
) -> None:
    day = await standard_day(begin, close)
    day.provider = away(close - MINUTE, close + lasts)
    await day.run(
        close + lasts + 16 * MINUTE + 20 * MINUTE
    )  # a probe each quarter of an hour, a minute for four symbols

    assert [] == await lacking(day, close)


async def test_a_price_of_the_first_minutes_after_the_close_is_not_final(begin: Begin) -> None:
    """Whoever asks then gets it; the sweep asks again."""
    day = await standard_day(begin, FRIDAY)
    await day.run(FRIDAY + MINUTE)
    day.plan(FRIDAY + 2 * MINUTE, lambda: day.miss("MISS"))
    await day.run(FRIDAY + 3 * MINUTE)
    async with acquire(day.resources.db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 1 WHERE symbol = 'MISS'")
    day.record.weights["MISS"] = 1
    assert "MISS" in await lacking(day, FRIDAY)
    await day.run(FRIDAY + 15 * MINUTE)

    assert [] == await lacking(day, FRIDAY)


async def test_a_call_whose_process_died_costs_no_symbol_its_close(begin: Begin) -> None:
    day = await standard_day(begin, FRIDAY)
    await day.run(FRIDAY + LAG["realtime"])
    for _ in range(3):
        await permits.obtain_permit(day.resources)  # granted, and never made
    await day.run(FRIDAY + 20 * MINUTE)

    assert [] == await lacking(day, FRIDAY)


async def test_a_symbol_whose_close_comes_late_is_asked_again_until_it_is_there(begin: Begin) -> None:
    day = await standard_day(begin, FRIDAY)
    day.late = {"S0003": timedelta(hours=8, minutes=30)}  # it is there two hours after the close
    await day.run(FRIDAY + 2 * HOUR - MINUTE)
    assert ["S0003"] == await lacking(day, FRIDAY)
    asked = day.record.asked(FRIDAY, day.now).count("S0003")
    await day.run(FRIDAY + 2 * HOUR + 16 * MINUTE)

    assert 7 <= asked <= 14  # 15 s, doubling to a quarter of an hour
    assert [] == await lacking(day, FRIDAY)


async def test_a_symbol_without_trades_does_not_stop_the_others_when_the_market_opens(begin: Begin) -> None:
    day = await standard_day(begin, MONDAY)
    day.late = {"S0001": 30 * 24 * HOUR}
    await day.run(MONDAY + 2 * HOUR)
    opening = at("2026-11-17T14:30")
    day.clock.set(opening - 5 * MINUTE)
    await day.run(opening + HOUR / 2)

    session = day.record.asked(opening, day.now)
    assert {*day.record.weights} == {*session}
    assert session.count("S0001") <= 2 * session.count("S0002")


@pytest.mark.parametrize("first", [0, 1, 5])
async def test_one_failed_call_of_a_free_key_costs_no_symbol_its_close(begin: Begin, first: int) -> None:
    day = await free_day(begin)
    await day.run(MONDAY + HOUR - MINUTE)
    day.provider = fails_at(first)
    await day.run(MONDAY + 6 * HOUR)

    assert [] == await lacking(day, MONDAY)
    assert {} == over_limit(day.resources.budget.limits, day.record.calls)


async def test_a_free_key_whose_provider_is_away_for_a_quarter_of_an_hour_has_all_closes_that_night(
    begin: Begin,
) -> None:
    day = await free_day(begin)
    day.provider = away(MONDAY + 3 * HOUR, MONDAY + 3 * HOUR + 14 * MINUTE)
    await day.run(MONDAY + 8 * HOUR)

    assert [] == await lacking(day, MONDAY)


async def test_a_free_key_whose_provider_is_late_has_all_closes_when_they_are_out(begin: Begin) -> None:
    """Fifteen hours late: the probes of a night, and then each symbol."""
    day = await free_day(begin)
    day.trading_day = lambda calendar, now: prices_of_the_evening(calendar, now - 12 * HOUR)
    await day.run(MONDAY + 18 * HOUR)

    assert [] == await lacking(day, MONDAY)
    assert {} == over_limit(day.resources.budget.limits, day.record.calls)


async def test_a_free_keys_symbol_that_is_behind_the_others_is_asked_again_that_night(begin: Begin) -> None:
    day = await free_day(begin, late={"S0004": timedelta(minutes=80)})
    await day.run(MONDAY + 8 * HOUR)

    assert [] == await lacking(day, MONDAY)


async def test_symbols_without_trades_take_no_more_of_a_free_keys_week_than_the_others(begin: Begin) -> None:
    """Three of twenty are never traded: they are tried, and the others have their closes all the same."""
    day = await free_day(begin, 20, dict.fromkeys(("S0001", "S0002", "S0010"), 60 * 24 * HOUR))
    day.cap = 20 * MINUTE
    missing = []
    for close in (at(f"2026-11-{n}T21:00") for n in (16, 17, 18)):
        await day.run(close + 23 * HOUR)
        missing.append([symbol for symbol in await lacking(day, close) if symbol not in day.late])

    assert [[], [], []] == missing
    assert {} == over_limit(day.resources.budget.limits, day.record.calls)


async def test_a_quota_that_sweeps_by_night_keeps_its_failures_to_a_fifth(begin: Begin) -> None:
    """Every other call fails: no outage, and no end of it."""
    day = await begin(MONDAY - HOUR, PROVIDER_LIMITS="1/1s,5/1min,25/1d", PROVIDER_DATA="realtime")
    await day.watch(crowd(15))
    await day.run(MONDAY + LAG["realtime"])
    made = iter(range(10**6))

    def every_other(_grant: Grant, _now: datetime) -> Outcome:
        return Outcome.UNAVAILABLE if next(made) % 2 else Outcome.OK

    day.provider, day.cap = every_other, 5 * MINUTE
    await day.run(MONDAY + 17 * HOUR)

    night = day.record.between(MONDAY, day.now)
    assert sum(call.outcome is Outcome.UNAVAILABLE for call in night) <= 5
    assert {} == over_limit(day.resources.budget.limits, day.record.calls)


async def test_a_close_of_london_is_not_taken_for_new_yorks(begin: Begin) -> None:
    """It is out hours earlier. The probe must not take it for a sign that all the others are out, and call each in vain."""
    watchers = crowd(18) | {"TSCO.LON": 2000}
    day = await begin(MONDAY - HOUR, ALPHA_VANTAGE_PLAN="free")
    day.trading_day, day.cap = prices_of_the_evening, 5 * MINUTE
    day.late = dict.fromkeys(watchers, 2.5 * HOUR) | {"TSCO.LON": -4.5 * HOUR}
    await day.watch(watchers)

    await day.run(MONDAY + 17 * HOUR)

    assert [] == await lacking(day, MONDAY)


async def test_an_evening_of_empty_answers_costs_no_symbol_its_close(begin: Begin) -> None:
    """On a free key calls are an hour apart. Six of them in vain are the provider's fault, as within minutes on other keys."""
    day = await free_day(begin)
    day.provider = lambda _grant, now: Outcome.NO_DATA if now < MONDAY + 6.5 * HOUR else Outcome.OK

    await day.run(MONDAY + 18 * HOUR)

    assert [] == await lacking(day, MONDAY)
