"""grant_call, decision by decision, at times that the test sets."""

from datetime import timedelta

import asyncpg
import pytest

from common.core.budget.policy import CLOSING_POWER, NO_POWER, OPEN_POWER, Pace
from common.core.budget.shares import Shares, ceilings, most_of_one
from common.core.limits import LEASE, parse_limits
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Hold, Outcome
from common.store.accounts import watchlists
from common.store.accounts.users import insert_user
from common.store.budget import gate, ledger, queue
from common.store.budget.ledger import Budget, Grant, Wait
from common.store.connection.pool import acquire
from common.store.market import symbols
from tests.store.conftest import START, Clock

HALF_LIFE = timedelta(days=1)
SOURCE = "simulated"


def budget(limits: str = "5/1min", *, account: str = "a", bulk: bool = False) -> Budget:
    return Budget(account, SOURCE, "test", parse_limits(limits, "limits"), HALF_LIFE, bulk)


def pace(
    *, gap: float = 12, clock: float = 10_000, power: int = OPEN_POWER, limits: str = "5/1min", quoted: int = 0
) -> Pace:
    rules = parse_limits(limits, "limits")
    shares = ceilings(rules, Shares(), reserve=0.2, quoted=quoted)
    return Pace(timedelta(seconds=gap), clock, power, shares, most_of_one(rules, Shares()))


async def ask(db: asyncpg.Pool, budget: Budget, pace: Pace) -> Grant | Wait:
    async with acquire(db) as connection:
        return (await ledger.grant_call(connection, budget, pace))[1]


async def granted(db: asyncpg.Pool, budget: Budget, pace: Pace) -> Grant:
    answer = await ask(db, budget, pace)
    assert isinstance(answer, Grant), answer
    return answer


async def waits(db: asyncpg.Pool, budget: Budget, pace: Pace) -> Wait:
    answer = await ask(db, budget, pace)
    assert isinstance(answer, Wait), answer
    return answer


async def want(
    db: asyncpg.Pool, *subjects: str, call_class: CallClass = CallClass.USER, requester: str | None = None
) -> str:
    async with acquire(db) as connection:
        ttl = timedelta(hours=1)
        return await queue.enqueue(
            connection, budget(), Function.QUOTE, subjects, call_class, ttl=ttl, requester=requester, most=1000
        )


async def pin(db: asyncpg.Pool, *wanted: str) -> None:
    async with acquire(db) as connection:
        await symbols.upsert_pins(connection, wanted)


ANSWERED = """
    WITH answered AS (
        UPDATE symbols SET clock = ledgers.clock FROM calls JOIN ledgers USING (account)
        WHERE calls.id = $1 AND symbol = ANY (subjects) RETURNING symbol
    )
    DELETE FROM attempts USING answered WHERE attempts.symbol = answered.symbol AND failures = 0
"""


async def settle(db: asyncpg.Pool, grant: Grant, outcome: Outcome = Outcome.OK) -> None:
    """The call has ended; an answer is of the market's clock at the grant."""
    async with acquire(db) as connection:
        assert await ledger.update_call(connection, grant.id, outcome) is not None
        if outcome is Outcome.OK:
            await connection.execute(ANSWERED, grant.id)
        await queue.delete_served(connection, grant.id, grant.subjects)


async def quoted(db: asyncpg.Pool, **clocks: float) -> None:
    """Symbols with one watcher and a quote that is of these market clocks."""
    async with acquire(db) as connection:
        for symbol, clock in clocks.items():
            await connection.execute(
                "INSERT INTO symbols (symbol, watchers, source, clock) VALUES ($1, 1, $2, $3)", symbol, SOURCE, clock
            )


async def test_a_spent_minute_grants_no_call(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, *(f"S{n}" for n in range(6)))
    for _ in range(5):
        await settle(db, await granted(db, budget(), pace()))

    answer = await waits(db, budget(), pace())

    assert ("limit", timedelta(minutes=1)) == (answer.reason, answer.wait)


