"""The commands of every process of the service, and how a test or a bench starts them, reads their logs and ends them."""

import os
import signal
import subprocess  # nosec B404: our own entries, no shell
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MAX_LOG_TAIL = 5000  # characters
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")  # of our own environment; a developer's settings must not leak in

PYTHON = (sys.executable, "-m")
CELERY = (*PYTHON, "celery", "--quiet", "-A")
SIMULATOR = (*PYTHON, "simulator")
API = (*PYTHON, "api")
GUNICORN = (*PYTHON, "gunicorn", "--config", "python:api.serve", "api.serve:open_app")
WORKER = (*CELERY, "worker.app", "worker", "--concurrency", "2")
BEAT = (*CELERY, "scheduler.app", "beat", "-S", "celery.beat:Scheduler")
MIGRATE = (*PYTHON, "db.migrate")


def inherited() -> dict[str, str]:
    """What every process gets of the environment of the tests."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def start(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own; its output is appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(  # nosec B603
            command, env=dict(env), cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )


def kill(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes and their children at once; return when they are gone."""
    ended = list(processes)
    for process in ended:
        with suppress(ProcessLookupError):  # nothing of its group is left
            os.killpg(process.pid, signal.SIGKILL)
    for process in ended:
        process.wait()


def log_tail(log: Path) -> str:
    """The end of a log, with its name."""
    return f"{log.name}: {log.read_text(errors='replace')[-MAX_LOG_TAIL:]}"
