"""Runs commands without a new Python for each: a server that has imported them once forks for every command.

What runs is a process all the same, with an environment, streams, logs, an event loop and an exit code of its own. `Prompt` is the client.
"""

import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from ops.cli import COMMANDS, app, load, main

TIMEOUT = 60.0  # seconds that a command may take
STREAMS = 3
LATER = ("common.process.broker",)  # what a command imports when it needs it
WARM_UP = (["--help"], ["plan", "--symbols", "9", "--budget", "5/min"])  # typer and rich import much when first used
SERVER = f"import sys, {__name__} as prompt; prompt.serve(sys.argv[1]); prompt.command()"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Sends commands to the server at this address; safe in threads."""

    address: str

    def run(
        self, words: Sequence[str], env: Mapping[str, str], given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `quotewell WORD...` to its end, in exactly this environment and with this on stdin."""
        with (
            socket.socket(socket.AF_UNIX) as connection,
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            stdin.write(given)
            stdin.seek(0)
            connection.settimeout(TIMEOUT)
            connection.connect(self.address)
            socket.send_fds(connection, [b"\n"], [file.fileno() for file in (stdin, stdout, stderr)])
            connection.sendall(json.dumps([list(words), dict(env)]).encode() + b"\n")
            code = int(connection.makefile().readline())
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(words, code, stdout.read(), stderr.read())


@contextmanager
def open_prompt() -> Iterator[Prompt]:
    """A server, until the context ends. What rich and typer read as they are imported is left out of its environment."""
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    with tempfile.TemporaryDirectory(prefix="quotewell-") as home:
        address = str(Path(home) / "prompt")
        command = [sys.executable, "-c", SERVER, address]
        with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            try:
                assert server.stdout.readline() == b"ready\n"
                yield Prompt(address)
            finally:
                server.terminate()


def serve(address: str) -> None:
    """Fork for each connection. Returns only in a process that is to run a command, which then looks as if it had been started so."""
    for name in COMMANDS:
        load(name)
    for name in LATER:
        import_module(name)
    for words in WARM_UP:
        with suppress(SystemExit), redirect_stdout(io.StringIO()):
            app(words)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    _attend(connection)
                    return


def _attend(connection: socket.socket) -> None:
    """Fork the command, wait for it, and tell its exit code; return in the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, STREAMS)
    words, env = json.loads(connection.makefile().readline())
    if (pid := os.fork()) == 0:
        connection.close()
        _become(words, env, streams)
        return
    _, status = os.waitpid(pid, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(words: list[str], env: dict[str, str], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["quotewell", *words]


def command() -> NoReturn:
    """What `quotewell` does, but for the tenth of a second in which Python clears away all that was imported."""
    code: object = None
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    gc.collect()  # what complains when it is collected does so now
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
