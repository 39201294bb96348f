"""What breaks, for how long, what is excused meanwhile, and within which time it heals: the table at the end."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.faults.breaking import (
    all_at_once,
    away,
    begun_without,
    children_killed,
    clock_set,
    cut,
    deployed,
    end_backends,
    end_clients,
    far_provider,
    frozen,
    killed,
    killed_with_a_permit,
    lose_stores,
    nagged,
    noticed,
    odd_provider,
    told_to_end,
    unwilling,
)
from tests.faults.cluster import ALL, APIS, BEATS, WORKERS, Cluster

Break = Callable[[Cluster], AbstractAsyncContextManager[None]]
Healing = Literal["usual", "apart", "held"]
API_HEALS, USUAL, APART = 5.0, 10.0, 60.0  # seconds
PROVIDER = "provider"  # well when it is called again
HELD = 25.0  # seconds: the ledger holds by design for a lease of 12 s and a period of its limit, and hears of a step when it is next asked


@dataclass(frozen=True, slots=True)
class Scenario:
    """`lasts` seconds; `apart`: who is cut off in silence, which workers and beats notice late; `behind`: APIs that no news can
    reach meanwhile; `far`: APIs whose answers take their time, as those of their stores do; `bare`: APIs that may have nothing to
    serve; `denies`: the provider may say that it has no such symbol; `true_clock`: the ledger's; `quiet`:
    a worker may have no slot, as the ledger holds after a step of its clock and after calls whose outcome nobody knows, or nothing to
    call for; `ends_processes`: others than stores; `short`: it runs in `make test`."""

    name: str
    broken: Break
    lasts: float
    apart: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    far: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    denies: bool = False
    true_clock: bool = True
    quiet: bool = False
    ends_processes: bool = False
    short: bool = False

    def healing(self, name: str) -> Healing:
        if name == PROVIDER:
            return "held"
        return "apart" if name in self.apart else "usual"

    def bound(self, name: str) -> float:
        """Seconds within which a process must be well, or the provider be called."""
        return API_HEALS if name in APIS else {"usual": USUAL, "apart": APART, "held": HELD}[self.healing(name)]


def _s(
    name: str, broken: Callable[..., AbstractAsyncContextManager[None]], *args: object, lasts: float, **more: object
) -> Scenario:
    return Scenario(name, partial(_with, broken, args), lasts, **more)  # type: ignore[arg-type]


def _with(
    broken: Callable[..., AbstractAsyncContextManager[None]], args: Sequence[object], cluster: Cluster
) -> AbstractAsyncContextManager[None]:
    return broken(cluster, *args)


FAR = ("api1", "worker1")
_ends = partial(_s, ends_processes=True)


def _apart(name: str, names: tuple[str, ...], *stores: str, mood: str = "silent") -> Scenario:
    return _s(name, cut, mood, names, stores, lasts=20, apart=names)


SCENARIOS = (
    _s("redis is killed and comes back", away, "redis", lasts=8),
    _s("redis is away for long", away, "redis", lasts=45),
    _s("redis comes back empty", partial(away, lose=True), "redis", lasts=4, short=True),
    _s("redis is frozen", frozen, "redis", lasts=10),
    _s("redis is full", unwilling, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", lasts=10),
    _s("redis is no primary for a while", unwilling, "REPLICAOF 127.0.0.1 9", "REPLICAOF NO ONE", lasts=10),
    _s("postgres is killed and comes back", away, "postgres", lasts=8, short=True),
    _s("postgres is frozen", frozen, "postgres", lasts=10),
    _s("both stores are killed", away, "postgres", "redis", lasts=8, behind=APIS),
    _s("both stores are lost again and again", nagged, lose_stores, lasts=45, behind=APIS),
    _s("both stores are frozen", frozen, "postgres", "redis", lasts=8, behind=APIS),
    _ends("all begin without stores", begun_without, "redis", "postgres", lasts=10, behind=APIS, bare=APIS),
    _ends("redis is away when all begin", begun_without, "redis", lasts=5),
    _ends("postgres is away when all begin", begun_without, "postgres", lasts=5),
    _s("connections to redis are ended again and again", nagged, end_clients, lasts=10),
    _s("connections to postgres are ended again and again", nagged, end_backends, lasts=10),
    _apart("an API is cut off from redis", ("api1",), "redis"),
    _apart("an API is cut off from postgres", ("api1",), "postgres"),
    _apart("a worker is cut off from redis", ("worker1",), "redis"),
    _apart("a worker is cut off from postgres", ("worker1",), "postgres"),
    _apart("the beats are cut off from redis", BEATS, "redis"),
    _apart("answers of postgres are lost", ("worker1", "api1"), "postgres", mood="deaf"),
    _s("connections to the stores are reset", cut, "reset", ALL, ("postgres", "redis"), lasts=6, behind=APIS),
    _s("the stores are far", cut, "slow", FAR, ("postgres", "redis"), lasts=12, behind=FAR, far=FAR),
    _s("the provider's connections are reset", far_provider, "reset", lasts=8),
    _s("the provider is silent", far_provider, "silent", lasts=12),
    _s("the provider's answers are lost", far_provider, "deaf", lasts=12),
    _s("the provider is slow to reach", far_provider, "slow", lasts=12),
    _s("the provider breaks what it sends", odd_provider, "broken", lasts=20, denies=True),
    _s("the provider sends each of its notices", noticed, lasts=1, denies=True),
    _ends("workers are killed while they call", killed_with_a_permit, *WORKERS, lasts=2, quiet=True),
    _ends("workers' children are killed", children_killed, lasts=1, short=True),
    _ends("an API is killed while it calls", killed_with_a_permit, "api1", lasts=2, quiet=True),
    _s("a worker is frozen past its permit", frozen, "worker1", lasts=20),
    _s("an API is frozen", frozen, "api1", lasts=10),
    _ends("the beats are killed", killed, *BEATS, lasts=5),
    _ends("all are deployed anew", deployed, lasts=0),
    _ends("an API is told to end while postgres is frozen", told_to_end, "api1", "postgres", lasts=0),
    _ends("a worker is told to end while postgres is frozen", told_to_end, "worker1", "postgres", lasts=0),
    _s("the ledger's clock steps back", clock_set, -90.0, lasts=1, true_clock=False, quiet=True),
    _s("the ledger's clock jumps ahead", clock_set, 300.0, 7200.0, lasts=1, true_clock=False, quiet=True),
    _ends("all at once", all_at_once, lasts=4, quiet=True),
)
