"""Two of each process on durable stores, each process behind proxies of its own: how to start, stop, cut and reconnect them."""

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
from redis.asyncio import Redis

from common.process.ports import free_port
from common.process.servers import PORT, Server
from tests.faults.proxy import Mode, Proxy
from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import Stack, open_stack

APIS, WORKERS, BEATS = ("api1", "api2"), ("worker1", "worker2"), ("beat1", "beat2")
ALL = (*APIS, *WORKERS, *BEATS)
CALLS, PERIOD = 15, 5  # calls in so many seconds: after a burst no slot is free for a period, which a miss has to wait
LIMITS = f"{CALLS}/{PERIOD}s"
Target = Literal["postgres", "redis"]
START_TIMEOUT = 30.0  # seconds until every process runs and the first quotes are there
EXTRA = 9000  # symbols that nobody has requested yet
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
    """The running processes. `urls` are those of the APIs; `starts` counts the starts of each process; `down` were stopped or frozen
    by a scenario and have not recovered yet; `not_timed` are those and the ones whose response times the scenario does not bound."""

    stack: Stack
    provider: Proxy  # one for all: a ledger is that of a provider's address
    proxies: dict[tuple[str, Target], Proxy] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in APIS})
    metrics: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in APIS})
    starts: dict[str, int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    not_timed: set[str] = field(default_factory=set)

    def start(self, *names: str) -> None:
        for name in names:
            self.starts[name] = self.starts.get(name, 0) + 1
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
            "REDIS_URL": f"redis://127.0.0.1:{self.proxies[name, 'redis'].address}/0",
            "ALPHA_VANTAGE_BASE_URL": f"http://127.0.0.1:{self.provider.address}",
        }

    def mark_down(self, *names: str) -> None:
        """Call it before these are stopped or frozen."""
        self.down.update(names)
        self.not_timed.update(names)

    def stays_up(self, name: str) -> Callable[[], bool]:
        """A function that says whether a process has been up ever since now."""
        life, was_up = self.starts[name], name not in self.down
        return lambda: was_up and name not in self.down and life == self.starts[name]

    def signal(self, *names: str, signum: signal.Signals = signal.SIGKILL) -> None:
        """To the whole group of each, as a platform does it, unless it has ended."""
        self.mark_down(*names)
        for name in names:
            if self.stack.processes[name].poll() is None:
                self.stack.signal(name, signum)

    async def wait_for_exit(self, name: str, *, within: float) -> int:
        return await asyncio.to_thread(self.stack.processes[name].wait, within)

    def parent(self, name: str) -> psutil.Process:
        """The first process of a store or of a service."""
        if name in ("postgres", "redis"):
            return getattr(self.stack, name).process()
        return psutil.Process(self.stack.processes[name].pid)

    def family(self, name: str) -> list[psutil.Process]:
        """A process and its children; none if it has ended."""
        with suppress(psutil.NoSuchProcess):
            parent = self.parent(name)
            return [parent, *parent.children(recursive=True)]
        return []

    def set_mode(self, mode: Mode, names: Iterable[str], targets: Iterable[Target]) -> None:
        for name in names:
            for target in targets:
                proxy = self.proxies[name, target]
                proxy.mode = mode
                if mode == "reset":
                    proxy.reset()

    def reopen(self) -> None:
        """Let all proxies pass bytes again. Connections that lost bytes stay broken."""
        for proxy in (self.provider, *self.proxies.values()):
            proxy.mode = "open"

    async def execute(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement past the proxies; in a thread, because they run on this loop and a lock may wait for one of them."""
        return await asyncio.to_thread(self.stack.execute, statement, *values)

    def open_redis(self) -> Redis:
        """A client that bypasses the proxies."""
        return Redis.from_url(self.stack.redis.url(), decode_responses=True)

    async def set_clock(self, ahead: float) -> None:
        """Set the ledger's clock to so many seconds ahead of the true time."""
        await self.execute("UPDATE faults_clock SET ahead = %s", timedelta(seconds=ahead))

    async def has_quotes(self, name: str) -> bool:
        """Whether an API has a quote of every symbol of the overview."""
        _, quotes = await self.stack.get(f"{self.urls[name]}/api/market/overview")
        return len(quotes) == self.stack.env["OVERVIEW_SYMBOLS"].count(",") + 1

    async def has_no_fault(self) -> bool:
        """Whether the provider's faults have all struck."""
        async with self.stack.http.get(f"{self.stack.simulator}/_fault") as answer:
            return (await answer.json())["fault"] is None

    async def restart(self, server: Server, *, lose: bool = False) -> None:
        """Kill a store and start it again, with an empty disk if `lose`."""
        await asyncio.to_thread(server.kill)
        if lose:
            shutil.rmtree(server.folder)
        await asyncio.to_thread(server.start)  # type: ignore[attr-defined]


@asynccontextmanager
async def open_cluster(ahead: float = 0.0, **settings: str) -> AsyncIterator[Cluster]:
    """A healthy cluster with quotes, whose ledger's clock is so many seconds ahead of the true time."""
    async with open_stack(LIMITS, throwaway=False, **SETTINGS, **settings) as stack, AsyncExitStack() as proxies:
        cluster = Cluster(stack, Proxy(free_port(), int(stack.simulator.rpartition(":")[2])))
        await _open(cluster.provider, proxies)
        await cluster.execute(CLOCK)
        await cluster.set_clock(ahead)
        for name in ALL:
            await _open_proxies(cluster, name, proxies)
        cluster.start(*ALL)
        for name in APIS:
            await eventually(
                partial(cluster.has_quotes, name), within=START_TIMEOUT, what=f"{name} has the best-known quotes"
            )
        yield cluster


async def _open_proxies(cluster: Cluster, name: str, proxies: AsyncExitStack) -> None:
    """Put proxies between a process and each store."""
    stack, socket = cluster.stack, f".s.PGSQL.{PORT}"
    folder = stack.folder / name
    folder.mkdir()
    cluster.proxies[name, "postgres"] = Proxy(folder / socket, stack.postgres.sockets / socket)
    cluster.proxies[name, "redis"] = Proxy(free_port(), stack.redis.port)
    for target in ("postgres", "redis"):
        await _open(cluster.proxies[name, target], proxies)


async def _open(proxy: Proxy, proxies: AsyncExitStack) -> None:
    server = await proxy.open()
    proxies.push_async_callback(proxy.close)
    proxies.callback(server.close)
