"""Real stores for the tests: started here unless DATABASE_URL and REDIS_URL name others. Tests share a database, emptied before each."""

import functools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aioresponses.core
import asyncpg
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ClientResponse
from hypothesis import settings as hypothesis_settings
from redis.asyncio import Redis

from common.core.limits import parse_limits
from common.process import ports, servers
from common.process import resources as resources_of_process
from common.process.embedded import stores
from common.process.resources import Resources, open_redis, open_resources
from common.process.settings import Settings
from common.store.connection import pool as pools
from common.store.connection.pool import open_pool
from db.migrate import migrate
from simulator import state as simulator_state
from simulator.app import create_app as create_simulator
from simulator.config import Config
from simulator.market.universe import load_universe
from tests.harness import database
from tests.harness.database import TEMPLATE, SharedDatabase
from tests.memory import roomy_folder

TESTS = Path(__file__).parent
MOST_PROCESSES = 4  # of pytest, each with stores of its own
TOGETHER = ("faults", "e2e")  # these run a dozen processes each, and look at the time: never two of them at once
SLOW = (*TOGETHER, "policy", "pages", "deploy", "api")  # in this order, before all the others


class _Response(ClientResponse):
    """aioresponses 0.7.9 does not give what aiohttp 3.14 asks for (pnuckowski/aioresponses#289)."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("stream_writer", None)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


aioresponses.core.ClientResponse = _Response  # type: ignore[attr-defined]

# The same examples each time, and none is too slow: the machine may be busy.
hypothesis_settings.register_profile("quotewell", derandomize=True, deadline=None)
hypothesis_settings.load_profile("quotewell")

# Seconds. Where the stores are well, a busy machine is not to look like an outage; test_outages.py keeps the timeouts of production.
servers.START_TIMEOUT = 120.0
pools.ACQUIRE_TIMEOUT = 5.0
resources_of_process.REDIS_TIMEOUT = 2.0

# Nobody changes it, and nearly every test has a simulator.
simulator_state.load_universe = functools.cache(load_universe)  # type: ignore[assignment, attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One where a store is given, for the tests empty it; else one for each core."""
    given = any(os.environ.get(name) for name in ("DATABASE_URL", "REDIS_URL", "REDIS_HOST"))
    return 1 if given else min(MOST_PROCESSES, os.cpu_count() or 1)


class _NotOurs(set[int]):
    """Ports that another of so many processes may give, beside those that this one gave."""

    def __init__(self, place: int, processes: int) -> None:
        super().__init__()
        self.place, self.processes = place, processes

    def __contains__(self, port: object) -> bool:
        return super().__contains__(port) or self._another_gives(port)

    def _another_gives(self, port: object) -> bool:
        """By eights: Linux gives odd ports to servers."""
        return isinstance(port, int) and port // 8 % self.processes != self.place


def pytest_configure(config: pytest.Config) -> None:
    if worker := getattr(config, "workerinput", None):
        ports._given = _NotOurs(int(worker["workerid"].removeprefix("gw")), worker["workercount"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Not `--dist loadgroup`: xdist 3.8 names the group in `_nodeid`, which pytest 9.2 no longer reads, so each test went its own way."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return WholeFiles(config, log)


def scope_of(nodeid: str) -> str:
    """The tests of one scope run in one process: those of a file, and all of TOGETHER."""
    path = nodeid.partition("::")[0]
    return TOGETHER[0] if _folder(path) in TOGETHER else path


def _folder(path: str) -> str:
    return Path(path).parts[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among processes, what takes longest begins first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(_folder(item.nodeid)))


def _place(folder: str) -> int:
    return SLOW.index(folder) if folder in SLOW else len(SLOW)


@pytest.fixture(scope="session")
def store_urls() -> Iterator[dict[str, str]]:
    """DATABASE_URL of a server with a migrated template, and REDIS_URL. Not in pytest's own folder: PostgreSQL runs as nobody."""
    with (
        tempfile.TemporaryDirectory(prefix="quotewell-", dir=roomy_folder()) as home,
        stores(Path(home), {**os.environ, "QUOTEWELL_ENV": "testing"}, throwaway=True) as started,
    ):
        urls = {name: started.get(name) or os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
        migrate(database.create(urls["DATABASE_URL"], TEMPLATE, template="template1"))
        yield urls


@pytest.fixture
def new_database(store_urls: dict[str, str]) -> Iterator[Callable[[], str]]:
    """Makes databases, which are dropped after the test."""
    server, made = store_urls["DATABASE_URL"], list[str]()

    def make() -> str:
        made.append(database.create_next(server))
        return made[-1]

    yield make
    for url in made:
        database.drop(server, url)


@pytest.fixture(scope="session")
def shared_database(store_urls: dict[str, str]) -> Iterator[SharedDatabase]:
    with closing(SharedDatabase(store_urls["DATABASE_URL"])) as shared:
        yield shared


@pytest.fixture
def database_url(shared_database: SharedDatabase) -> str:
    """The URL of an empty, migrated database."""
    return shared_database.prepare()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(database_url, name="tests", size=5, statement_timeout=10)
    yield pool
    await pool.close()


@pytest.fixture
async def redis(store_urls: dict[str, str]) -> AsyncIterator[Redis]:
    """An empty Redis."""
    client = open_redis(store_urls["REDIS_URL"], timeout=5)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def settings(store_urls: dict[str, str], database_url: str) -> Settings:
    """Settings of a process under test; the limit is out of the way."""
    env = {
        "QUOTEWELL_ENV": "testing",
        "DATABASE_URL": database_url,
        "REDIS_URL": store_urls["REDIS_URL"],
        "ALPHA_VANTAGE_BASE_URL": "http://127.0.0.1:9",
        "PROVIDER_LIMITS": "1000/1min",
    }
    return Settings.from_env(env, serves_tokens=True)


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    """The base URL of a simulator without limits worth mentioning."""
    app = create_simulator(Config(limits=parse_limits("100000/1min", "limits")))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def resources(settings: Settings, simulator: str, redis: Redis) -> AsyncIterator[Resources]:
    """What a process holds, against real stores and the simulator."""
    ready = replace(settings, provider_base_url=simulator, provider_timeout=timedelta(seconds=5))
    async with open_resources(ready, name="tests", statement_timeout=10) as opened:
        yield opened
