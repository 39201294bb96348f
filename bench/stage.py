"""A stage for one run: throwaway stores, a database of its own, and the real processes, which are gone when it is over.

It knows commands, ports and settings; it measures nothing. All that is not set here has its default.
"""

import os
import signal
import subprocess  # nosec B404: our own entries, no shell
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from common.process.ports import free_port
from common.process.settings import Settings
from db.migrate import migrate

ROOT = Path(__file__).parent.parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")  # of our own environment; a developer's settings must not leak in
READY = 30.0  # seconds
CELERY = ("celery", "--quiet", "-A")
ENTRIES: dict[str, tuple[str, ...]] = {
    "simulator": ("simulator",),
    "api": ("api",),
    "worker": (*CELERY, "worker.app", "worker", "--concurrency", "2"),
    "beat": (*CELERY, "scheduler.app", "beat", "-S", "celery.beat:Scheduler"),
}


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
        """Start entries, each in a group of its own, with its output in a file."""
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", *ENTRIES[name]]
                self.children.append(
                    subprocess.Popen(  # nosec B603
                        command, env=dict(self.env), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
                    )
                )

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; `RuntimeError` names it, and where the logs are, if it does not come or a process ends."""
        deadline = time.monotonic() + READY
        while not condition():
            if time.monotonic() > deadline or any(child.poll() is not None for child in self.children):
                raise RuntimeError(f"{what}: not within {READY:g} s; {_last_words(self.folder)}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End every process and its children at once; what they would still have written is of no use."""
        for child in self.children:
            with suppress(ProcessLookupError):  # ended, and nothing of its group is left
                os.killpg(child.pid, signal.SIGKILL)
        for child in self.children:
            child.wait()


@contextmanager
def open_stage(urls: Mapping[str, str], folder: Path, name: str, **settings: str) -> Iterator[Stage]:
    """A fresh database, an empty Redis and free ports; no process runs yet."""
    url = create_database(urls["DATABASE_URL"], name)
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.flushall()
    logs = folder / name
    logs.mkdir()
    env = {key: os.environ[key] for key in KEPT if key in os.environ} | {
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
        stage.kill()


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


def _last_words(folder: Path) -> str:
    tails = [f"{log.name}: {log.read_text(errors='replace')[-300:]}" for log in folder.glob("*.log")]
    return " | ".join(tails) or "no logs"
