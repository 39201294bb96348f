"""The ledger's proof: a state machine over the real function, mutants of the function that it must kill, and real concurrency."""

import asyncio
from pathlib import Path

import asyncpg
import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from common.store.budget import ledger
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from tests.harness.database import EMPTY
from tests.store.budget.machine import LedgerMachine
from tests.store.budget.shares_machine import SharesMachine
from tests.store.budget.test_grants import budget, pace, want
from tests.store.conftest import Clock

FUNCTIONS = Path(__file__).parents[3] / "db" / "functions"
CALLERS = 20
MOST_SEEDS = 200


def function(name: str) -> str:
    """The statement that creates a function."""
    return (FUNCTIONS / f"{name}.sql").read_text()


def mutate(connection: psycopg.Connection, name: str, healthy: str, mutated: str) -> None:
    text = function(name)
    assert 1 == text.count(healthy)
    connection.execute(text.replace(healthy, mutated))


def run_machine(
    connection: psycopg.Connection,
    *,
    examples: int,
    steps: int,
    seed: int | None = None,
    model: type[RuleBasedStateMachine] = LedgerMachine,
) -> None:
    """Run a model. A seed is for mutants: what they fail on is not shrunk."""
    machine = type("Machine", (model,), {"connection": connection})
    if seed is not None:
        machine = hypothesis.seed(seed)(machine)
    phases = (Phase.generate, Phase.shrink) if seed is None else (Phase.generate,)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def kill(connection: psycopg.Connection, first: int, *, steps: int, model: type[RuleBasedStateMachine]) -> None:
    """Run a model of a mutant by one seed after another until it fails. `first` is a seed that kills in a second."""
    for seed in range(first, first + MOST_SEEDS):
        run_machine(connection, examples=10, steps=steps, seed=seed, model=model)


def test_no_order_of_calls_answers_deaths_and_clocks_breaks_a_limit(clock: Clock) -> None:
    run_machine(clock.connection, examples=60, steps=40)


@pytest.mark.parametrize(
    ("name", "healthy", "mutated", "seed"),
    [
        pytest.param(
            "slot_free_at",
            "max(edge.ends_at + rule.period)",
            "max(edge.ends_at + rule.period - interval '1 ms')",
            12,
            id="period-1ms",
        ),
        pytest.param(
            "record_call", "p_now, p_now + p_lease, p_caller", "p_now, p_now, p_caller", 4, id="lease-not-counted"
        ),
        pytest.param("slot_free_at", "OFFSET rule.calls - 1", "OFFSET rule.calls", 4, id="one-too-many"),
        pytest.param("slot_free_at", "SELECT max(edge", "SELECT min(edge", 14, id="one-rule-binds"),
        pytest.param("next_queued", "'trial' = ANY (d.groups), class_rank(d.class),", "", 0, id="no-class"),
    ],
)
def test_a_mutant_of_the_grant_is_killed(clock: Clock, name: str, healthy: str, mutated: str, seed: int) -> None:
    mutate(clock.connection, name, healthy, mutated)

    with pytest.raises(AssertionError):
        kill(clock.connection, seed, steps=40, model=LedgerMachine)


def test_no_order_of_demand_breaks_a_share_or_lets_a_slot_idle(clock: Clock) -> None:
    run_machine(clock.connection, examples=60, steps=25, model=SharesMachine)


@pytest.mark.parametrize(
    ("name", "healthy", "mutated", "seed"),
    [
        pytest.param(
            "full_groups",
            "OFFSET greatest(0, ceiling.most - 1)",
            "OFFSET ceiling.most",
            14,
            id="one-too-many-of-a-group",
        ),
        pytest.param(
            "choose_call",
            "next_queued(p_account, p_barred, span, p_each, p_now)",
            "next_queued(p_account, '{}', span, p_each, p_now)",
            14,
            id="no-ceiling",
        ),
        pytest.param(
            "choose_call",
            "next_queued(p_account, p_firm, span, p_each, p_now)",
            "next_queued(p_account, p_barred, span, p_each, p_now)",
            10,
            id="a-slot-idles",
        ),
        pytest.param(
            "choose_call",
            "spares_slot(p_account, p_calls, p_periods, p_gap, p_now)",
            "true",
            4,
            id="background-spares-all",
        ),
        pytest.param("grant_call", "FILTER (WHERE f.firm)", "FILTER (WHERE false)", 18, id="no-ceiling-of-a-day"),
        pytest.param(
            "next_queued", "calls_of(p_account, d.asker, NULL, p_span, p_now),", "", 9, id="first-come-first-served"
        ),
        pytest.param("next_queued", ">= (p_each ->> d.class)::integer", "< 0", 6, id="one-may-have-all"),
        pytest.param("next_first", "ORDER BY used, firsts_at, id", "ORDER BY id", 6, id="one-list-first"),
        pytest.param(
            "grant_call", "ledger.last_background IS DISTINCT FROM 'first'", "true", 4, id="first-quotes-first"
        ),
    ],
)
def test_a_mutant_of_the_shares_is_killed(clock: Clock, name: str, healthy: str, mutated: str, seed: int) -> None:
    mutate(clock.connection, name, healthy, mutated)

    with pytest.raises(AssertionError):
        kill(clock.connection, seed, steps=25, model=SharesMachine)


async def grants_at_once(db: asyncpg.Pool) -> int:
    """How many of twenty callers, all at once, are granted a call of five."""

    async def one() -> bool:
        async with acquire(db) as connection:
            start.set()
            return isinstance((await ledger.grant_call(connection, budget("5/1min"), pace()))[1], Grant)

    start = asyncio.Event()
    return sum(await asyncio.gather(*(one() for _ in range(CALLERS))))


@pytest.fixture
async def wide(database_url: str) -> asyncpg.Pool:
    """A pool in which twenty callers have a connection each."""
    async with asyncpg.create_pool(database_url, min_size=CALLERS, max_size=CALLERS) as pool:
        yield pool


async def test_twenty_callers_at_once_are_granted_five_of_five(wide: asyncpg.Pool) -> None:
    await want(wide, *(f"S{n}" for n in range(CALLERS)))

    assert 5 == await grants_at_once(wide)


async def test_without_its_lock_the_ledger_is_seen_to_grant_too_many(wide: asyncpg.Pool) -> None:
    """The mutant that shows the test above can fail: counting before the lock is held."""
    async with acquire(wide) as connection:
        await connection.execute(function("lock_ledger").replace("PERFORM pg_advisory_xact_lock(730405);", ""))

    worst = 0
    for _ in range(20):
        async with acquire(wide) as connection:
            await connection.execute(EMPTY)
        await want(wide, *(f"S{n}" for n in range(CALLERS)))
        worst = max(worst, await grants_at_once(wide))
    assert worst > 5


@pytest.mark.parametrize(("healthy", "told"), [("clock_timestamp()", True), ("now()", False)])
async def test_the_ledgers_time_is_that_of_the_statement_and_not_of_its_transaction(
    db: asyncpg.Pool, healthy: str, told: bool
) -> None:
    """With `now()` a caller that waited for the lock would count from before the wait; the second row is that mutant."""
    async with acquire(db) as connection:
        await connection.execute(function("ledger_now").replace("clock_timestamp()", healthy))
        async with connection.transaction():
            before = await ledger.select_now(connection)
            await connection.execute("SELECT pg_sleep(0.002)")
            after = await ledger.select_now(connection)

    assert told == (after > before)
