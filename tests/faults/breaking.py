"""The ways to break things. Each mends what it broke on its way out, however that comes about; none knows what must hold meanwhile."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import psutil

from simulator.answers.notices import NOTICES
from tests.e2e.stack import eventually
from tests.faults.cluster import ALL, APIS, WORKERS, Cluster, Target
from tests.faults.proxy import Mood

FREE = "UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL"
UNDER_WAY = "SELECT count(*) FROM calls WHERE id <= %s AND outcome IS NULL AND ends_at > ledger_now()"
EXIT = 25.0  # seconds for an end in good order
GONE = 5.0  # seconds for one that is not asked
HANG = 2.0  # seconds until all that a process does waits for a frozen store
BEGIN = 10.0  # seconds until an API answers when everything begins at once
STRIKE = 15.0  # seconds until a call comes that a fault can hit, and until one that is under way is settled
STEP = 5.0  # seconds for which a clock is wrong in the same way


@asynccontextmanager
async def away(cluster: Cluster, *stores: Target, lose: bool = False) -> AsyncIterator[None]:
    """Killed, and back at the same address."""
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
    """Stores or processes that hold their connections and do nothing."""
    stopped: list[psutil.Process] = []
    cluster.strike(*(name for name in names if name in ALL))
    try:
        for name in names:
            parent = cluster.parent(name)
            _suspend(parent, stopped)  # first: a child that it begins in between would live on
            for child in parent.children(recursive=True):
                _suspend(child, stopped)
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _suspend(process: psutil.Process, stopped: list[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        stopped.append(process)


@asynccontextmanager
async def cut(cluster: Cluster, mood: Mood, names: Sequence[str], targets: Sequence[Target]) -> AsyncIterator[None]:
    try:
        cluster.set_mood(mood, names, targets)
        yield
    finally:
        cluster.mend()


@asynccontextmanager
async def far_provider(cluster: Cluster, mood: Mood) -> AsyncIterator[None]:
    try:
        cluster.provider.mood = mood
        if mood == "reset":
            cluster.provider.reset()
        yield
    finally:
        cluster.mend()


@asynccontextmanager
async def odd_provider(cluster: Cluster, kind: str, *, delay: float = 0.0) -> AsyncIterator[None]:
    try:
        await cluster.set_fault(kind=kind, delay=delay)
        yield
    finally:
        await cluster.set_fault()


@asynccontextmanager
async def noticed(cluster: Cluster) -> AsyncIterator[None]:
    """Each notice once; what it holds up goes on at once, as after `quotewell budget release`."""
    try:
        for notice in NOTICES:
            await cluster.set_fault(kind=f"notice:{notice}", count=1)
            await eventually(cluster.is_harmless, within=STRIKE, what=f"{notice} strikes")
            await _free(cluster)
        yield
    finally:
        await cluster.set_fault()
        await _free(cluster)


async def _free(cluster: Cluster) -> None:
    """Once no call is under way that may bring a notice yet."""
    [(last,)] = await cluster.ask("SELECT max(id) FROM calls")

    async def settled() -> bool:
        return await cluster.ask(UNDER_WAY, last) == [(0,)]

    await eventually(settled, within=STRIKE, what="the calls under way are settled")
    await cluster.ask(FREE)


@asynccontextmanager
async def killed(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    try:
        cluster.end(*names)
        for name in names:
            await cluster.gone(name, within=GONE)
        yield
    finally:
        cluster.start(*names)


@asynccontextmanager
async def killed_with_a_permit(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    """While the provider takes its time, so that calls are under way."""
    async with odd_provider(cluster, "slow", delay=4):
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
async def deployed(cluster: Cluster) -> AsyncIterator[None]:
    """One after the other; each begins again at once."""
    for name in ALL:
        async with told_to_end(cluster, name):
            pass
    yield


@asynccontextmanager
async def told_to_end(cluster: Cluster, name: str, *stores: Target) -> AsyncIterator[None]:
    """SIGTERM, three times and to the whole group, while these are frozen: it ends in good time. It begins again when they go on."""
    try:
        async with frozen(cluster, *stores):
            await asyncio.sleep(HANG if stores else 0)
            for _ in range(3):
                cluster.end(name, signum=signal.SIGTERM)
                await asyncio.sleep(0.2)
            await cluster.gone(name, within=EXIT)
        yield
    finally:
        cluster.end(name)
        cluster.start(name)


@asynccontextmanager
async def begun_without(cluster: Cluster, *stores: Target) -> AsyncIterator[None]:
    """Everything at once. An API says how it is, and serves what it can from there on."""
    async with away(cluster, *stores):
        async with killed(cluster, *ALL):
            pass
        for name in APIS:
            await _says_how_it_is(cluster, name, 503 if len(stores) == 2 else 200)
        yield


async def _says_how_it_is(cluster: Cluster, name: str, expected: int) -> None:
    async def answers() -> int:
        async with cluster.stack.http.get(f"{cluster.urls[name]}/api/health") as answer:
            return answer.status

    assert expected == await eventually(answers, within=BEGIN, what=f"{name} answers")
    cluster.down.discard(name)


@asynccontextmanager
async def clock_set(cluster: Cluster, *steps: float) -> AsyncIterator[None]:
    """The ledger's, to so many seconds before the true time, one step after the other; in the end it is true again."""
    try:
        for step in steps:
            await cluster.set_clock(step)
            await asyncio.sleep(STEP)
        yield
    finally:
        await cluster.set_clock(0)


@asynccontextmanager
async def nagged(cluster: Cluster, nag: Callable[[Cluster], Awaitable[int]]) -> AsyncIterator[None]:
    """The same again and again; it says how much it broke."""
    over, broken = asyncio.Event(), 0

    async def nag_on() -> None:
        nonlocal broken
        while not over.is_set():
            broken += await nag(cluster)
            await asyncio.sleep(random.uniform(0.2, 0.8))

    async with asyncio.TaskGroup() as beside:
        beside.create_task(nag_on())
        try:
            yield
        finally:
            over.set()
    assert broken > 0


async def lose_stores(cluster: Cluster) -> int:
    """Both for a moment, and then back for long enough that all begin anew."""
    async with away(cluster, "postgres", "redis"):
        await asyncio.sleep(random.uniform(0.5, 4))
    await asyncio.sleep(random.uniform(2, 5))
    return 1


async def end_clients(cluster: Cluster) -> int:
    async with cluster.open_redis() as redis:
        return int(await redis.client_kill_filter(skipme=True))


@asynccontextmanager
async def unwilling(cluster: Cluster, told: str, undone: str) -> AsyncIterator[None]:
    """Redis answers, and takes nothing more: from one command to another."""
    async with cluster.open_redis() as redis:
        await redis.execute_command(*told.split())  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            await redis.execute_command(*undone.split())  # type: ignore[no-untyped-call]


async def end_backends(cluster: Cluster) -> int:
    ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, 'quotewell-')"
    return len(await cluster.ask(ours))


@asynccontextmanager
async def all_at_once(cluster: Cluster) -> AsyncIterator[None]:
    async with killed_with_a_permit(cluster, "worker1", "api1"), away(cluster, "redis", lose=True):
        await end_backends(cluster)
        yield
