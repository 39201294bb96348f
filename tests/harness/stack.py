"""The service as real processes on throwaway stores, beside a simulator whose log of calls is the reference."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from common.process.ports import free_port
from common.process.servers import Postgres, Redis
from db.migrate import migrate
from tests.harness import processes
from tests.harness.polling import eventually
from tests.harness.processes import API, GUNICORN, SIMULATOR
from tests.memory import roomy_folder

OVERVIEW = "AAPL,GOOGL,MSFT,TSLA,AMZN,META,NVDA,NFLX,IBM,SPY,QQQ,JPM"


@dataclass
class Stack:
    """The processes by name, the two stores, and a client session."""

    folder: Path
    env: dict[str, str]
    postgres: Postgres
    redis: Redis
    http: aiohttp.ClientSession
    simulator: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], **env: str) -> None:
        """Start a process, or start it again once it has ended."""
        if name in self.processes:
            self.processes[name].wait()
        self.processes[name] = processes.start(command, env={**self.env, **env}, log=self._log(name))

    def start_api(self, name: str, **env: str) -> str:
        """Start an API process; its base URL."""
        port = env.get("PORT") or str(free_port())
        self.start(name, API, **{**env, "PORT": port})
        return f"http://127.0.0.1:{port}"

    def start_gunicorn(self, name: str, *options: str, **env: str) -> str:
        """Start two API processes on one port, as in production; their base URL."""
        port = env.get("PORT") or str(free_port())
        more = {"HOST": "127.0.0.1", "WEB_CONCURRENCY": "2", **env, "PORT": port}
        self.start(name, [*GUNICORN, *options], **more)
        return f"http://127.0.0.1:{port}"

    def signal(self, name: str, signum: signal.Signals) -> None:
        """To the whole process group, as a platform does it."""
        os.killpg(self.processes[name].pid, signum)

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return self._log(name).read_text()

    def last_words(self, name: str) -> str:
        """A process's exit code, if it has one, and the end of its log."""
        return f"{name}, exit code {self.processes[name].poll()}: {processes.log_tail(self._log(name))}"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def calls(self, *, since: int = 0) -> dict[str, Any]:
        """What the simulator counted, and the calls themselves but for the first `since`."""
        async with self.http.get(f"{self.simulator}/_calls?since={since}") as answer:
            seen: dict[str, Any] = await answer.json()
            return seen

    async def set_fault(self, **fault: Any) -> None:
        """Let the simulator fail; without a fault it works again."""
        method = "PUT" if fault else "DELETE"
        async with self.http.request(method, f"{self.simulator}/_fault", json=fault or None) as answer:
            assert answer.status in (200, 204), await answer.text()

    async def get(self, url: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer."""
        async with self.http.get(url) as answer:
            return answer.status, await answer.json()

    async def serves(self, url: str) -> None:
        """Wait until an API answers."""

        async def answers() -> bool:
            return (await self.get(f"{url}/api/health"))[0] == 200

        await eventually(answers, what=f"{url} answers")

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement on the database, past every process; its rows."""
        with psycopg.connect(self.postgres.url(), autocommit=True, connect_timeout=5) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []


@asynccontextmanager
async def open_stack(limits: str, *, throwaway: bool = True, **settings: str) -> AsyncIterator[Stack]:
    """Migrated stores and a running simulator, both with these limits; no other process. Throwaway stores lose their data when killed."""
    home = roomy_folder() if throwaway else Path("/tmp")
    folder = home / f"quotewell-e2e-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    postgres, redis = Postgres(folder, throwaway=throwaway), Redis(folder, throwaway=throwaway)
    postgres.start()
    redis.start()
    migrate(postgres.url())
    port = free_port()
    env = {
        **processes.inherited(),
        "QUOTEWELL_ENV": "testing",
        "DATABASE_URL": postgres.url(),
        "REDIS_URL": redis.url(),
        "SIMULATOR_PORT": str(port),
        "PROVIDER_LIMITS": limits,
        "OVERVIEW_SYMBOLS": OVERVIEW,
        **settings,
    }
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        stack = Stack(folder, env, postgres, redis, http, f"http://127.0.0.1:{port}")
        try:
            stack.start("simulator", SIMULATOR)
            await eventually(stack.calls, what="the simulator answers")
            yield stack
        except AssertionError:  # of whoever opens more on it: pytest does not raise a failed test in here
            print(*map(stack.last_words, stack.processes), sep="\n")
            raise
        finally:
            processes.kill(stack.processes.values())
            redis.stop()
            postgres.stop()
            shutil.rmtree(folder)
