"""What breaks, for how long, and within which time it heals: the table at the end. Each way to break things mends them on its way out."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from tests.faults.cluster import ALL, APIS, BEATS, WORKERS, Cluster, Target, freeze
from tests.faults.proxy import Mood

FREE = "UPDATE ledgers SET held_until = NULL, background_held_until = NULL, probing = false"
Break = Callable[[Cluster], AbstractAsyncContextManager[None]]
Store = str  # "postgres" or "redis"
EXIT = 25.0  # seconds for an end in good order


@asynccontextmanager
async def away(cluster: Cluster, *stores: Store, lose: bool = False) -> AsyncIterator[None]:
    """Killed, and back at the same address."""
    servers = [getattr(cluster.stack, store) for store in stores]
    for server in servers:
        await asyncio.to_thread(server.kill)
    yield
    for server in servers:
        await cluster.restart(server, lose=lose)


@asynccontextmanager
async def frozen(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    """Stores or processes that hold their connections and do nothing."""
    families = []
    for name in names:
        if name in ("postgres", "redis"):
            parent = getattr(cluster.stack, name).process()
            families += [*parent.children(recursive=True), parent]
        else:
            families += cluster.family(name)
    calm = [name for name in names if name in ALL]
    cluster.down.update(calm)
    freeze(families)
    try:
        yield
    finally:
        freeze(families, signal.SIGCONT)


@asynccontextmanager
async def cut(cluster: Cluster, mood: Mood, names: Sequence[str], targets: Sequence[Target]) -> AsyncIterator[None]:
    cluster.set_mood(mood, names, targets)
    yield
    cluster.mend()


@asynccontextmanager
async def far_provider(cluster: Cluster, mood: Mood) -> AsyncIterator[None]:
    cluster.provider.mood = mood
    if mood == "reset":
        cluster.provider.reset()
    yield
    cluster.mend()


@asynccontextmanager
async def odd_provider(
    cluster: Cluster, kind: str, *, probability: float = 1.0, delay: float = 0.0
) -> AsyncIterator[None]:
    """What a notice holds up goes on at once, as after `quotewell budget release`."""
    await cluster.set_fault(kind=kind, probability=probability, delay=delay)
    yield
    await cluster.set_fault()
    if kind in ("any", "notice:any"):
        cluster.ask(FREE)


@asynccontextmanager
async def killed(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    cluster.end(*names)
    for name in names:
        await cluster.gone(name, within=5)
    yield
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
        freeze(cluster.family(name)[1:], signal.SIGKILL)
    yield


@asynccontextmanager
async def deployed(cluster: Cluster) -> AsyncIterator[None]:
    """SIGTERM, three times and to the whole group, one after the other; each begins again at once."""
    yield
    for name in ALL:
        for _ in range(3):
            cluster.end(name, signum=signal.SIGTERM)
            await asyncio.sleep(0.2)
        await cluster.gone(name, within=EXIT)
        cluster.start(name)


@asynccontextmanager
async def started_without_stores(cluster: Cluster) -> AsyncIterator[None]:
    cluster.end(*ALL)
    for name in ALL:
        await cluster.gone(name, within=5)
    async with away(cluster, "redis", "postgres"):
        cluster.start(*ALL)
        yield
        for name in APIS:
            async with cluster.stack.http.get(f"{cluster.urls[name]}/api/health") as answer:
                assert 503 == answer.status


@asynccontextmanager
async def clock_set(cluster: Cluster, *steps: float) -> AsyncIterator[None]:
    """The ledger's, to so many seconds before the true time each 5 s; in the end it is true again."""
    cluster.set_clock(steps[0])
    yield
    for step in (*steps[1:], 0.0):
        cluster.set_clock(step)
        await asyncio.sleep(5 if step else 0)


@asynccontextmanager
async def nagged(cluster: Cluster, nag: Callable[[Cluster], None]) -> AsyncIterator[None]:
    """The same again and again."""

    async def nag_on() -> None:
        while True:
            await asyncio.to_thread(nag, cluster)
            await asyncio.sleep(random.uniform(0.2, 0.8))

    nagging = asyncio.create_task(nag_on())
    yield
    nagging.cancel()
    await asyncio.gather(nagging, return_exceptions=True)


def end_clients(cluster: Cluster) -> None:
    import redis

    with redis.Redis.from_url(cluster.stack.redis.url()) as client:
        client.execute_command("CLIENT", "KILL", "SKIPME", "yes")


def end_backends(cluster: Cluster) -> None:
    cluster.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'quotewell-%%'", *()
    )


