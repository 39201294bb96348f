"""When background refreshes a chart: never before a quote, at times that the test sets."""

from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from common.core.budget.policy import CLOSING_POWER, NO_POWER, OPEN_POWER, Pace
from common.core.budget.shares import Ceiling
from common.core.models import CallClass, Function
from common.store.budget import queue
from common.store.connection.pool import acquire
from common.store.market import bars
from tests.store.budget.test_grants import budget, granted, pace, quoted, settle, waits, want
from tests.store.conftest import Clock

DAY = timedelta(days=1)
GAP = 12.0  # seconds
RULES = budget("100/1min")


async def read(db: asyncpg.Pool, *symbols: str, closed_day: bool = True, ttl: timedelta = DAY) -> None:
    """Their charts are read, and are due."""
    async with acquire(db) as connection:
        for symbol in symbols:
            await bars.insert_refresh(connection, symbol, closed_day=closed_day, ttl=ttl)


async def calls(db: asyncpg.Pool, clock: Clock, number: int, turn_: Pace) -> list[str]:
    """What the next calls of background are for, one a gap: a quote's symbol, or `chart of` one."""
    made = []
    for _ in range(number):
        grant = await granted(db, RULES, turn_)
        assert CallClass.REFRESH is grant.call_class
        made += [f"chart of {s}" if grant.function is Function.DAILY else s for s in grant.subjects]
        await settle(db, grant)
        clock.pass_(GAP)
    return made


@pytest.mark.parametrize("power", [OPEN_POWER, CLOSING_POWER])
async def test_quotes_go_first_whoever_came_first(db: asyncpg.Pool, clock: Clock, power: int) -> None:
    await read(db, "OLD", closed_day=False)
    clock.pass_(1)
    await quoted(db, A=0, B=1)

    assert ["A", "B", "chart of OLD"] == await calls(db, clock, 3, pace(power=power))


async def test_a_chart_takes_a_call_that_background_has_no_quote_for_at_backgrounds_pace(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await read(db, "ONE", "TWO")
    first = await granted(db, RULES, pace(power=NO_POWER))
    await settle(db, first)
    idle = await waits(db, RULES, pace(power=NO_POWER))

    assert (Function.DAILY, ("ONE",)) == (first.function, first.subjects)
    assert ("idle", timedelta(seconds=GAP - 1)) == (idle.reason, idle.wait)
    clock.pass_(GAP)
    assert ("TWO",) == (await granted(db, RULES, pace(power=NO_POWER))).subjects


async def test_in_a_session_a_chart_that_lacks_a_closed_day_has_every_tenth_call(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await quoted(db, **{f"S{n:02}": n for n in range(40)})
    await read(db, "ONE", "TWO", "THREE")

    made = await calls(db, clock, 31, pace(clock=1e6))

    charts = [at for at, name in enumerate(made) if name.startswith("chart")]
    assert [0, 10, 20] == charts
    assert 28 == len({*made} - {f"chart of {name}" for name in ("ONE", "TWO", "THREE")})


async def test_in_a_session_a_running_day_has_none_while_quotes_are_due(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, **{f"S{n:02}": n for n in range(20)})
    await read(db, "ONE", closed_day=False)

    assert not [name for name in await calls(db, clock, 20, pace(clock=1e6)) if name.startswith("chart")]


async def test_the_closing_sweep_comes_before_every_chart(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, **{f"S{n:02}": n for n in range(15)})
    await read(db, "ONE")

    made = await calls(db, clock, 16, pace(power=CLOSING_POWER))

    assert "chart of ONE" == made[-1]
    assert 15 == len({*made[:-1]})


async def test_a_closed_day_goes_before_a_running_one_and_who_waits_before_both(db: asyncpg.Pool, clock: Clock) -> None:
    await read(db, "RUNNING", closed_day=False)
    clock.pass_(1)
    await read(db, "CLOSED")
    await want(db, "MISS")
    now = pace(power=NO_POWER)

    first = await granted(db, RULES, now)
    await settle(db, first)
    assert ("MISS",) == first.subjects
    assert ["chart of CLOSED", "chart of RUNNING"] == await calls(db, clock, 2, now)


async def test_many_readers_make_one_call_and_one_who_waits_keeps_the_place(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(), Function.DAILY, ["IBM"], CallClass.USER, requester="user:1", most=9)
    await read(db, "IBM")
    await read(db, "MSFT", closed_day=False)
    await read(db, "MSFT")
    async with acquire(db) as connection:
        rows = await connection.fetch("SELECT subject, class, groups FROM demand ORDER BY subject")

    assert [("IBM", "user", ["waiting", "unlisted"]), ("MSFT", "refresh", ["waiting", "chart", "closed_day"])] == [
        tuple(row) for row in rows
    ]


async def test_a_chart_stays_in_the_line_for_its_time(db: asyncpg.Pool, clock: Clock) -> None:
    await read(db, "SHORT", closed_day=False, ttl=timedelta(minutes=1))
    await read(db, "LONG")
    clock.pass_(60)

    assert ["chart of LONG"] == await calls(db, clock, 1, pace(power=NO_POWER))
    assert "idle" == (await waits(db, RULES, pace(power=NO_POWER))).reason


@pytest.mark.parametrize("most", [0, 2])
async def test_of_a_day_charts_have_no_more_than_their_share(db: asyncpg.Pool, clock: Clock, most: int) -> None:
    await read(db, *"ABC", ttl=3 * DAY)
    now = pace(power=NO_POWER)
    now = replace(now, ceilings=(*now.ceilings, Ceiling("chart", most, DAY)))
    await calls(db, clock, most, now)

    assert "idle" == (await waits(db, RULES, now)).reason
    clock.pass_(DAY)
    if most:
        await calls(db, clock, 1, now)
    else:
        assert "idle" == (await waits(db, RULES, now)).reason
