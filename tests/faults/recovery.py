"""Run a scenario, and measure when each process has recovered: by its own answers, or by its effects."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

from tests.faults.cluster import ALL, APIS, BEATS, WORKERS, Cluster
from tests.faults.metrics import caught_up_at
from tests.faults.observers import HOT_SYMBOLS, KINDS, Observers
from tests.faults.scenarios import PROVIDER, Scenario
from tests.harness.polling import eventually

MAX_RECOVERY = 90.0  # seconds; longer than every bound
SERVE_TIMEOUT = (
    30.0  # seconds: no slot may be free for a lease of 12 s and a period of the limit, and earlier requests go first
)

LAST = "SELECT coalesce(max(id), 0) FROM calls"
CALLERS = "SELECT caller FROM calls WHERE id > %s AND outcome <> 'unsent'"
AT_WORK = f"{CALLERS} UNION SELECT name FROM pulses WHERE at > %s AND at <= ledger_now()"

RecoveryTimes = dict[str, float]  # seconds of each process; in quiet also until the provider was called


async def run_scenario(scenario: Scenario, observers: Observers) -> RecoveryTimes:
    """Inject the fault, end it, and wait until every process has recovered and every observer is served."""
    observers.excuse(scenario)
    async with scenario.inject(observers.cluster):
        await asyncio.sleep(scenario.duration)  # the duration of the fault, not a wait for a condition
    recovered = await measure_recovery(observers)
    await wait_until_served(observers)
    return recovered


async def measure_recovery(observers: Observers) -> RecoveryTimes:
    """Counted from now. A process that has ended is a violation: those that the scenario stopped run again by now."""
    cluster, began = observers.cluster, time.monotonic()
    [(last,)], [(now,)] = await cluster.execute(LAST), await cluster.execute("SELECT ledger_now()")
    work = (AT_WORK, last, now) if observers.quiet else (CALLERS, last)
    checks: Mapping[str, Callable[[], Awaitable[bool]]] = {
        **{name: partial(api_recovered, observers, name, time.time()) for name in APIS},
        **{name: partial(worker_works, cluster, name, work) for name in WORKERS},
        **{name: partial(beat_publishes, cluster, name, began) for name in BEATS},
        **({PROVIDER: partial(is_called, cluster, last)} if observers.quiet else {}),
    }

    async def time_recovery(name: str) -> float:
        with suppress(AssertionError):
            await eventually(checks[name], within=MAX_RECOVERY, what=f"{name} has recovered")
        observers.end_excuses(name)
        return time.monotonic() - began

    ended = [name for name in ALL if cluster.stack.processes[name].poll() is not None]
    for name in ended:
        observers.record("ended_unasked", name)
    names = [name for name in checks if name not in ended]
    return dict(zip(names, await asyncio.gather(*map(time_recovery, names)), strict=True))


async def wait_until_served(observers: Observers) -> None:
    """Wait until each kind of observer succeeds at each API; in quiet, also until each worker has made a call."""
    cluster = observers.cluster
    [(last,)] = await cluster.execute(LAST)
    observers.served.clear()
    wanted = {*product(KINDS, APIS), *(product(["call"], WORKERS) if observers.quiet else ())}

    async def are_served() -> bool:
        for name in WORKERS:
            if ("call", name) in wanted - observers.served and await worker_works(cluster, name, (CALLERS, last)):
                observers.served.add(("call", name))
        return wanted <= observers.served

    with suppress(AssertionError):
        await eventually(are_served, within=SERVE_TIMEOUT, what="everybody is served")
    for kind, name in wanted - observers.served:
        observers.record("not_served", f"a {kind} at {name} within {SERVE_TIMEOUT} s")


async def api_recovered(observers: Observers, name: str, since: float) -> bool:
    """It reaches both stores, serves a quote, follows the stream and takes an order."""
    request, headers = partial(observers.request, name), observers.headers["operator"]
    status, health = await request("GET", "/api/health")
    if status != 200 or health["status"] != "healthy":
        return False
    read, _ = await request("GET", f"/api/stock/{HOT_SYMBOLS[0]}")
    written, _ = await request("PUT", f"/api/ops/symbols/{HOT_SYMBOLS[0]}/pin", headers=headers)
    return read == written == 200 and await caught_up_at(observers.cluster, name) > since


async def worker_works(cluster: Cluster, name: str, work: tuple[Any, ...]) -> bool:
    """Whether one of its children is among the workers that the statement returns. One suffices: any free child takes the next task."""
    rows = await cluster.execute(*work)
    pids = {str(process.pid) for process in cluster.family(name)}
    return any(caller.startswith("worker@") and caller.rpartition(":")[2] in pids for (caller,) in rows)


async def is_called(cluster: Cluster, since: int) -> bool:
    """Whether any process has made a call after that one."""
    return bool(await cluster.execute(CALLERS, since))


async def beat_publishes(cluster: Cluster, name: str, since: float) -> bool:
    return cluster.proxies[name, "redis"].marked_at > since
