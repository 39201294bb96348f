"""Two of everything, as real processes on stores that keep what they acknowledge, each process behind wires of its own.

It knows how to start, break off and mend; it does not judge.
"""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import psutil
import psycopg
from redis.asyncio import Redis

from common.process.ports import free_port
from common.process.servers import PORT, Server
from tests.e2e.stack import BEAT, WORKER, Stack, eventually, open_stack
from tests.faults.proxy import Mood, Wire

APIS, WORKERS, BEATS = ("api1", "api2"), ("worker1", "worker2"), ("beat1", "beat2")
ALL = (*APIS, *WORKERS, *BEATS)
CALLS, PERIOD = (
    15,
    5,
)  # so many in so many seconds: after a burst none is free for as long, and whoever waits for a slot waits with it
LIMITS = f"{CALLS}/{PERIOD}s"
Target = Literal["postgres", "redis"]
FIRST = 30.0  # seconds until all have begun and the first quotes are there
EXTRA = 9000  # symbols that nobody has heard of
SETTINGS = {
    "SIMULATOR_EXTRA_SYMBOLS": str(EXTRA),
    "SIMULATOR_LATENCY": "0.02-0.15",
    "QUOTE_TTL": "30",
    "ACCESS_TOKEN_TTL": "86400",
    "TRUSTED_PROXIES": "1",
}
CLOCK = """
    CREATE TABLE IF NOT EXISTS faults_clock (ahead interval NOT NULL);
    INSERT INTO faults_clock SELECT '0' WHERE NOT EXISTS (SELECT FROM faults_clock);
    CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT clock_timestamp() + ahead FROM faults_clock'
"""


