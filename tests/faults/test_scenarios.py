"""Everything that reliability.md says must be survived, one scenario after the other, on processes that go on all the time."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.e2e.stack import eventually
from tests.faults.cluster import ALL, CALLS, PERIOD, WORKERS, open_cluster
from tests.faults.healing import heal, survive
from tests.faults.judge import Judge
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.witnesses import watched

UNKNOWN = """
    SELECT count(*) FROM calls
    WHERE outcome IS NULL AND granted_at < ledger_now() - interval '2 s' AND ends_at > ledger_now() - make_interval(secs => %s)
"""
RECOVERS = 20.0  # seconds: the lease of a call that nobody settles, and its limit's period
LOOK = 50.0  # seconds: calls come in bursts of a period, and up to one of them is cut off at the edges
USED = 0.9  # of the limit's calls

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def judge() -> AsyncIterator[Judge]:
    async with open_cluster() as cluster, watched(cluster) as witnesses:
        await heal(witnesses)
        judge = Judge(witnesses)
        await judge.judge()
        yield judge


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=scenario.name, marks=() if scenario.short else pytest.mark.faults)
        for scenario in SCENARIOS
    ],
)
async def test_it_survives(scenario: Scenario, judge: Judge, record_property: Callable[[str, object], None]) -> None:
    witnesses, cluster = judge.witnesses, judge.witnesses.cluster
    witnesses.faults.clear()

    healed = await survive(scenario, witnesses)
    await judge.judge()

    record_property("counts", {kind: len(told) for kind, told in witnesses.faults.items()})
    record_property("healed", _sorted(scenario, healed))
    late = {name: round(took, 1) for name, took in healed.items() if took > scenario.bound(name)}
    for name in late.keys() & ALL:
        print(cluster.stack.last_words(name))
    assert ({}, {}) == ({kind: told[:5] for kind, told in witnesses.faults.items()}, late)
    assert [] == [name for name in (*ALL, "simulator") if cluster.stack.processes[name].poll() is not None]
    assert set(WORKERS) <= set(healed)


def _sorted(scenario: Scenario, healed: dict[str, float]) -> dict[str, dict[str, float]]:
    sorted_out = defaultdict[str, dict[str, float]](dict)
    for name, took in healed.items():
        sorted_out[scenario.healing(name)][name] = took
    return dict(sorted_out)


@pytest.mark.faults
async def test_no_slot_was_lost_by_all_of_that(judge: Judge) -> None:
    cluster = judge.witnesses.cluster

    async def are_known() -> bool:
        return await cluster.ask(UNKNOWN, PERIOD) == [(0,)]

    await eventually(are_known, within=RECOVERS, what="no slot is counted for a call of unknown outcome")
    before = (await cluster.calls(since=judge.calls))["total"]
    await asyncio.sleep(LOOK)
    after = (await cluster.calls(since=judge.calls))["total"]

    assert after - before >= USED * LOOK * CALLS / PERIOD
