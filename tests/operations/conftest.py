"""A process against real stores and the simulator, whose ledger tells the time that a test sets, and what operators left behind."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest

from common.calls import permits, work
from common.core.limits import slot_time
from common.core.provider.outcomes import Outcome
from common.process.resources import Resources
from common.provider import Permit
from common.store.accounts.audit import select_acts
from common.store.connection.pool import acquire
from tests.policy.day import Unjumped
from tests.store.conftest import Clock, clock

__all__ = ["clock"]

BY = "cli:ada@laptop"


@pytest.fixture
def process(resources: Resources, clock: Clock) -> Resources:
    """Time passes in leaps for it, from the present on."""
    clock.set(datetime.now(UTC))
    return replace(resources, clock=Unjumped(slot_time(resources.budget.limits)))


async def take(process: Resources) -> Permit:
    """A call that is granted and not made yet."""
    permit = await permits.obtain_permit(process)
    assert isinstance(permit, Permit), permit
    return permit


async def serve(process: Resources) -> Outcome:
    """Whatever is on top of the line."""
    return await work.carry_out(process, await take(process))


async def break_provider(process: Resources, kind: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{process.provider.base_url}/_fault", json={"kind": kind}) as answer,
    ):
        assert 200 == answer.status


async def execute(process: Resources, statement: str, *arguments: object) -> None:
    async with acquire(process.db) as connection:
        await connection.execute(statement, *arguments)


async def acts(process: Resources) -> list[tuple[str, str, str | None]]:
    """Event, actor and subject of all acts, the first one first."""
    async with acquire(process.db) as connection:
        found = await select_acts(connection)
    return [(entry.act.event, entry.act.actor, entry.act.subject) for entry in reversed(found)]


def after(turns: int) -> Callable[[], bool]:
    """Stops a worker when it has asked the ledger so many times."""
    left = iter([False] * turns)
    return lambda: next(left, True)
