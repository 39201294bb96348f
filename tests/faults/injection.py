"""Fault injection: each context manager causes a fault and ends it on exit. None knows what must hold during the fault."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import psutil

from simulator.answers.notices import NOTICES
from tests.faults.cluster import ALL, APIS, WORKERS, Cluster, Target
from tests.faults.proxy import Mode
from tests.harness.polling import eventually

RELEASE_HOLD = "UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL"
UNSETTLED = "SELECT count(*) FROM calls WHERE id <= %s AND outcome IS NULL AND ends_at > ledger_now()"
EXIT_TIMEOUT = 25.0  # seconds after SIGTERM
KILL_TIMEOUT = 5.0  # seconds after SIGKILL
FREEZE_DELAY = 2.0  # seconds until a process blocks on a frozen store
START_TIMEOUT = 10.0  # seconds until an API answers when all processes start at once
FAULT_TIMEOUT = 15.0  # seconds until a call meets the fault, and until a pending call is settled
STEP_DURATION = 5.0  # seconds between two steps of the clock


@asynccontextmanager
async def stopped(cluster: Cluster, *stores: Target, lose: bool = False) -> AsyncIterator[None]:
    """Kill stores; they start again at the same address."""
    servers = [getattr(cluster.stack, store) for store in stores]
    try:
        for server in servers:
            await asyncio.to_thread(server.kill)
        yield
    finally:
        for server in servers:
            await cluster.restart(server, lose=lose)


@asynccontextmanager
async def frozen(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    """Suspend stores or processes; their connections stay open."""
    suspended: list[psutil.Process] = []
    cluster.mark_down(*(name for name in names if name in ALL))
    try:
        for name in names:
            parent = cluster.parent(name)
            _suspend(parent, suspended)  # first, so that it starts no further child
            for child in parent.children(recursive=True):
                _suspend(child, suspended)
        yield
    finally:
        for process in suspended:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _suspend(process: psutil.Process, suspended: list[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        suspended.append(process)


@asynccontextmanager
async def cut(cluster: Cluster, mode: Mode, names: Sequence[str], targets: Sequence[Target]) -> AsyncIterator[None]:
    try:
        cluster.set_mode(mode, names, targets)
        yield
    finally:
        cluster.reopen()


@asynccontextmanager
async def provider_cut(cluster: Cluster, mode: Mode) -> AsyncIterator[None]:
    try:
        cluster.provider.mode = mode
        if mode == "reset":
            cluster.provider.reset()
        yield
    finally:
        cluster.reopen()


@asynccontextmanager
async def provider_fault(cluster: Cluster, kind: str, *, delay: float = 0.0) -> AsyncIterator[None]:
    try:
        await cluster.stack.set_fault(kind=kind, delay=delay)
        yield
    finally:
        await cluster.stack.set_fault()


@asynccontextmanager
async def each_notice(cluster: Cluster) -> AsyncIterator[None]:
    """Send each notice once, and release each hold at once, as `quotewell budget release` does."""
    try:
        for notice in NOTICES:
            await cluster.stack.set_fault(kind=f"notice:{notice}", count=1)
            await eventually(cluster.has_no_fault, within=FAULT_TIMEOUT, what=f"{notice} strikes")
            await _release_hold(cluster)
        yield
    finally:
        await cluster.stack.set_fault()
        await _release_hold(cluster)


async def _release_hold(cluster: Cluster) -> None:
    """Wait until no pending call may bring a notice, then end the hold."""
    [(last,)] = await cluster.execute("SELECT max(id) FROM calls")

    async def settled() -> bool:
        return await cluster.execute(UNSETTLED, last) == [(0,)]

    await eventually(settled, within=FAULT_TIMEOUT, what="the calls under way are settled")
    await cluster.execute(RELEASE_HOLD)


@asynccontextmanager
async def killed(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    try:
        cluster.signal(*names)
        for name in names:
            await cluster.wait_for_exit(name, within=KILL_TIMEOUT)
        yield
    finally:
        cluster.start(*names)


@asynccontextmanager
async def killed_during_calls(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    """While the provider takes its time, so that calls are under way."""
    async with provider_fault(cluster, "slow", delay=4):
        await asyncio.sleep(4)
        async with killed(cluster, *names):
            yield


@asynccontextmanager
async def children_killed(cluster: Cluster) -> AsyncIterator[None]:
    for name in WORKERS:
        for child in cluster.family(name)[1:]:
            child.kill()
    yield


@asynccontextmanager
async def redeployed(cluster: Cluster) -> AsyncIterator[None]:
    """One after the other; each begins again at once."""
    for name in ALL:
        async with terminated(cluster, name):
            pass
    yield


@asynccontextmanager
async def terminated(cluster: Cluster, name: str, *stores: Target) -> AsyncIterator[None]:
    """SIGTERM, three times and to the whole group, while these are frozen: it ends in good time. It begins again when they go on."""
    try:
        async with frozen(cluster, *stores):
            await asyncio.sleep(FREEZE_DELAY if stores else 0)
            for _ in range(3):
                cluster.signal(name, signum=signal.SIGTERM)
                await asyncio.sleep(0.2)
            await cluster.wait_for_exit(name, within=EXIT_TIMEOUT)
        yield
    finally:
        cluster.signal(name)
        cluster.start(name)


@asynccontextmanager
async def started_without(cluster: Cluster, *stores: Target) -> AsyncIterator[None]:
    """Everything at once. An API says how it is, and serves what it can from there on."""
    async with stopped(cluster, *stores):
        async with killed(cluster, *ALL):
            pass
        for name in APIS:
            await _says_how_it_is(cluster, name, 503 if len(stores) == 2 else 200)
        yield


async def _says_how_it_is(cluster: Cluster, name: str, expected: int) -> None:
    async def answers() -> int:
        async with cluster.stack.http.get(f"{cluster.urls[name]}/api/health") as answer:
            return answer.status

    assert expected == await eventually(answers, within=START_TIMEOUT, what=f"{name} answers")
    cluster.down.discard(name)


@asynccontextmanager
async def clock_set(cluster: Cluster, *steps: float) -> AsyncIterator[None]:
    """The ledger's, to so many seconds before the true time, one step after the other; in the end it is true again."""
    try:
        for step in steps:
            await cluster.set_clock(step)
            await asyncio.sleep(STEP_DURATION)
        yield
    finally:
        await cluster.set_clock(0)