@dataclass
class Cluster:
    """What runs. `urls` of the APIs; `born` counts the lives of each process; `down`: ended or frozen on purpose, and not well again
    yet; `untimed`: those, and whoever else the scenario promises no time of."""

    stack: Stack
    provider: Wire  # one for all: a ledger is that of a provider's address
    wires: dict[tuple[str, Target], Wire] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in APIS})
    metrics: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in APIS})
    born: dict[str, int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    untimed: set[str] = field(default_factory=set)

    def start(self, *names: str) -> None:
        for name in names:
            self.born[name] = self.born.get(name, 0) + 1
            env = self._env(name)
            if name in APIS:
                self.urls[name] = self.stack.start_api(name, **env)
            else:
                self.stack.start(name, WORKER if name in WORKERS else BEAT, **env)

    def _env(self, name: str) -> dict[str, str]:
        folder = quote(str(self.stack.folder / name))
        ports = {"PORT": str(self.ports[name]), "METRICS_PORT": str(self.metrics[name])} if name in APIS else {}
        return ports | {
            "DATABASE_URL": f"postgresql://postgres@/quotewell?host={folder}&port={PORT}",
            "REDIS_URL": f"redis://127.0.0.1:{self.wires[name, 'redis'].near}/0",
            "ALPHA_VANTAGE_BASE_URL": f"http://127.0.0.1:{self.provider.near}",
        }

    def strike(self, *names: str) -> None:
        """These are about to be ended or frozen."""
        self.down.update(names)
        self.untimed.update(names)

    def stays_up(self, name: str) -> Callable[[], bool]:
        """Tells, whenever it is asked, whether a process has been up ever since now."""
        life, was_up = self.born[name], name not in self.down
        return lambda: was_up and name not in self.down and life == self.born[name]

    def end(self, *names: str, signum: signal.Signals = signal.SIGKILL) -> None:
        """To the whole group, as a platform does it; one that has ended already hears nothing."""
        self.strike(*names)
        for name in names:
            if self.stack.processes[name].poll() is None:
                self.stack.signal(name, signum)

    async def gone(self, name: str, *, within: float) -> int:
        return await asyncio.to_thread(self.stack.processes[name].wait, within)

    def parent(self, name: str) -> psutil.Process:
        """Of a store or a process: the one that begins the others."""
        if name in ("postgres", "redis"):
            return getattr(self.stack, name).process()
        return psutil.Process(self.stack.processes[name].pid)

    def family(self, name: str) -> list[psutil.Process]:
        """Of one that has ended: nobody."""
        with suppress(psutil.NoSuchProcess):
            parent = self.parent(name)
            return [parent, *parent.children(recursive=True)]
        return []

    def set_mood(self, mood: Mood, names: Iterable[str], targets: Iterable[Target]) -> None:
        for name in names:
            for target in targets:
                wire = self.wires[name, target]
                wire.mood = mood
                if mood == "reset":
                    wire.reset()

    def mend(self) -> None:
        """All wires whole. What was connected while they were not stays broken."""
        for wire in (self.provider, *self.wires.values()):
            wire.mood = "whole"

    async def ask(self, statement: str, *values: Any) -> list[Any]:
        """Past every wire; aside, for the wires turn on this loop and a lock may wait for one of them."""
        return await asyncio.to_thread(self._ask, statement, values)

    def _ask(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with psycopg.connect(self.stack.postgres.url(), autocommit=True, connect_timeout=5) as connection:
            done = connection.execute(statement, values or None)
            return done.fetchall() if done.description else []

    def open_redis(self) -> Redis:
        """Past every wire."""
        return Redis.from_url(self.stack.redis.url(), decode_responses=True)

    async def calls(self, *, since: int) -> dict[str, Any]:
        """What the provider counted, and the calls themselves but for the first `since`."""
        async with self.stack.http.get(f"{self.stack.simulator}/_calls?since={since}") as answer:
            seen: dict[str, Any] = await answer.json()
            return seen

    async def set_clock(self, ahead: float) -> None:
        """So many seconds before the true time."""
        await self.ask("UPDATE faults_clock SET ahead = %s", timedelta(seconds=ahead))

    async def has_quotes(self, name: str) -> bool:
        """All of the overview's."""
        _, quotes = await self.stack.get(f"{self.urls[name]}/api/market/overview")
        return len(quotes) == self.stack.env["OVERVIEW_SYMBOLS"].count(",") + 1

    async def set_fault(self, **fault: Any) -> None:
        """At the provider; none given: none."""
        url = f"{self.stack.simulator}/_fault"
        async with self.stack.http.request("PUT" if fault else "DELETE", url, json=fault or None) as told:
            assert told.status in (200, 204), await told.text()

    async def is_harmless(self) -> bool:
        """No fault of the provider is left."""
        async with self.stack.http.get(f"{self.stack.simulator}/_fault") as answer:
            return (await answer.json())["fault"] is None

    async def restart(self, server: Server, *, lose: bool = False) -> None:
        """A power cut; `lose`: and an empty disk."""
        await asyncio.to_thread(server.kill)
        if lose:
            shutil.rmtree(server.folder)
        await asyncio.to_thread(server.start)  # type: ignore[attr-defined]


@asynccontextmanager
async def open_cluster(ahead: float = 0.0, **settings: str) -> AsyncIterator[Cluster]:
    """All of it, healthy and with quotes; the ledger's clock is so many seconds ahead from the beginning."""
    async with open_stack(LIMITS, throwaway=False, **SETTINGS, **settings) as stack, AsyncExitStack() as wires:
        cluster = Cluster(stack, Wire(free_port(), int(stack.simulator.rpartition(":")[2])))
        await _open(cluster.provider, wires)
        await cluster.ask(CLOCK)
        await cluster.set_clock(ahead)
        for name in ALL:
            await _wire(cluster, name, wires)
        cluster.start(*ALL)
        for name in APIS:
            await eventually(partial(cluster.has_quotes, name), within=FIRST, what=f"{name} has the best-known quotes")
        yield cluster


async def _wire(cluster: Cluster, name: str, wires: AsyncExitStack) -> None:
    """Between a process and each store."""
    stack, socket = cluster.stack, f".s.PGSQL.{PORT}"
    folder = stack.folder / name
    folder.mkdir()
    cluster.wires[name, "postgres"] = Wire(folder / socket, stack.postgres.sockets / socket)
    cluster.wires[name, "redis"] = Wire(free_port(), stack.redis.port)
    for target in ("postgres", "redis"):
        await _open(cluster.wires[name, target], wires)


async def _open(wire: Wire, wires: AsyncExitStack) -> None:
    server = await wire.open()
    wires.push_async_callback(wire.close)
    wires.callback(server.close)
