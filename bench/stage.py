"""A stage for one run: throwaway stores, a database of its own, and the real processes, which are gone when it is over.

It knows ports and settings; it measures nothing. All that is not set here has its default. tests/harness starts the processes.
"""

import subprocess  # nosec B404: for its types
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from common.process.ports import free_port
from common.process.servers import poll
from common.process.settings import Settings
from db.migrate import migrate
from tests.harness import processes
from tests.harness.processes import API, BEAT, ROOT, SIMULATOR, WORKER

__all__ = ["ROOT", "Stage", "answers", "create_database", "open_stage"]

START_TIMEOUT = 30.0  # seconds
COMMANDS = {"simulator": SIMULATOR, "api": API, "worker": WORKER, "beat": BEAT}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place. `env` is what every process of it gets."""

    folder: Path
    env: Mapping[str, str]
    settings: Settings
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def simulator(self) -> str:
        return self.settings.provider_base_url

    def start(self, *names: str) -> None:
        """Start processes, each in a group of its own, with its output in a file."""
        for name in names:
            log = self.folder / f"{name}.log"
            self.children.append(processes.start(COMMANDS[name], env=self.env, log=log))

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; `RuntimeError` names it, and shows the logs, if it does not come or a process ends."""

        def settled() -> bool:
            return condition() or any(child.poll() is not None for child in self.children)

        if not poll(settled, START_TIMEOUT) or not condition():
            logs = " | ".join(map(processes.log_tail, self.folder.glob("*.log")))
            raise RuntimeError(f"{what}: not within {START_TIMEOUT:g} s; {logs}")


@contextmanager
def open_stage(urls: Mapping[str, str], folder: Path, name: str, **settings: str) -> Iterator[Stage]:
    """A fresh database, an empty Redis and free ports; no process runs yet."""
    url = create_database(urls["DATABASE_URL"], name)
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.flushall()
    logs = folder / name
    logs.mkdir()
    env = processes.inherited() | {
        "QUOTEWELL_ENV": "testing",
        "DATABASE_URL": url,
        "REDIS_URL": urls["REDIS_URL"],
        "SIMULATOR_PORT": str(free_port()),
        "PORT": str(free_port()),
        "MARKET_HOURS": "always",
        **settings,
    }
    stage = Stage(logs, env, Settings.from_env(env))
    try:
        yield stage
    finally:
        processes.kill(stage.children)


def create_database(url: str, name: str) -> str:
    """A migrated database on the server behind `url`; its own URL."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    own = urlsplit(url)._replace(path=f"/{name}").geturl()
    migrate(own)
    return own


def answers(url: str) -> bool:
    """Whether a server of ours listens there."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # nosec B310: our own http URL
            return True
    except OSError:
        return False
