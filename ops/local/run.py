"""`make run` after the stores: migrates, then runs the entries of `Procfile.dev` until one of them ends or Ctrl-C.

It knows processes, ports and the order of things; what an entry does is the entry's own affair. Honcho starts, prefixes and signals them.
"""

import errno
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import honcho.manager
import psycopg
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer

from common.errors import InvalidSettings, StoreUnavailable
from common.process.settings import Settings
from db.migrate import failure, migrate

PROCFILE = Path(__file__).parents[2] / "Procfile.dev"
KILL_SECONDS = 8  # a worker has 3 s to finish its tasks; all is over within 10 s
MAY_END = frozenset({"demo"})  # says what to look at, then may leave with 0


class Output(Printer):  # type: ignore[misc]
    """Honcho's printer, which survives the terminal; without a reader there is no reason to go on."""

    lost = False

    def write(self, message: Message) -> None:
        try:
            super().write(message)
        except OSError:
            if not self.lost:
                self.lost = True
                os.kill(os.getpid(), signal.SIGTERM)


class Processes(honcho.manager.Manager):  # type: ignore[misc]
    """Honcho's Manager, except that a signal may come before all have started, `MAY_END` may end, and who died is known."""

    ending = False
    first_to_end: tuple[str, int] | None = None

    def terminate(self) -> None:
        """End all. Before every process has its number, `loop` comes back to it."""
        self.ending = True
        if self._all_started():
            super().terminate()

    def _any_stopped(self) -> bool:
        ended = [(name, process["returncode"]) for name, process in self._processes.items() if "returncode" in process]
        died = [(name, code) for name, code in ended if not (name in MAY_END and code == 0)]
        if died and not self.ending:
            self.first_to_end = died[0]
        return self.ending or bool(died)

    def sweep(self) -> None:
        """Kill what an entry has left in its process group, and the readers of the entries' output."""
        for process in self._processes.values():
            if "pid" in process:
                self._procmgr.kill(process["pid"])
            if "process" in process:
                process["process"].kill()


def entries(procfile: str, env: Mapping[str, str]) -> dict[str, str]:
    """Name to command; without the simulator where a real provider, or another simulator, is named."""
    commands = dict(parse_procfile(procfile).processes)
    if env.get("ALPHA_VANTAGE_API_KEY") or env.get("ALPHA_VANTAGE_BASE_URL"):
        commands.pop("simulator", None)
    return commands


def refuse_taken_ports(settings: Settings, *, simulator: bool) -> None:
    """Raise `InvalidSettings` for the first port that somebody listens on; port 0 is always free."""
    ports = {"PORT": (settings.host, settings.port)}
    if simulator:
        ports["SIMULATOR_PORT"] = ("127.0.0.1", settings.simulator_port)
    for name, (host, port) in ports.items():
        try:
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise InvalidSettings(
                    f"{name}: port {port} is taken by another process; stop it or set {name}"
                ) from None
            raise InvalidSettings(
                f"{name}: cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"
            ) from None


def run(commands: Mapping[str, str], env: Mapping[str, str]) -> int:
    """Run all until a signal comes (its number and 128) or one ends (1)."""
    honcho.manager.KILL_WAIT = KILL_SECONDS
    processes = Processes(Output(sys.stdout))
    for name, command in commands.items():
        processes.add_process(name, command, env=dict(env))
    signal.signal(signal.SIGHUP, _as_terminate)
    try:
        processes.loop()
    finally:
        processes.sweep()
    if processes.first_to_end is None:
        return int(processes.returncode or 0)
    print("{} ended with {}, and so all has ended".format(*processes.first_to_end), file=sys.stderr)
    return 1


def _as_terminate(_signum: int, _frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What an entry runs in: this Python's programs come first, and prints are seen at once."""
    path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    return {**env, "PATH": path, "PYTHONUNBUFFERED": "1"}


def main() -> int:
    """Exit with 2 and one sentence if it cannot begin; else as `run` does."""
    try:
        settings = Settings.from_env(os.environ, serves_tokens=True)
        commands = entries(PROCFILE.read_text(), os.environ)
        refuse_taken_ports(settings, simulator="simulator" in commands)
        migrate(settings.database_url)
    except (InvalidSettings, StoreUnavailable, psycopg.Error) as error:
        print(failure(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return run(commands, environment(os.environ))


if __name__ == "__main__":
    sys.exit(main())