@asynccontextmanager
async def repeated(cluster: Cluster, action: Callable[[Cluster], Awaitable[int]]) -> AsyncIterator[None]:
    """The same again and again; it says how much it broke."""
    over, broken = asyncio.Event(), 0

    async def repeat() -> None:
        nonlocal broken
        while not over.is_set():
            broken += await action(cluster)
            await asyncio.sleep(random.uniform(0.2, 0.8))

    async with asyncio.TaskGroup() as beside:
        beside.create_task(repeat())
        try:
            yield
        finally:
            over.set()
    assert broken > 0


async def lose_stores(cluster: Cluster) -> int:
    """Both for a moment, and then back for long enough that all begin anew."""
    async with stopped(cluster, "postgres", "redis"):
        await asyncio.sleep(random.uniform(0.5, 4))
    await asyncio.sleep(random.uniform(2, 5))
    return 1


async def end_clients(cluster: Cluster) -> int:
    async with cluster.open_redis() as redis:
        return int(await redis.client_kill_filter(skipme=True))


@asynccontextmanager
async def redis_commands(cluster: Cluster, command: str, undo: str) -> AsyncIterator[None]:
    """Redis answers, and takes nothing more: from one command to another."""
    async with cluster.open_redis() as redis:
        await redis.execute_command(*command.split())  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            await redis.execute_command(*undo.split())  # type: ignore[no-untyped-call]


async def end_backends(cluster: Cluster) -> int:
    ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, 'quotewell-')"
    return len(await cluster.execute(ours))


@asynccontextmanager
async def all_at_once(cluster: Cluster) -> AsyncIterator[None]:
    async with killed_during_calls(cluster, "worker1", "api1"), stopped(cluster, "redis", lose=True):
        await end_backends(cluster)
        yield
