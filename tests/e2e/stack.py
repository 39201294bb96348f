"""Everything as real processes on throwaway stores: started, signalled and ended here. The simulator's own log is the judge."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from common.process.ports import free_port
from common.process.servers import Postgres, Redis
from db.migrate import migrate
from tests.memory import roomy_folder

LAST_WORDS = 5000  # characters of a log
BIN = Path(sys.executable).parent
WORKER = [str(BIN / "celery"), "--quiet", "-A", "worker.app", "worker", "--concurrency", "2"]
BEAT = [str(BIN / "celery"), "--quiet", "-A", "scheduler.app", "beat", "-S", "celery.beat:Scheduler"]


async def eventually(condition: Callable[[], Awaitable[Any]], *, within: float, what: str) -> Any:
    """The first true value of a condition; fails when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        try:
            if value := await condition():
                return value
        except (aiohttp.ClientError, OSError):
            pass
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)


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

    def start(self, name: str, command: list[str], **env: str) -> None:
        if name in self.processes:
            self.processes[name].wait()
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**self.env, **env}, stdout=log, stderr=log, start_new_session=True
            )

    def start_api(self, name: str, **env: str) -> str:
        """Start an API process; its base URL."""
        port = env.get("PORT") or str(free_port())
        self.start(name, [sys.executable, "-m", "api"], **{**env, "PORT": port})
        return f"http://127.0.0.1:{port}"

    def signal(self, name: str, signum: signal.Signals) -> None:
        """To the whole process group, as a platform does it."""
        os.killpg(self.processes[name].pid, signum)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def last_words(self, name: str) -> str:
        """How it is, and the end of its log."""
        return f"{name}, exit code {self.processes[name].poll()}: {self.log(name)[-LAST_WORDS:]}"

    async def calls(self) -> dict[str, Any]:
        async with self.http.get(f"{self.simulator}/_calls") as answer:
            seen: dict[str, Any] = await answer.json()
            return seen

    async def get(self, url: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(url) as answer:
            return answer.status, await answer.json()

    async def serves(self, url: str) -> None:
        async def answers() -> bool:
            return (await self.get(f"{url}/api/health"))[0] == 200

        await eventually(answers, within=20, what=f"{url} answers")

    def end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@asynccontextmanager
async def open_stack(limits: str, *, throwaway: bool = True, **settings: str) -> AsyncIterator[Stack]:
    """Stores with their tables and a running simulator, both with these limits; nothing else yet. Throwaway stores forget when killed."""
    home = roomy_folder() if throwaway else Path("/tmp")
    folder = home / f"quotewell-e2e-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    postgres, redis = Postgres(folder, throwaway=throwaway), Redis(folder, throwaway=throwaway)
    postgres.start()
    redis.start()
    migrate(postgres.url())
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        "QUOTEWELL_ENV": "testing",
        "DATABASE_URL": postgres.url(),
        "REDIS_URL": redis.url(),
        "SIMULATOR_PORT": str(port),
        "PROVIDER_LIMITS": limits,
        "OVERVIEW_SYMBOLS": "AAPL,GOOGL,MSFT,TSLA,AMZN,META,NVDA,NFLX,IBM,SPY,QQQ,JPM",
        **settings,
    }
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        stack = Stack(folder, env, postgres, redis, http, f"http://127.0.0.1:{port}")
        try:
            stack.start("simulator", [sys.executable, "-m", "simulator"])
            await eventually(stack.calls, within=15, what="the simulator answers")
            yield stack
        except AssertionError:  # by whoever opens more on it: a test that fails is not raised in here
            print(*map(stack.last_words, stack.processes), sep="\n")
            raise
        finally:
            stack.end()
            redis.stop()
            postgres.stop()
            shutil.rmtree(folder)
