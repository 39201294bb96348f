"""The ledger's proof: a state machine over the real function, mutants of the function that it must kill, and real concurrency."""

import asyncio
from pathlib import Path

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from common.store import ledger
from common.store.ledger import Grant
from common.store.pool import connection
from tests.store.conftest import Clock
from tests.store.machine import LedgerMachine
from tests.store.test_grants import asks, turn, want

GRANTS = Path(__file__).parents[2] / "db" / "migrations" / "0006.create-grants.sql"
LEDGER = GRANTS.with_name("0005.create-ledger.sql")
CALLERS = 20


def function(source: Path, name: str) -> str:
    """The statement that creates a function, as the migration has it."""
    text = source.read_text()
    start = text.index(f"CREATE OR REPLACE FUNCTION {name}(")
    return text[start : text.index("$$;", start) if text.find("$$;", start) > 0 else None] + "$$"


def run_machine(connection: psycopg.Connection, *, examples: int, steps: int, shrink: bool = True) -> None:
    machine = type("Machine", (LedgerMachine,), {"connection": connection})
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=phases,
            database=None,
            derandomize=not shrink,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_calls_answers_deaths_and_clocks_breaks_a_limit(clock: Clock) -> None:
    run_machine(clock.connection, examples=60, steps=40)


@pytest.mark.parametrize(
    ("healthy", "mutated"),
    [
        pytest.param("edge.ends_at + rule.period", "edge.ends_at + rule.period - interval '1 ms'", id="period-1ms"),
        pytest.param("top.purpose, t, t + p_lease, p_caller", "top.purpose, t, t, p_caller", id="lease-not-counted"),
        pytest.param("OFFSET rule.calls - 1", "OFFSET rule.calls", id="one-too-many"),
        pytest.param("SELECT max(edge.ends_at", "SELECT min(edge.ends_at", id="one-rule-binds"),
        pytest.param("ORDER BY d.purpose, d.since,", "ORDER BY d.since,", id="no-purpose"),
    ],
)
def test_a_mutant_of_the_grant_is_killed(clock: Clock, healthy: str, mutated: str) -> None:
    text = function(GRANTS, "grant_call")
    assert 1 == text.count(healthy)
    clock.connection.execute(text.replace(healthy, mutated))

    with pytest.raises(AssertionError):
        run_machine(clock.connection, examples=300, steps=40, shrink=False)


async def grants_at_once(db: asyncpg.Pool) -> int:
    """How many of twenty callers, all at once, are granted a call of five."""

    async def one() -> bool:
        async with connection(db) as held:
            start.set()
            return isinstance((await ledger.grant_call(held, asks("5/1min"), turn()))[1], Grant)

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
    async with connection(wide) as held:
        await held.execute(function(GRANTS, "lock_ledger").replace("PERFORM pg_advisory_xact_lock(730405);", ""))
        await held.execute(function(GRANTS, "grant_call").replace("FOR UPDATE", ""))

    worst = 0
    for _ in range(20):
        async with connection(wide) as held:
            await held.execute("TRUNCATE calls, ledgers, demand, symbols")
        await want(wide, *(f"S{n}" for n in range(CALLERS)))
        worst = max(worst, await grants_at_once(wide))
    assert worst > 5


@pytest.mark.parametrize(("healthy", "told"), [("clock_timestamp()", True), ("now()", False)])
async def test_the_ledgers_time_is_that_of_the_statement_and_not_of_its_transaction(
    db: asyncpg.Pool, healthy: str, told: bool
) -> None:
    """With `now()` a caller that waited for the lock would count from before the wait; the second row is that mutant."""
    async with connection(db) as held:
        await held.execute(function(LEDGER, "ledger_now").replace("clock_timestamp()", healthy))
        async with held.transaction():
            before = await ledger.select_now(held)
            await held.execute("SELECT pg_sleep(0.002)")
            after = await ledger.select_now(held)

    assert told == (after > before)
