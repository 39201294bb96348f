"""Is a process well again, and since when: asked of the process itself, or read off what it does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

from tests.e2e.stack import eventually
from tests.faults.cluster import ALL, APIS, BEATS, WORKERS, Cluster
from tests.faults.metrics import caught_up_at
from tests.faults.scenarios import PROVIDER, Scenario
from tests.faults.witnesses import HOT, KINDS, Witnesses

LONGEST = 90.0  # seconds that anything is waited for
SERVED = 30.0  # seconds: no slot may be free for a lease of 12 s and a period of the limit, and who asked meanwhile goes first

LAST = "SELECT coalesce(max(id), 0) FROM calls"
CALLERS = "SELECT caller FROM calls WHERE id > %s AND outcome <> 'unsent'"
AT_WORK = f"{CALLERS} UNION SELECT name FROM pulses WHERE at > %s AND at <= ledger_now()"

Healed = dict[str, float]  # seconds until each process was well, and in quiet the provider called


async def survive(scenario: Scenario, witnesses: Witnesses) -> Healed:
    """Break, wait, mend, and wait until everybody is well and everybody is served."""
    witnesses.expect(scenario)
    async with scenario.broken(witnesses.cluster):
        await asyncio.sleep(scenario.lasts)  # what is broken stays so; it is no wait for anything
    healed = await heal(witnesses)
    await serve(witnesses)
    return healed


async def heal(witnesses: Witnesses) -> Healed:
    """Counted from now; whoever has ended is not waited for: what was ended on purpose has begun again by now, and nothing else may end."""
    cluster, began = witnesses.cluster, time.monotonic()
    [(last,)], [(now,)] = await cluster.ask(LAST), await cluster.ask("SELECT ledger_now()")
    work = (AT_WORK, last, now) if witnesses.quiet else (CALLERS, last)
    questions: Mapping[str, Callable[[], Awaitable[bool]]] = {
        **{name: partial(api_is_well, witnesses, name, time.time()) for name in APIS},
        **{name: partial(worker_works, cluster, name, work) for name in WORKERS},
        **{name: partial(beat_rings, cluster, name, began) for name in BEATS},
        **({PROVIDER: partial(is_called, cluster, last)} if witnesses.quiet else {}),
    }

    async def take_time(name: str) -> float:
        with suppress(AssertionError):
            await eventually(questions[name], within=LONGEST, what=f"{name} is well")
        witnesses.trust(name)
        return time.monotonic() - began

    ended = [name for name in ALL if cluster.stack.processes[name].poll() is not None]
    for name in ended:
        witnesses.blame("ended_unasked", name)
    names = [name for name in questions if name not in ended]
    return dict(zip(names, await asyncio.gather(*map(take_time, names)), strict=True))


async def serve(witnesses: Witnesses) -> None:
    """Wait until every kind of witness has had success at every API since now; and in quiet, until each worker has made a call, too."""
    cluster = witnesses.cluster
    [(last,)] = await cluster.ask(LAST)
    witnesses.served.clear()
    wanted = {*product(KINDS, APIS), *(product(["call"], WORKERS) if witnesses.quiet else ())}

    async def are_served() -> bool:
        for name in WORKERS:
            if ("call", name) in wanted - witnesses.served and await worker_works(cluster, name, (CALLERS, last)):
                witnesses.served.add(("call", name))
        return wanted <= witnesses.served

    with suppress(AssertionError):
        await eventually(are_served, within=SERVED, what="everybody is served")
    for kind, name in wanted - witnesses.served:
        witnesses.blame("not_served", f"a {kind} at {name} within {SERVED} s")


async def api_is_well(witnesses: Witnesses, name: str, since: float) -> bool:
    """It has both stores, a quote and all news, and takes an order."""
    ask, keys = partial(witnesses.ask, name), witnesses.keys["operator"]
    status, health = await ask("GET", "/api/health")
    if status != 200 or health["status"] != "healthy":
        return False
    read, _ = await ask("GET", f"/api/stock/{HOT[0]}")
    written, _ = await ask("PUT", f"/api/ops/symbols/{HOT[0]}/pin", headers=keys)
    return read == written == 200 and await caught_up_at(witnesses.cluster, name) > since


async def worker_works(cluster: Cluster, name: str, work: tuple[Any, ...]) -> bool:
    """A child of it is among those who work, as that statement tells them. One suffices: whichever is free takes the next task."""
    rows = await cluster.ask(*work)
    pids = {str(process.pid) for process in cluster.family(name)}
    return any(caller.startswith("worker@") and caller.rpartition(":")[2] in pids for (caller,) in rows)


async def is_called(cluster: Cluster, since: int) -> bool:
    """By anybody, after that call."""
    return bool(await cluster.ask(CALLERS, since))


async def beat_rings(cluster: Cluster, name: str, since: float) -> bool:
    return cluster.wires[name, "redis"].rang > since
