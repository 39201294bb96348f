"""Metrics of the queue and the ledger, at times that the test sets."""

from datetime import timedelta

import asyncpg

from common.core.limits import parse_limits
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.store.budget import gauges, ledger, queue
from common.store.budget.gauges import Waiting
from common.store.budget.ledger import Budget
from common.store.connection.pool import acquire
from tests.store.budget.test_grants import budget, granted, pace, pin, settle, want
from tests.store.conftest import START, Clock

LIMITS = parse_limits("2/1s,5/1min", "limits")


async def waiting(db: asyncpg.Pool) -> list[Waiting]:
    async with acquire(db) as connection:
        return sorted(await gauges.select_waiting(connection), key=lambda found: found.call_class)


async def over(db: asyncpg.Pool) -> list[int]:
    async with acquire(db) as connection:
        return await gauges.select_over_limit(connection, "a", LIMITS)


async def waits(db: asyncpg.Pool, grant: ledger.Grant) -> list[tuple[CallClass, timedelta]]:
    async with acquire(db) as connection:
        return sorted(await queue.delete_served(connection, grant.id, grant.subjects))


async def refreshed(db: asyncpg.Pool) -> object:
    async with acquire(db) as connection:
        return await gauges.select_refreshed(connection, "a")


async def called(db: asyncpg.Pool, *seconds: float, outcome: str | None = "ok") -> None:
    """Insert calls granted at these seconds after the start, also where the ledger would have refused them."""
    async with acquire(db) as connection:
        for at in seconds:
            await connection.execute(
                """
                INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
                VALUES ('a', 'GLOBAL_QUOTE', '{IBM}', 'refresh', $1, $1, $2, 'test')
                """,
                START + timedelta(seconds=at),
                outcome,
            )


async def test_rows_wait_by_class_and_the_oldest_tells_how_long(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", call_class=CallClass.OPERATOR)
    clock.pass_(30)
    await want(db, "B", "C", call_class=CallClass.OPERATOR)
    await want(db, "D")
    clock.pass_(5)

    operator = Waiting(CallClass.OPERATOR, 3, timedelta(seconds=35))
    assert [operator, Waiting(CallClass.USER, 1, timedelta(seconds=5))] == await waiting(db)


async def test_what_is_likely_to_be_wasted_waits_as_a_trial(db: asyncpg.Pool, clock: Clock) -> None:
    """There is no listing yet, so a stranger's symbol may well not exist."""
    await want(db, "A", call_class=CallClass.STRANGER, requester="network:1")

    assert [Waiting("trial", 1, timedelta())] == await waiting(db)


async def test_what_is_under_way_or_has_expired_waits_no_more(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B")
    await granted(db, budget(), pace())
    assert [1] == [found.rows for found in await waiting(db)]

    clock.pass_(timedelta(hours=2))

    assert [] == await waiting(db)


async def test_a_row_whose_call_died_waits_again(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A")
    await granted(db, budget(), pace())
    assert [] == await waiting(db)

    clock.pass_(13)

    assert [Waiting(CallClass.USER, 1, timedelta(seconds=13))] == await waiting(db)


async def test_a_wait_lasts_from_joining_to_the_grant(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A")
    clock.pass_(7)
    grant = await granted(db, budget(), pace())
    clock.pass_(3)

    assert [(CallClass.USER, timedelta(seconds=7))] == await waits(db, grant)


async def test_a_bulk_call_ends_the_wait_of_all_that_it_is_for(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A")
    clock.pass_(2)
    await want(db, "B", call_class=CallClass.OPERATOR)
    clock.pass_(3)
    grant = await granted(db, budget(bulk=True), pace())

    expected = [(CallClass.OPERATOR, timedelta(seconds=3)), (CallClass.USER, timedelta(seconds=5))]
    assert expected == await waits(db, grant)


async def test_who_joins_a_call_under_way_did_not_wait_for_its_grant(db: asyncpg.Pool, clock: Clock) -> None:
    await pin(db, "A")
    grant = await granted(db, budget(), pace())
    clock.pass_(1)
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(), Function.QUOTE, ["A"], CallClass.USER)

    assert [(CallClass.USER, timedelta(seconds=-1))] == await waits(db, grant)


async def test_what_the_ledger_grants_never_breaks_a_limit(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, *(f"S{number}" for number in range(12)))
    for _ in range(12):
        while not isinstance(answer := await _ask(db, budget("2/1s,5/1min")), ledger.Grant):
            assert answer.wait is not None
            clock.pass_(answer.wait)
        await settle(db, answer)

    assert [0, 0] == await over(db)


async def _ask(db: asyncpg.Pool, who: Budget) -> ledger.Grant | ledger.Wait:
    async with acquire(db) as connection:
        return (await ledger.grant_call(connection, who, pace()))[1]


async def test_a_call_too_many_is_told_for_five_minutes_by_each_rule_that_it_broke(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await called(db, 0, 0.5, 10, 20, 30, 59.9)
    clock.pass_(61)
    assert [0, 1] == await over(db)

    await called(db, 60.1, 60.2)
    assert [1, 3] == await over(db)

    clock.pass_(timedelta(minutes=5))
    assert [0, 0] == await over(db)


async def test_a_call_that_never_left_breaks_no_limit(db: asyncpg.Pool, clock: Clock) -> None:
    await called(db, 0, 0.5)
    await called(db, 0.6, 0.7, outcome="unsent")
    clock.pass_(1)

    assert [0, 0] == await over(db)


async def test_the_last_call_that_brought_quotes_is_remembered(db: asyncpg.Pool, clock: Clock) -> None:
    assert await refreshed(db) is None
    await want(db, "A", "B")
    await settle(db, await granted(db, budget(), pace()))
    clock.pass_(5)
    await settle(db, await granted(db, budget(), pace()), Outcome.UNAVAILABLE)
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(), Function.DAILY, ["A"], CallClass.USER)
    await settle(db, await granted(db, budget(), pace()))

    assert START == await refreshed(db)
