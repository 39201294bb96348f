"""An operator's shell on real stores, beside a provider and, where something must move, a worker's job.

Commands are forked (see `prompt.py`); what only a new process shows is typed with `typed`, at a terminal, or with `spawn`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common.process.resources import Resources
from tests.ops.prompt import Prompt, open_prompt
from worker.jobs import work_queue

QUOTEWELL = Path(sys.executable).with_name("quotewell")
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing"}

Work = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Shell:
    """Types commands in an environment; `rows` says what stands in the tables."""

    prompt: Prompt
    env: dict[str, str]

    def with_env(self, **env: str) -> "Shell":
        return Shell(self.prompt, self.env | env)

    def say(self, *words: str, stdin: str | bytes = "", **env: str) -> subprocess.CompletedProcess[str]:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = self.prompt.run(words, self.env | env, given)
        return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())

    def spawn(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """As `say`, in a new Python that runs the installed program."""
        command = [str(QUOTEWELL), *words]
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, check=False, timeout=60)

    def do(self, *words: str, code: int = 0, stdin: str = "") -> Any:
        """What a command answers in JSON, if it ends with this code."""
        done = self.say(*words, "--json", stdin=stdin)
        assert code == done.returncode, done.stderr
        return json.loads(done.stdout)

    async def ado(self, *words: str, code: int = 0) -> Any:
        """As `do`, while the test's loop goes on."""
        return await asyncio.to_thread(lambda: self.do(*words, code=code))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []


@asynccontextmanager
async def typed(shell: Shell, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that goes on; it is killed in the end unless it has ended."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(QUOTEWELL, *words, env=shell.env, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def interrupt(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Press Ctrl-C; the exit code, and what it still wrote."""
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="session")
def prompt() -> Iterator[Prompt]:
    with open_prompt() as opened:
        yield opened


@pytest.fixture
def shell(prompt: Prompt, store_urls: dict[str, str], database_url: str) -> Shell:
    """A shell with stores, and with a provider that is away."""
    stores = {"DATABASE_URL": database_url, "REDIS_URL": store_urls["REDIS_URL"]}
    settings = {
        "QUOTEWELL_ENV": "testing",
        "PROVIDER_LIMITS": "1000/1min",
        "ALPHA_VANTAGE_BASE_URL": "http://127.0.0.1:9",
    }
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    return Shell(prompt, {**kept, **settings, **stores})


@pytest.fixture
def beside(shell: Shell, resources: Resources) -> Shell:
    """A shell of the same account as the process `resources`."""
    return shell.with_env(ALPHA_VANTAGE_BASE_URL=resources.settings.provider_base_url)


@pytest.fixture
def work(resources: Resources) -> Work:
    """A worker that takes turns at the line, as beat's ticks have it."""

    @asynccontextmanager
    async def working() -> AsyncIterator[None]:
        ended = asyncio.Event()

        async def take_turns() -> None:
            while not ended.is_set():
                await work_queue(resources, stopping=ended.is_set, ticked=True)

        turns = asyncio.create_task(take_turns())
        try:
            yield
        finally:
            ended.set()
            await turns

    return working
