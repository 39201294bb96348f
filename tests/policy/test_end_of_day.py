"""The free key: yesterday's prices, 25 calls a day. An hourly probe until the day is out, each symbol once, and no call besides."""

from datetime import date, datetime, timedelta

from common.core.calendar.clock import Calendar
from tests.policy.conftest import Begin
from tests.policy.day import LOOK, Day, at, crowd
from tests.policy.record import over_limit

HOUR = timedelta(hours=1)
APPEARS = timedelta(hours=2, minutes=30)  # after the close: the hour that the provider does not tell
CLOSE, NEXT_CLOSE = at("2026-11-16T21:00"), at("2026-11-17T21:00")  # Monday, Tuesday
COMPLETION = timedelta(minutes=5)


def prices_of_the_evening(calendar: Calendar, now: datetime) -> date:
    closed = calendar.last_closed(now - APPEARS)
    assert closed is not None
    return calendar.sessions[closed - 1][0].date()


async def free_day(begin: Begin, start: str, symbols: int) -> Day:
    day = await begin(at(start), ALPHA_VANTAGE_PLAN="free")
    day.trading_day, day.cap = prices_of_the_evening, COMPLETION
    await day.watch(crowd(symbols))
    return day


async def test_one_symbol_is_asked_each_hour_until_the_day_is_out_and_then_each_once(begin: Begin) -> None:
    day = await free_day(begin, "2026-11-16T15:00", 10)
    await day.run(NEXT_CLOSE + HOUR)

    probes = day.record.between(CLOSE, CLOSE + 3 * HOUR)
    assert [CLOSE + HOUR, CLOSE + 2 * HOUR] == [call.at - (call.at - CLOSE) % COMPLETION for call in probes]
    after = day.record.between(CLOSE + 3 * HOUR, NEXT_CLOSE + HOUR)
    assert sorted(day.record.weights) == sorted(symbol for call in after for symbol in call.subjects)
    assert after[-1].at <= CLOSE + 3 * HOUR + 3 * COMPLETION
    assert len(day.record.calls) == len(probes) + len(after)


async def test_a_probe_follows_the_other_by_an_hour_and_a_look(begin: Begin) -> None:
    day = await free_day(begin, "2026-11-16T20:55", 10)
    day.cap = timedelta(seconds=30)
    await day.run(CLOSE + 3 * HOUR + timedelta(minutes=1))

    first, second, third = (call.at for call in day.record.calls[:3])
    assert first - (CLOSE + HOUR) <= LOOK
    assert HOUR <= second - first <= HOUR + day.cap
    assert HOUR <= third - second <= HOUR + day.cap


async def test_over_a_holiday_and_a_weekend_nothing_is_asked(begin: Begin) -> None:
    wednesday, friday, monday = at("2026-11-25T21:00"), at("2026-11-27T18:00"), at("2026-11-30T21:00")
    day = await free_day(begin, "2026-11-25T15:00", 10)
    day.cap = timedelta(minutes=20)
    await day.run(monday + HOUR)

    evening = timedelta(hours=4)
    assert [12, 12] == [len(day.record.between(close, close + evening)) for close in (wednesday, friday)]
    assert day.record.between(wednesday + evening, friday + HOUR) == []
    assert day.record.between(friday + evening, monday + HOUR) == []
    assert len(day.record.calls) == 24


async def test_of_more_symbols_than_calls_the_heaviest_go_first(begin: Begin) -> None:
    day = await free_day(begin, "2026-11-16T15:00", 40)
    await day.run(CLOSE + 4 * HOUR)

    by_weight = sorted(day.record.weights, key=lambda symbol: -day.record.weights[symbol])
    first, *rest = day.record.asked(CLOSE + 3 * HOUR, day.now)
    assert rest == [symbol for symbol in by_weight if symbol != first][: len(rest)]
    assert len(rest) >= 25 * 0.8 - 3  # two probes in vain, and the one that brought the day


async def test_of_more_symbols_than_calls_no_24_hours_have_more_than_25_calls(begin: Begin) -> None:
    day = await free_day(begin, "2026-11-16T15:00", 40)
    day.cap = timedelta(minutes=20)
    await day.run(at("2026-11-19T15:00"))

    assert over_limit(day.resources.budget.limits, day.record.calls) == {}
    assert len(day.record.calls) >= 3 * 25 * 0.8
