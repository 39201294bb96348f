"""Everything that reliability.md says must be survived, one scenario after the other, on processes that go on all the time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.faults.cluster import ALL, APIS, WORKERS, open_cluster
from tests.faults.healing import heal
from tests.faults.judge import Judge
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.witnesses import watched

API_HEALS, WORKER_HEALS, APART_HEALS = 5.0, 10.0, 60.0
SETTLES = 3.0  # seconds in which the witnesses look at what has healed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def judge() -> AsyncIterator[Judge]:
    async with open_cluster() as cluster, watched(cluster) as witnesses:
        await heal(witnesses)
        yield Judge(witnesses)


def bound(scenario: Scenario, name: str) -> float:
    usual = API_HEALS if name in APIS else WORKER_HEALS
    slower = APART_HEALS if scenario.apart else scenario.heals_in
    return usual if slower is None or (name in APIS and not scenario.apart) else slower


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
    witnesses.clock_is_true = scenario.true_clock
    witnesses.excused.update(scenario.behind)

    async with scenario.broken(cluster):
        await asyncio.sleep(scenario.lasts)  # what is broken stays so; it is no wait for anything
    healed = await heal(witnesses)
    witnesses.excused.clear()
    await asyncio.sleep(SETTLES)
    await judge.judge()

    faults = {kind: told[:5] for kind, told in witnesses.faults.items()}
    record_property("counts", {kind: len(told) for kind, told in witnesses.faults.items()})
    record_property("healed", healed)
    record_property("kind", "apart" if scenario.apart else "held" if scenario.heals_in else "usual")
    late = {name: round(took, 1) for name, took in healed.items() if took > bound(scenario, name)}
    assert ({}, {}) == (faults, late)
    assert [] == [name for name in (*ALL, "simulator") if cluster.stack.processes[name].poll() is not None]
    assert set(WORKERS) <= set(healed)