@asynccontextmanager
async def all_at_once(cluster: Cluster) -> AsyncIterator[None]:
    async with killed_with_a_permit(cluster, "worker1", "api1"), away(cluster, "redis", lose=True):
        end_backends(cluster)
        yield


@dataclass(frozen=True, slots=True)
class Scenario:
    """`lasts` seconds; `apart`: a silent partition, which heals more slowly; `behind`: APIs that no news can reach meanwhile;
    `heals_in`: seconds for workers, where the ledger must wait for a call's lease and a period of its limit;
    `short`: it runs in `make test`."""

    name: str
    broken: Break
    lasts: float
    apart: bool = False
    behind: tuple[str, ...] = ()
    heals_in: float | None = None
    true_clock: bool = True
    short: bool = False


def _s(
    name: str, broken: Callable[..., AbstractAsyncContextManager[None]], *args: object, lasts: float, **more: object
) -> Scenario:
    return Scenario(name, partial(_with, broken, args), lasts, **more)  # type: ignore[arg-type]


def _with(
    broken: Callable[..., AbstractAsyncContextManager[None]], args: Sequence[object], cluster: Cluster
) -> AbstractAsyncContextManager[None]:
    return broken(cluster, *args)


SCENARIOS = (
    _s("redis is killed and comes back", away, "redis", lasts=8),
    _s("redis comes back empty", partial(away, lose=True), "redis", lasts=4, short=True),
    _s("redis is frozen", frozen, "redis", lasts=10),
    _s("postgres is killed and comes back", away, "postgres", lasts=8, short=True),
    _s("postgres is frozen", frozen, "postgres", lasts=10),
    _s("both stores are killed", away, "postgres", "redis", lasts=8, behind=APIS),
    _s("both stores are frozen", frozen, "postgres", "redis", lasts=8, behind=APIS),
    _s("all begin without stores", started_without_stores, lasts=10, behind=APIS),
    _s("connections to redis are ended again and again", nagged, end_clients, lasts=10),
    _s("connections to postgres are ended again and again", nagged, end_backends, lasts=10),
    _s("an API is cut off from redis", cut, "silent", ["api1"], ["redis"], lasts=20, apart=True),
    _s("an API is cut off from postgres", cut, "silent", ["api1"], ["postgres"], lasts=20, apart=True),
    _s("a worker is cut off from redis", cut, "silent", ["worker1"], ["redis"], lasts=20, apart=True),
    _s("a worker is cut off from postgres", cut, "silent", ["worker1"], ["postgres"], lasts=20, apart=True),
    _s("the beats are cut off from redis", cut, "silent", BEATS, ["redis"], lasts=20, apart=True),
    _s("answers of postgres are lost", cut, "deaf", ["worker1", "api1"], ["postgres"], lasts=15, apart=True),
    _s("connections to the stores are reset", cut, "reset", ALL, ["postgres", "redis"], lasts=6, behind=APIS),
    _s("the stores are slow", cut, "slow", ["api1", "worker1"], ["postgres", "redis"], lasts=12, behind=("api1",)),
    _s("the provider's connections are reset", far_provider, "reset", lasts=8),
    _s("the provider is silent", far_provider, "silent", lasts=12, heals_in=25),
    _s("the provider's answers are lost", far_provider, "deaf", lasts=12, heals_in=25),
    _s("the provider is slow to reach", far_provider, "slow", lasts=12),
    _s("the provider breaks what it sends", odd_provider, "broken", lasts=20, heals_in=25),
    _s("the provider sends any notice", odd_provider, "notice:any", lasts=15, heals_in=75),
    _s("workers are killed while they call", killed_with_a_permit, *WORKERS, lasts=2, heals_in=45),
    _s("workers' children are killed", children_killed, lasts=1, short=True),
    _s("an API is killed while it calls", killed_with_a_permit, "api1", lasts=2),
    _s("a worker is frozen past its permit", frozen, "worker1", lasts=20),
    _s("an API is frozen", frozen, "api1", lasts=10),
    _s("the beats are killed", killed, *BEATS, lasts=5),
    _s("all are deployed anew", deployed, lasts=1),
    _s("the ledger's clock steps back", clock_set, -90.0, lasts=6, true_clock=False, heals_in=45),
    _s("the ledger's clock jumps ahead", clock_set, 300.0, 7200.0, lasts=6, true_clock=False, heals_in=45),
    _s("all at once", all_at_once, lasts=4, heals_in=45),
)
