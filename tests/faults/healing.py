"""Is a process well again, and since when: asked of the process itself, or read off what it does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from tests.faults.cluster import APIS, BEATS, WORKERS, Cluster
from tests.faults.witnesses import HOT, Witnesses

LONGEST = 90.0  # seconds that anything is waited for


async def api_is_well(witnesses: Witnesses, name: str) -> bool:
    """It has both stores, a quote, and takes an order."""
    ask, keys = partial(witnesses.ask, name, patience=LONGEST), witnesses.keys["operator"]
    status, health = await ask("GET", "/api/health")
    if status != 200 or health["status"] != "healthy":
        return False
    read, _ = await ask("GET", f"/api/stock/{HOT[0]}")
    written, _ = await ask("PUT", f"/api/ops/symbols/{HOT[0]}/pin", headers=keys)
    return read == 200 and written in (200, 204)


async def worker_calls(cluster: Cluster, name: str, since: int) -> bool:
    """A call was granted to it after that one."""
    rows = await asyncio.to_thread(cluster.ask, "SELECT DISTINCT caller FROM calls WHERE id > %s", since)
    pids = {str(process.pid) for process in cluster.family(name)}
    return any(caller.startswith("worker@") and caller.rpartition(":")[2] in pids for (caller,) in rows)


async def beat_rings(cluster: Cluster, name: str, since: float) -> bool:
    return cluster.wires[name, "redis"].rang > since


async def heal(witnesses: Witnesses) -> dict[str, float]:
    """Seconds from now until each process is well; a process that was ended and not begun again is not waited for."""
    cluster, began = witnesses.cluster, time.monotonic()
    last = (await asyncio.to_thread(cluster.ask, "SELECT coalesce(max(id), 0) FROM calls"))[0][0]
    questions: Mapping[str, Callable[[], Awaitable[bool]]] = {
        **{name: partial(api_is_well, witnesses, name) for name in APIS},
        **{name: partial(worker_calls, cluster, name, last) for name in WORKERS},
        **{name: partial(beat_rings, cluster, name, began) for name in BEATS},
    }
    names = [name for name in questions if cluster.stack.processes[name].poll() is None]
    took = await asyncio.gather(*(_until(questions[name], began) for name in names))
    cluster.down.difference_update(names)
    return dict(zip(names, took, strict=True))


async def _until(well: Callable[[], Awaitable[bool]], began: float) -> float:
    while not await well():
        if time.monotonic() - began > LONGEST:
            return LONGEST
        await asyncio.sleep(0.1)
    return time.monotonic() - began
