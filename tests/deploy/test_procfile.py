"""The Procfile as a platform runs it: honcho starts its entries in production's environment, and SIGTERM goes to every process, thrice."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from honcho.environ import parse_procfile
from redis.asyncio import Redis

from common.process.ports import free_port
from common.process.resources import POOL_SIZE, REDIS_POOL_SIZE
from tests.harness.polling import eventually
from tests.harness.processes import BIN
from tests.harness.stack import Stack, open_stack
from tests.test_readme import product

ROOT = Path(__file__).parents[2]
ENTRIES: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
SECRET = "a secret of this test alone, 32 bytes"
ENDS_WITHIN = 25  # seconds, of the thirty that platforms give
# Honcho by itself kills what is left 5 s after the first has ended; platforms kill nothing before 30 s.
HONCHO = "import honcho.manager, honcho.command; honcho.manager.KILL_WAIT = 30; honcho.command.main()"
RELEASE = 3  # connections of the migrations, while all others run
REQUESTS = 6  # of each of forty readers
SMALL_PLAN = 20  # connections that the smallest PostgreSQL and Redis of platforms allow


@dataclass
class Platform:
    """The running entries, and how to reach them."""

    stack: Stack
    database_url: str
    url: str
    folder: Path

    def signal_all(self) -> None:
        """SIGTERM to each process of each entry; honcho itself, our stand-in for the platform, gets none."""
        started = psutil.Process(self.stack.processes["platform"].pid)
        entries = [child for child in started.children(recursive=True) if os.getpgid(child.pid) != started.pid]
        for process in entries:
            with suppress(psutil.NoSuchProcess):
                process.terminate()

    async def hears(self, signals: int) -> None:
        """Wait until worker and web have said so; the worker says it of each signal."""

        async def heard() -> bool:
            log = self.stack.log("platform")
            return "Handling signal: term" in log and log.count("Warm shutdown") >= signals

        await eventually(heard, within=ENDS_WITHIN, what=f"signal {signals} is heard")

    async def ended(self) -> bool:
        return self.stack.processes["platform"].poll() is not None

    async def ask(self, number: int) -> None:
        """One of several kinds of requests; whatever the answer is."""
        path = ("stock/AAPL?wait=0", f"stock/Z{number}?wait=0", f"stocks?symbols=IBM,SPY,Y{number}", "market/overview")
        async with self.stack.http.get(f"{self.url}/api/{path[number % 4]}") as answer:
            await answer.read()

    async def open_connections(self) -> tuple[int, int]:
        """To PostgreSQL and to Redis, without those that count."""
        found = self.rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'quotewell-%'")
        async with Redis.from_url(self.stack.redis.url()) as redis:
            return int(found[0][0]), len(await redis.client_list()) - 1

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as database:
            return database.execute(statement.encode()).fetchall()


@asynccontextmanager
async def open_platform(limits: str, *, beats: int = 1, **env: str) -> AsyncIterator[Platform]:
    """An empty database, released; then web, a worker and beats, in a folder that holds nothing else."""
    async with open_stack(limits) as stack:
        with psycopg.connect(stack.postgres.url("postgres"), autocommit=True) as server:
            server.execute("CREATE DATABASE shop")
        database_url = stack.postgres.url("shop").replace("postgresql://", "postgres://")
        simulator = {"ALPHA_VANTAGE_BASE_URL": stack.simulator, "SIMULATOR_PORT": ""}
        stack.env |= {"QUOTEWELL_ENV": "", "DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, **simulator}
        stack.env |= {"PATH": f"{BIN}:{stack.env['PATH']}", "PYTHONPATH": str(ROOT), **env}
        folder = stack.folder / "dyno"
        folder.mkdir()
        (folder / "Procfile").write_text((ROOT / "Procfile").read_text())
        assert re.fullmatch(r"applied \d+ migrations\n", release(stack, folder))
        port = free_port()
        start = [sys.executable, "-c", HONCHO, "--app-root", str(folder), "start", "--port", str(port)]
        stack.start("platform", [*start, "-c", f"beat={beats}", "web", "worker", "beat"])
        platform = Platform(stack, database_url, f"http://127.0.0.1:{port}", folder)
        try:
            await stack.serves(platform.url)
            yield platform
        finally:
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(stack.processes["platform"].pid).children(recursive=True):
                    process.kill()


def release(stack: Stack, folder: Path) -> str:
    place: dict[str, Any] = {"env": stack.env, "cwd": folder, "timeout": 60}
    command = subprocess.run(ENTRIES["release"], shell=True, check=False, capture_output=True, text=True, **place)
    assert (0, "") == (command.returncode, command.stderr)
    return str(command.stdout)


def test_the_procfile_has_the_four_kinds_of_processes_and_no_shell_that_outlives_a_signal() -> None:
    assert ["web", "worker", "beat", "release"] == list(ENTRIES)
    assert all(command.startswith("exec ") for command in ENTRIES.values())


def test_the_manifest_sets_what_is_a_setting_and_starts_what_the_procfile_has() -> None:
    manifest = json.loads((ROOT / "app.json").read_text())

    assert set(manifest["env"]) <= product()
    assert set(ENTRIES) - {"release"} == set(manifest["formation"])
    assert {"generator": "secret"}.items() <= manifest["env"]["JWT_SECRET_KEY"].items()


async def test_three_signals_to_every_process_lose_no_call_and_no_request() -> None:
    async with open_platform("4/2s", beats=2, QUOTE_TTL="1", WEB_CONCURRENCY="2") as platform:
        stack = platform.stack
        assert 200 == (await stack.get(f"{platform.url}/api/stock/AAPL?wait=15"))[0]
        async with stack.http.put(f"{stack.simulator}/_fault", json={"kind": "slow", "delay": 5}) as answer:
            assert 200 == answer.status
        miss = asyncio.create_task(stack.get(f"{platform.url}/api/stock/ORCL?wait=15"))

        async def under_way() -> bool:
            calls = (await stack.calls())["calls"]
            pending = [call["symbol"] for call in calls if not call["answered"]]
            return "ORCL" in pending and len(pending) > 2

        await eventually(under_way, what="calls of the worker and of the API are under way")
        began = time.monotonic()
        for signals in (1, 2, 3):
            platform.signal_all()
            await platform.hears(signals)
        await eventually(platform.ended, within=ENDS_WITHIN, what="every process has ended")
        took, seen = time.monotonic() - began, await stack.calls()

        assert took < ENDS_WITHIN
        assert 200 == (await miss)[0]
        assert [(seen["total"], 0)] == platform.rows(
            "SELECT count(*), count(*) FILTER (WHERE outcome IS DISTINCT FROM 'ok') FROM calls"
        )
        assert 0 == seen["over_limit"]
        assert "Traceback" not in stack.log("platform")
        assert [Path("Procfile")] == [path.relative_to(platform.folder) for path in platform.folder.iterdir()]
        assert "nothing to apply\n" == release(stack, platform.folder)


async def test_the_smallest_stores_have_room_for_all_connections() -> None:
    """As many processes as app.json starts, under more requests at once than they have connections."""
    processes = json.loads((ROOT / "app.json").read_text())["env"]["WEB_CONCURRENCY"]["value"]
    async with open_platform("50/2s", QUOTE_TTL="1", WEB_CONCURRENCY=processes, CLIENT_LIMIT="100000") as platform:
        most = (0, 0)

        async def read(first: int) -> None:
            for turn in range(REQUESTS):
                await platform.ask(first + 41 * turn)

        readers = [asyncio.create_task(read(first)) for first in range(40)]
        while not all(reader.done() for reader in readers):
            found = await platform.open_connections()
            most = max(most[0], found[0]), max(most[1], found[1])
            await asyncio.sleep(0.05)
        await asyncio.gather(*readers)

        postgres, redis = most
        assert POOL_SIZE <= postgres <= SMALL_PLAN - RELEASE
        assert REDIS_POOL_SIZE <= redis <= SMALL_PLAN
