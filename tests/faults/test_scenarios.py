"""Every failure that reliability.md says the service survives, one scenario after another, on the same processes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.faults.cluster import ALL, CALLS, PERIOD, WORKERS, open_cluster
from tests.faults.observers import observed
from tests.faults.recovery import measure_recovery, run_scenario
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.verdict import Verdict
from tests.harness.polling import eventually

UNKNOWN = """
    SELECT count(*) FROM calls
    WHERE outcome IS NULL AND granted_at < ledger_now() - interval '2 s' AND ends_at > ledger_now() - make_interval(secs => %s)
"""
SETTLE_TIMEOUT = 20.0  # seconds: the lease of a call that nobody settles, and its limit's period
MEASURE_TIME = 50.0  # seconds: calls come in bursts of a period, and up to one of them is cut off at the edges
MIN_UTILISATION = 0.9  # of the limit's calls

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def verdict() -> AsyncIterator[Verdict]:
    async with open_cluster() as cluster, observed(cluster) as observers:
        await measure_recovery(observers)
        verdict = Verdict(observers)
        await verdict.check()
        yield verdict


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=scenario.name, marks=() if scenario.short else pytest.mark.faults)
        for scenario in SCENARIOS
    ],
)
async def test_it_survives(
    scenario: Scenario, verdict: Verdict, record_property: Callable[[str, object], None]
) -> None:
    observers, cluster = verdict.observers, verdict.observers.cluster
    observers.violations.clear()

    recovered = await run_scenario(scenario, observers)
    await verdict.check()

    record_property("counts", {kind: len(details) for kind, details in observers.violations.items()})
    record_property("recovered", _sorted(scenario, recovered))
    late = {name: round(took, 1) for name, took in recovered.items() if took > scenario.bound(name)}
    for name in late.keys() & ALL:
        print(cluster.stack.last_words(name))
    assert ({}, {}) == ({kind: details[:5] for kind, details in observers.violations.items()}, late)
    assert [] == [name for name in (*ALL, "simulator") if cluster.stack.processes[name].poll() is not None]
    assert set(WORKERS) <= set(recovered)


def _sorted(scenario: Scenario, recovered: dict[str, float]) -> dict[str, dict[str, float]]:
    sorted_out = defaultdict[str, dict[str, float]](dict)
    for name, took in recovered.items():
        sorted_out[scenario.recovery_kind(name)][name] = took
    return dict(sorted_out)


@pytest.mark.faults
async def test_no_slot_was_lost_by_all_of_that(verdict: Verdict) -> None:
    cluster = verdict.observers.cluster

    async def are_known() -> bool:
        return await cluster.execute(UNKNOWN, PERIOD) == [(0,)]

    await eventually(are_known, within=SETTLE_TIMEOUT, what="no slot is counted for a call of unknown outcome")
    before = (await cluster.stack.calls(since=verdict.calls))["total"]
    await asyncio.sleep(MEASURE_TIME)
    after = (await cluster.stack.calls(since=verdict.calls))["total"]

    assert after - before >= MIN_UTILISATION * MEASURE_TIME * CALLS / PERIOD
