"""The provider fails: the gate closes, probes cost what they may, the first answer opens it, and no symbol is blamed for it."""

import itertools
from datetime import datetime, timedelta

import pytest

from common.core.provider.outcomes import Outcome
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from tests.policy.conftest import Begin
from tests.policy.day import Day, at, crowd
from tests.policy.record import over_limit
from tests.policy.test_end_of_day import prices_of_the_evening

CLOSE = at("2026-11-16T21:00")  # a Monday
EVENING = CLOSE + timedelta(hours=2, minutes=30)  # the close is out
NOON = at("2026-11-23T17:00")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def free_day(begin: Begin, symbols: int) -> Day:
    day = await begin(CLOSE - HOUR, ALPHA_VANTAGE_PLAN="free")
    day.trading_day, day.cap = prices_of_the_evening, MINUTE
    await day.watch(crowd(symbols))
    return day


async def standard_day(begin: Begin, symbols: int = 20) -> Day:
    day = await begin(NOON - 10 * MINUTE, ALPHA_VANTAGE_PLAN="standard")
    await day.watch(crowd(symbols))
    return day


def fails(outcome: Outcome, since: datetime, until: datetime) -> object:
    return lambda _grant, now: outcome if since <= now < until else Outcome.OK


async def failures(day: Day) -> int:
    async with acquire(day.resources.db) as connection:
        return int(await connection.fetchval("SELECT coalesce(sum(failures), 0) FROM attempts"))


async def closed_evenings(day: Day) -> int:
    """How many of the watched symbols have the newest close."""
    async with acquire(day.resources.db) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM quotes WHERE trading_day = '2026-11-16'"))


async def test_an_outage_of_six_hours_costs_a_free_key_a_fifth_of_its_day(begin: Begin) -> None:
    day = await free_day(begin, 15)
    back = EVENING + 6 * HOUR
    day.provider = fails(Outcome.UNAVAILABLE, CLOSE, back)  # type: ignore[assignment]
    day.cap = 5 * MINUTE
    for n in range(0, 350, 5):  # and somebody waits all the time
        day.plan(EVENING + n * MINUTE, lambda: day.miss("MISS", ttl=5 * MINUTE))
    await day.run(CLOSE + 20 * HOUR)

    failed = [call for call in day.record.calls if call.outcome is Outcome.UNAVAILABLE]
    assert len(failed) <= 5
    assert over_limit(day.resources.budget.limits, day.record.calls) == {}
    assert 15 <= await closed_evenings(day)
    assert await failures(day) == 0


async def test_where_no_connection_comes_the_provider_is_tried_each_minute(begin: Begin) -> None:
    day = await free_day(begin, 15)
    back = EVENING + 2 * HOUR
    day.provider = fails(Outcome.UNSENT, CLOSE, back)  # type: ignore[assignment]
    await day.run(back + 2 * MINUTE)

    first = next(call for call in day.record.calls if call.at >= back)
    assert first.at - back <= MINUTE + timedelta(seconds=2)
    assert len(day.record.between(EVENING + HOUR, EVENING + 2 * HOUR)) <= 61


async def test_the_first_answer_opens_the_gate(begin: Begin) -> None:
    day = await standard_day(begin)
    day.provider = fails(Outcome.UNAVAILABLE, NOON, NOON + 3 * MINUTE)  # type: ignore[assignment]
    await day.run(NOON + 15 * MINUTE)

    after = [call for call in day.record.calls if call.outcome is Outcome.OK and call.at > NOON]
    assert after[0].at <= NOON + 3 * MINUTE + 2 * MINUTE
    assert len([call for call in after if call.at < after[0].at + 5 * MINUTE]) >= 0.95 * 25


async def test_a_refused_key_costs_a_fifth_of_the_day_whoever_waits(begin: Begin) -> None:
    day = await free_day(begin, 15)
    day.provider = lambda _grant, _now: Outcome.BAD_KEY
    day.cap = 5 * MINUTE
    for n in range(0, 24 * 60, 5):
        day.plan(CLOSE + n * MINUTE, lambda: day.miss("MISS", ttl=5 * MINUTE))
    await day.run(CLOSE + 24 * HOUR)

    assert len(day.record.calls) <= 5


async def test_a_refused_key_is_probed_each_quarter_of_an_hour(begin: Begin) -> None:
    day = await standard_day(begin)
    day.provider = fails(Outcome.BAD_KEY, NOON, NOON + 40 * MINUTE)  # type: ignore[assignment]
    await day.run(NOON + HOUR)

    refused = [call.at for call in day.record.calls if call.outcome is Outcome.BAD_KEY]
    assert 3 == len(refused)
    assert all(later - earlier >= 15 * MINUTE for earlier, later in itertools.pairwise(refused))
    assert day.record.calls[-1].outcome is Outcome.OK


async def test_a_day_that_no_rule_of_ours_knows_is_probed_and_not_slept_through(begin: Begin) -> None:
    day = await standard_day(begin)
    back = NOON + 100 * MINUTE
    day.provider = fails(Outcome.DAY_USED_UP, NOON, back)  # type: ignore[assignment]
    await day.run(back + 70 * MINUTE)

    spent = [call for call in day.record.calls if call.outcome is Outcome.DAY_USED_UP]
    assert 3 == len(spent)
    assert [15, 30] == [round((after.at - before.at) / MINUTE) for before, after in itertools.pairwise(spent)]
    assert any(call.outcome is Outcome.OK and call.at > back for call in day.record.calls)


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA, Outcome.BAD_REQUEST])
async def test_where_nearly_all_have_no_data_it_is_the_provider_and_no_symbol_rests(
    begin: Begin, outcome: Outcome
) -> None:
    """`{"Global Quote": {}}` for all symbols, for seven minutes."""
    day = await standard_day(begin)
    back = NOON + 7 * MINUTE
    day.provider = fails(outcome, NOON, back)  # type: ignore[assignment]
    await day.run(back)
    blamed = await failures(day)
    await day.run(back + 20 * MINUTE)

    assert blamed == 0
    asked = {call.subjects[0] for call in day.record.calls if call.at > back and call.outcome is Outcome.OK}
    assert set(day.record.weights) == asked


async def test_a_few_symbols_without_data_are_their_own_fault(begin: Begin) -> None:
    day = await standard_day(begin)
    dead = set(sorted(day.record.weights)[:3])

    def answers(grant: Grant, _now: datetime) -> Outcome:
        return Outcome.NO_DATA if grant.subjects[0] in dead else Outcome.OK

    day.provider = answers
    await day.run(NOON + 10 * MINUTE)

    assert await failures(day) >= 3


async def test_with_a_rule_of_a_day_a_probe_finds_a_symbol_though_each_failed_before(begin: Begin) -> None:
    """Each failed probe lets its symbol rest for hours. With two symbols nothing was left to probe with, long after the outage."""
    away, back = at("2026-11-23T15:00"), at("2026-11-23T17:10")
    day = await begin(at("2026-11-23T14:45"), PROVIDER_LIMITS="5/1min,500/1d", PROVIDER_DATA="realtime")
    await day.watch(crowd(2))
    day.provider = lambda _grant, now: Outcome.UNAVAILABLE if away <= now < back else Outcome.OK

    await day.run(back + timedelta(minutes=31))

    answered = [call for call in day.record.calls if call.at >= back]
    assert {"S0001", "S0002"} == {symbol for call in answered for symbol in call.subjects}