async def test_a_slot_is_free_exactly_a_period_after_the_response(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B")
    first = await granted(db, budget("1/1min"), pace())
    clock.pass_(3)
    await settle(db, first)

    clock.pass_(59.999)
    assert timedelta(milliseconds=1) == (await waits(db, budget("1/1min"), pace())).wait
    clock.pass_(0.001)
    assert ("B",) == (await granted(db, budget("1/1min"), pace())).subjects


async def test_a_clock_that_jumps_ahead_amid_a_call_takes_no_slot_along(db: asyncpg.Pool, clock: Clock) -> None:
    """It took three seconds by the process that made it; then the clock is set right again."""
    await want(db, "A", "B")
    first = await granted(db, budget("1/1min"), pace())
    before = clock.now
    clock.pass_(7200)
    async with acquire(db) as connection:
        assert before + timedelta(seconds=3) == await ledger.update_call(
            connection, first.id, Outcome.OK, timedelta(seconds=3)
        )

    clock.set(before + timedelta(seconds=3))
    assert timedelta(minutes=1) == (await waits(db, budget("1/1min"), pace())).wait


async def test_background_goes_on_after_a_step_back_of_the_clock(db: asyncpg.Pool, clock: Clock) -> None:
    """It was granted a call while the clock was two hours ahead."""
    await quoted(db, A=0.0, B=0.0)
    clock.pass_(7200)
    first = await granted(db, budget("100/1min"), pace())
    clock.pass_(-7200)
    async with acquire(db) as connection:
        await ledger.update_call(connection, first.id, Outcome.OK)
        await queue.delete_served(connection, first.id, first.subjects)

    assert {"A", "B"} == {*first.subjects, *(await granted(db, budget("100/1min"), pace())).subjects}


async def test_a_process_that_was_stopped_amid_a_call_counts_from_when_it_went_on(
    db: asyncpg.Pool, clock: Clock
) -> None:
    """The request may have been written only then."""
    await want(db, "A", "B")
    first = await granted(db, budget("1/1min"), pace())
    clock.pass_(30)
    async with acquire(db) as connection:
        assert clock.now == await ledger.update_call(connection, first.id, Outcome.OK, timedelta(seconds=30.1))


async def test_a_call_that_nobody_settles_counts_until_its_lease_and_the_period(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B")
    await granted(db, budget("1/1min"), pace())

    assert timedelta(minutes=1) + LEASE == (await waits(db, budget("1/1min"), pace())).wait


async def test_a_call_that_never_left_gives_its_slot_back(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B")
    first = await granted(db, budget("1/1min"), pace())
    async with acquire(db) as connection:
        await ledger.update_call(connection, first.id, Outcome.UNSENT)

    assert isinstance(await ask(db, budget("1/1min"), pace()), Grant)


@pytest.mark.parametrize(
    ("limits", "made", "binding"),
    [("1/2s,5/1min,25/1d", 1, 2.0), ("10/1s,2/1min,25/1d", 2, 60.0), ("10/1s,9/1min,3/1d", 3, 86_400.0)],
)
async def test_each_rule_can_be_the_one_that_binds(
    db: asyncpg.Pool, clock: Clock, limits: str, made: int, binding: float
) -> None:
    await want(db, *"ABCD")
    for _ in range(made):
        await settle(db, await granted(db, budget(limits), pace()))

    assert timedelta(seconds=binding) == (await waits(db, budget(limits), pace())).wait


async def test_calls_of_another_account_do_not_count(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B")
    await granted(db, budget("1/1min", account="a"), pace())

    assert ("B",) == (await granted(db, budget("1/1min", account="b"), pace())).subjects


async def test_the_line_goes_by_purpose_and_then_by_time(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "OLD", call_class=CallClass.OPERATOR)
    clock.pass_(1)
    await want(db, "MISS")
    clock.pass_(1)
    await want(db, "LATER")
    rules = budget("100/1min")

    order = [(await granted(db, rules, pace())).subjects[0] for _ in range(3)]

    assert ["MISS", "LATER", "OLD"] == order


async def test_joining_raises_the_purpose_and_makes_no_second_row(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B", call_class=CallClass.OPERATOR)
    await want(db, "B")
    rules = budget("100/1min")

    first, second = await granted(db, rules, pace()), await granted(db, rules, pace())

    assert [first.subjects, second.subjects] == [("B",), ("A",)]
    assert [first.call_class, second.call_class] == [CallClass.USER, CallClass.OPERATOR]
    assert "idle" == (await waits(db, rules, pace())).reason


async def test_joining_a_call_under_way_makes_no_second_call(db: asyncpg.Pool, clock: Clock) -> None:
    await pin(db, "A")
    rules = budget("100/1min")
    await granted(db, rules, pace())
    await want(db, "A")

    assert "idle" == (await waits(db, rules, pace())).reason


async def test_a_call_whose_process_died_leaves_its_demand_to_the_next(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A")
    await granted(db, budget("100/1min"), pace())

    clock.pass_(LEASE)
    assert ("A",) == (await granted(db, budget("100/1min"), pace())).subjects


async def test_demand_that_nobody_asked_for_again_expires(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(), Function.QUOTE, ["A"], CallClass.USER, ttl=timedelta(seconds=60))
    clock.pass_(60)

    assert "idle" == (await waits(db, budget(), pace())).reason


async def test_a_hundred_requests_of_a_class_are_all_that_may_wait(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, *(f"S{n}" for n in range(100)), call_class=CallClass.STRANGER)

    assert "full" == await want(db, "ONE-MORE", call_class=CallClass.STRANGER)
    assert "joined" == await want(db, "S7", call_class=CallClass.STRANGER)
    assert "joined" == await want(db, "ONE-MORE")
    assert "joined" == await want(db, "ANOTHER", call_class=CallClass.OPERATOR)


async def test_one_requester_has_three_misses_a_minute(db: asyncpg.Pool, clock: Clock) -> None:
    async def miss(symbol: str, requester: str) -> str:
        async with acquire(db) as connection:
            return await queue.enqueue(
                connection, budget(), Function.QUOTE, [symbol], CallClass.USER, requester=requester, most=3
            )

    assert ["joined"] * 3 == [await miss(symbol, "user:1") for symbol in "ABC"]
    await settle(db, await granted(db, budget("100/1min"), pace()))

    assert "unfair" == await miss("D", "user:1")
    assert "joined" == await miss("C", "user:1")
    assert "joined" == await miss("D", "user:2")
    clock.pass_(61)
    assert "joined" == await miss("E", "user:1")


async def test_background_keeps_a_share_of_the_minute_while_it_is_due(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, WATCHED=0)
    await want(db, *(f"S{n}" for n in range(6)))

    classes = [(await granted(db, budget(), pace())).call_class for _ in range(5)]

    assert [CallClass.USER] * 4 + [CallClass.REFRESH] == classes


async def test_without_background_due_users_may_take_the_whole_minute(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, *(f"S{n}" for n in range(6)))

    assert [CallClass.USER] * 5 == [(await granted(db, budget(), pace())).call_class for _ in range(5)]


async def test_the_pace_is_a_gap_without_a_margin_and_makes_good_a_second_of_backlog(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await quoted(db, A=0, B=1, C=2, D=3)
    rules = budget("100/1min")
    await settle(db, await granted(db, rules, pace()))

    assert timedelta(seconds=11) == (await waits(db, rules, pace())).wait
    clock.pass_(11.5)  # late by half a second, which the next gap makes good
    await settle(db, await granted(db, rules, pace()))
    assert timedelta(seconds=11.5) == (await waits(db, rules, pace())).wait
    clock.pass_(60)
    await settle(db, await granted(db, rules, pace()))
    assert timedelta(seconds=11) == (await waits(db, rules, pace())).wait


async def test_the_highest_weight_times_age_squared_goes_first(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, HEAVY=9_000, OLD=7_500)
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 9 WHERE symbol = 'HEAVY'")

    # 9 * 1000**2 against 1 * 2500**2 by the square; 9 * 1000 against 2500 after the close
    assert ("HEAVY",) == (await granted(db, budget(), pace())).subjects
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 6 WHERE symbol = 'HEAVY'")
        await connection.execute("UPDATE symbols SET clock = 9000 WHERE symbol = 'HEAVY'")
        await connection.execute("DELETE FROM demand")
    clock.pass_(60)
    assert ("OLD",) == (await granted(db, budget(), pace())).subjects


async def test_after_the_close_each_symbol_is_swept_once_by_weight_and_age(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, LIGHT=9_000, HEAVY=9_500, DONE=10_000)
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 3 WHERE symbol = 'HEAVY'")
    closed = pace(power=CLOSING_POWER, gap=0.001)
    rules = budget("100/1min")

    order = []
    for _ in range(2):
        order.append((await granted(db, rules, closed)).subjects[0])
        clock.pass_(1)

    assert ["HEAVY", "LIGHT"] == order
    assert "idle" == (await waits(db, rules, closed)).reason


async def test_a_symbol_without_any_quote_is_due_at_any_hour_and_first(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, OLD=0)
    await pin(db, "NEW", "OLD")

    assert ("NEW",) == (await granted(db, budget(), pace(power=NO_POWER))).subjects
    assert "idle" == (await waits(db, budget(), pace(power=NO_POWER, gap=0.001))).reason


async def test_a_quote_of_another_source_is_none(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, A=10_000)
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET source = 'alphavantage', pinned = true")

    assert CallClass.FIRST == (await granted(db, budget(account="real"), pace())).call_class


async def test_two_accounts_of_one_source_refresh_as_one_would(db: asyncpg.Pool, clock: Clock) -> None:
    """A rolling change of the key: neither undoes what the other has done."""
    await quoted(db, **{f"S{n}": float(n) for n in range(6)})

    taken = []
    for n in range(6):
        clock.pass_(60)
        grant = await granted(db, budget(account="ab"[n % 2]), pace())
        await settle(db, grant)
        taken.append(grant.subjects[0])

    assert [f"S{n}" for n in range(6)] == taken


async def test_a_symbol_that_nobody_wants_is_not_refreshed(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, A=0)
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 0")

    assert "idle" == (await waits(db, budget(), pace())).reason


async def test_half_a_read_wants_a_symbol_and_its_weight_decays(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, READ=0)
    async with acquire(db) as connection:
        await connection.execute("UPDATE symbols SET watchers = 0")
        await symbols.update_reads(connection, {"READ": 1}, HALF_LIFE)
    await settle(db, await granted(db, budget(), pace(gap=1)))

    clock.pass_(timedelta(hours=23))
    assert ("READ",) == (await granted(db, budget(), pace(gap=1, clock=20_000))).subjects
    clock.pass_(timedelta(hours=2))
    assert "idle" == (await waits(db, budget(), pace(gap=1, clock=30_000))).reason


async def test_quarantined_symbols_take_at_most_a_twentieth_of_the_calls(db: asyncpg.Pool, clock: Clock) -> None:
    live, dead = [f"L{n}" for n in range(8)], [f"D{n}" for n in range(4)]
    await quoted(db, **dict.fromkeys(live + dead, 0.0))
    async with acquire(db) as connection:
        await symbols.upsert_failed(connection, "a", dead, clock.now, timedelta(microseconds=1))

    taken = []
    for n in range(100):
        clock.pass_(1)
        grant = await granted(db, budget("60/1min"), pace(gap=1, clock=10_000 + n, limits="60/1min"))
        taken.append(grant.subjects[0])
        await settle(db, grant)

    assert 3 <= sum(symbol in dead for symbol in taken) <= 6


async def test_a_new_watcher_ends_a_quarantine(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, DEAD=0)
    async with acquire(db) as connection:
        await symbols.upsert_failed(connection, "a", ["DEAD"], clock.now, timedelta(hours=9))
        user = await insert_user(connection, "ada", "ada@example.com", "hash", "scheme")
    assert "idle" == (await waits(db, budget(), pace())).reason

    async with acquire(db) as connection:
        await watchlists.insert_item(connection, user.id, "DEAD", most=5)

    assert ("DEAD",) == (await granted(db, budget(), pace())).subjects


async def test_an_operators_refresh_asks_for_a_quarantined_symbol(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, DEAD=0)
    async with acquire(db) as connection:
        await symbols.upsert_failed(connection, "a", ["DEAD"], clock.now, timedelta(hours=9))
    await want(db, "DEAD", call_class=CallClass.OPERATOR)

    assert CallClass.OPERATOR == (await granted(db, budget(), pace())).call_class


async def test_a_hold_closes_the_gate_for_all_and_ends_by_itself(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A")
    async with acquire(db) as connection:
        await gate.upsert_hold(connection, "a", Hold(START + timedelta(seconds=60), "throttled_minute", probing=False))

    answer = await waits(db, budget(), pace())
    assert ("throttled_minute", timedelta(seconds=60)) == (answer.reason, answer.wait)
    assert isinstance(await ask(db, budget(account="b"), pace()), Grant)
    clock.pass_(60)
    await want(db, "A")
    assert isinstance(await ask(db, budget(), pace()), Grant)


async def test_a_shorter_hold_does_not_shorten_a_longer_one(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await gate.upsert_hold(connection, "a", Hold(START + timedelta(hours=24), "operator", probing=False))
        await gate.upsert_hold(connection, "a", Hold(START + timedelta(seconds=1), "throttled_second", probing=False))

    assert timedelta(hours=24) == (await waits(db, budget(), pace())).wait


async def test_after_a_used_up_day_one_call_goes_first(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, "A", "B", "C")
    rules = budget("100/1min")
    async with acquire(db) as connection:
        await gate.upsert_hold(connection, "a", Hold(START + timedelta(hours=1), "day_used_up", probing=True))
    clock.pass_(timedelta(hours=1) - timedelta(seconds=1))
    await want(db, "A", "B", "C")
    clock.pass_(1)

    probe = await granted(db, rules, pace())
    assert "day_used_up" == (await waits(db, rules, pace())).reason
    await settle(db, probe)
    async with acquire(db) as connection:
        await gate.update_answered(connection, "a")
    assert isinstance(await ask(db, rules, pace()), Grant)


async def test_a_step_back_of_the_clock_holds(db: asyncpg.Pool, clock: Clock) -> None:
    await want(db, *"ABC")
    rules = budget("2/1min")
    for _ in range(2):
        await settle(db, await granted(db, rules, pace()))
    clock.pass_(timedelta(minutes=-10))

    assert timedelta(minutes=11) == (await waits(db, rules, pace())).wait


async def test_a_bulk_call_is_filled_from_the_line_and_then_by_background(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, OLD=0, NEWER=5_000, **{"TSCO.LON": 1.0})
    await want(db, "MISS")
    await want(db, "ORDER", call_class=CallClass.OPERATOR)

    grant = await granted(db, budget(bulk=True), pace())

    assert (grant.function, grant.subjects) == (Function.BULK, ("MISS", "ORDER", "OLD", "NEWER"))
    assert ("TSCO.LON",) == (await granted(db, budget(bulk=True), pace())).subjects


async def test_a_key_without_the_right_to_bulk_asks_one_by_one(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, A=0, B=1)
    await ask(db, budget(account="a"), pace(power=NO_POWER))
    async with acquire(db) as connection:
        await gate.update_bulk_denied(connection, "a", START + timedelta(days=1))

    assert Function.QUOTE == (await granted(db, budget(bulk=True), pace())).function


async def test_the_ledger_refuses_a_snapshot_that_is_older_than_its_lock(db: asyncpg.Pool) -> None:
    async with acquire(db) as connection, connection.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.RaiseError, match="READ COMMITTED"):
            await ledger.grant_call(connection, budget(), pace())


@pytest.mark.parametrize("word", ["interactive", "first", "trial", ""])
async def test_an_unknown_class_is_refused_loudly(db: asyncpg.Pool, word: str) -> None:
    """Nobody queues a first quote or a trial: the grant makes them so."""
    async with acquire(db) as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.fetchval(
                "SELECT join_line('a', 'GLOBAL_QUOTE', '{A}', $1, NULL, 'simulated', interval '1 minute', false, 100, 0)",
                word,
            )
    with pytest.raises(ValueError, match="'interactive' is not a valid CallClass"):
        CallClass("interactive")
