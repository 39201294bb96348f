"""The scenarios: the fault, its duration, what is excused during it, and the bound of the recovery. The table is at the end."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.faults.cluster import ALL, APIS, BEATS, WORKERS, Cluster
from tests.faults.injection import (
    all_at_once,
    children_killed,
    clock_set,
    cut,
    each_notice,
    end_backends,
    end_clients,
    frozen,
    killed,
    killed_during_calls,
    lose_stores,
    provider_cut,
    provider_fault,
    redeployed,
    redis_commands,
    repeated,
    started_without,
    stopped,
    terminated,
)

Inject = Callable[[Cluster], AbstractAsyncContextManager[None]]
RecoveryKind = Literal["usual", "partition", "held"]
API_RECOVERY = 5.0  # seconds
PROVIDER = "provider"  # it has recovered when it is called again
# Seconds. Held: the ledger holds for a lease of 12 s and a period of its limit, and notices a step of its clock at the next request
BOUNDS: Mapping[RecoveryKind, float] = {"usual": 10.0, "partition": 60.0, "held": 25.0}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault of `duration` seconds, and what it excuses.

    partitioned: processes that are cut off silently; workers and beats notice that late.
    behind: APIs that cannot get new quotes during the fault.
    slow: APIs whose response times are not bounded, because their stores are slow.
    empty: APIs that may have no quote to serve.
    may_deny: the provider may answer that it has no such symbol.
    true_clock: the ledger's clock tells the true time.
    quiet: a worker may have no slot (after a step of the clock, or a call of unknown outcome) or no demand.
    ends_processes: it ends processes other than stores.
    short: it runs in `make test`.
    """

    name: str
    inject: Inject
    duration: float
    partitioned: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    may_deny: bool = False
    true_clock: bool = True
    quiet: bool = False
    ends_processes: bool = False
    short: bool = False

    def recovery_kind(self, name: str) -> RecoveryKind:
        if name == PROVIDER:
            return "held"
        return "partition" if name in self.partitioned else "usual"

    def bound(self, name: str) -> float:
        """Seconds within which a process must have recovered, or the provider must be called."""
        if name in APIS:
            return API_RECOVERY
        return BOUNDS[self.recovery_kind(name)]


def _s(
    name: str, inject: Callable[..., AbstractAsyncContextManager[None]], *args: object, duration: float, **more: object
) -> Scenario:
    return Scenario(name, partial(_with, inject, args), duration, **more)  # type: ignore[arg-type]


def _with(
    inject: Callable[..., AbstractAsyncContextManager[None]], args: Sequence[object], cluster: Cluster
) -> AbstractAsyncContextManager[None]:
    return inject(cluster, *args)


FAR = ("api1", "worker1")
_ends = partial(_s, ends_processes=True)


def _partition(name: str, names: tuple[str, ...], *stores: str, mode: str = "silent") -> Scenario:
    return _s(name, cut, mode, names, stores, duration=20, partitioned=names)


SCENARIOS = (
    _s("redis is killed and comes back", stopped, "redis", duration=8),
    _s("redis is away for long", stopped, "redis", duration=45),
    _s("redis comes back empty", partial(stopped, lose=True), "redis", duration=4, short=True),
    _s("redis is frozen", frozen, "redis", duration=10),
    _s("redis is full", redis_commands, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", duration=10),
    _s("redis is no primary for a while", redis_commands, "REPLICAOF 127.0.0.1 9", "REPLICAOF NO ONE", duration=10),
    _s("postgres is killed and comes back", stopped, "postgres", duration=8, short=True),
    _s("postgres is frozen", frozen, "postgres", duration=10),
    _s("both stores are killed", stopped, "postgres", "redis", duration=8, behind=APIS),
    _s("both stores are lost again and again", repeated, lose_stores, duration=45, behind=APIS),
    _s("both stores are frozen", frozen, "postgres", "redis", duration=8, behind=APIS),
    _ends("all begin without stores", started_without, "redis", "postgres", duration=10, behind=APIS, empty=APIS),
    _ends("redis is away when all begin", started_without, "redis", duration=5),
    _ends("postgres is away when all begin", started_without, "postgres", duration=5),
    _s("connections to redis are ended again and again", repeated, end_clients, duration=10),
    _s("connections to postgres are ended again and again", repeated, end_backends, duration=10),
    _partition("an API is cut off from redis", ("api1",), "redis"),
    _partition("an API is cut off from postgres", ("api1",), "postgres"),
    _partition("a worker is cut off from redis", ("worker1",), "redis"),
    _partition("a worker is cut off from postgres", ("worker1",), "postgres"),
    _partition("the beats are cut off from redis", BEATS, "redis"),
    _partition("answers of postgres are lost", ("worker1", "api1"), "postgres", mode="no_replies"),
    _s("connections to the stores are reset", cut, "reset", ALL, ("postgres", "redis"), duration=6, behind=APIS),
    _s("the stores are far", cut, "slow", FAR, ("postgres", "redis"), duration=12, behind=FAR, slow=FAR),
    _s("the provider's connections are reset", provider_cut, "reset", duration=8),
    _s("the provider is silent", provider_cut, "silent", duration=12),
    _s("the provider's answers are lost", provider_cut, "no_replies", duration=12),
    _s("the provider is slow to reach", provider_cut, "slow", duration=12),
    _s("the provider breaks what it sends", provider_fault, "broken", duration=20, may_deny=True),
    _s("the provider sends each of its notices", each_notice, duration=1, may_deny=True),
    _ends("workers are killed while they call", killed_during_calls, *WORKERS, duration=2, quiet=True),
    _ends("workers' children are killed", children_killed, duration=1, short=True),
    _ends("an API is killed while it calls", killed_during_calls, "api1", duration=2, quiet=True),
    _s("a worker is frozen past its permit", frozen, "worker1", duration=20),
    _s("an API is frozen", frozen, "api1", duration=10),
    _ends("the beats are killed", killed, *BEATS, duration=5),
    _ends("all are deployed anew", redeployed, duration=0),
    _ends("an API is told to end while postgres is frozen", terminated, "api1", "postgres", duration=0),
    _ends("a worker is told to end while postgres is frozen", terminated, "worker1", "postgres", duration=0),
    _s("the ledger's clock steps back", clock_set, -90.0, duration=1, true_clock=False, quiet=True),
    _s("the ledger's clock jumps ahead", clock_set, 300.0, 7200.0, duration=1, true_clock=False, quiet=True),
    _ends("all at once", all_at_once, duration=4, quiet=True),
)
