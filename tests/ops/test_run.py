import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from common.errors import InvalidSettings
from common.process.settings import Settings
from ops.local.run import PROCFILE, entries, environment, refuse_taken_ports

ROOT = Path(__file__).parent.parent.parent
RUN = """
import json, os, sys
from ops.local import run
run.KILL_SECONDS = 1
sys.exit(run.run(json.loads(sys.argv[1]), os.environ))
"""
EARLY_SIGNAL = """
import signal
def at_first(started, sent=[]):
    def all_started(self):
        if not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return started(self)
    return all_started
"""
STORES = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "QUOTEWELL_ENV": "testing",
}


def start(commands: dict[str, str], code: str = RUN) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, json.dumps(commands)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def writes_its_pid(file: Path) -> str:
    return f"echo $$ > {file}; exec sleep 600"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def written(file: Path) -> bool:
    return file.exists() and file.read_text().endswith("\n")


def alive(file: Path) -> bool:
    """Whether the process lives whose pid is in the file; an empty one was killed before it could write."""
    pid = file.read_text().strip() if file.exists() else ""
    try:
        return pid != "" and bool(psutil.Process(int(pid)).status() != "zombie")
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_ends_every_process(tmp_path: Path, signum: signal.Signals, code: int) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    running = start({"web": writes_its_pid(one), "worker": writes_its_pid(two)})
    until(lambda: written(one) and written(two))

    running.send_signal(signum)
    running.communicate(timeout=60)

    assert running.returncode == code
    assert (alive(one), alive(two)) == (False, False)


def test_without_a_reader_of_its_output_all_ends(tmp_path: Path) -> None:
    web = tmp_path / "web"
    running = start({"web": f"echo $$ > {web}; while echo talk; do sleep 0.05; done"})
    until(lambda: written(web))
    assert running.stdout is not None
    running.stdout.close()

    assert running.wait(10) != 0
    assert not alive(web)


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    running = start({"web": f"trap '' TERM; echo $$ > {deaf}; while :; do sleep 0.1; done"})
    until(lambda: written(deaf))

    running.terminate()
    running.communicate(timeout=60)

    assert running.returncode == 143
    assert not alive(deaf)


def test_a_process_that_dies_ends_all_and_is_named(tmp_path: Path) -> None:
    web = tmp_path / "web"
    dies = f"while ! test -s {web}; do sleep 0.02; done; exit 3"
    running = start({"web": writes_its_pid(web), "worker": dies})

    said = running.communicate(timeout=60)[0]

    assert running.returncode == 1
    assert "worker ended with 3" in said
    assert not alive(web)


def test_a_process_that_ends_well_ends_all_too(tmp_path: Path) -> None:
    running = start({"web": "sleep 600", "worker": "true"})

    said = running.communicate(timeout=60)[0]

    assert running.returncode == 1
    assert "worker ended with 0" in said


def test_the_demo_may_end_alone(tmp_path: Path) -> None:
    web = tmp_path / "web"
    running = start({"web": writes_its_pid(web), "demo": "true"})
    until(lambda: written(web))
    assert running.stdout is not None
    while "demo stopped (rc=0)" not in running.stdout.readline():
        pass

    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(1)  # longer than honcho's loop needs to see it
    assert alive(web)
    running.terminate()
    running.communicate(timeout=60)
    assert running.returncode == 143


def test_a_demo_that_fails_ends_all() -> None:
    running = start({"web": "sleep 600", "demo": "exit 4"})

    said = running.communicate(timeout=60)[0]

    assert running.returncode == 1
    assert "demo ended with 4" in said


def test_what_a_dead_process_has_left_behind_is_swept(tmp_path: Path) -> None:
    child = tmp_path / "child"
    leaves = f"sleep 600 >/dev/null 2>&1 & echo $! > {child}; exit 3"
    running = start({"worker": leaves})

    running.communicate(timeout=60)

    until(lambda: not alive(child))


def test_a_signal_before_all_have_started_ends_all(tmp_path: Path) -> None:
    web = tmp_path / "web"
    early = RUN.replace("sys.exit(", "run.Processes._all_started = at_first(run.Processes._all_started)\nsys.exit(")
    early = early.replace("run.KILL_SECONDS", EARLY_SIGNAL + "run.KILL_SECONDS")
    running = start({"web": writes_its_pid(web)}, early)

    running.communicate(timeout=60)

    assert running.returncode == 143
    assert not alive(web)


@pytest.mark.parametrize("name", ["ALPHA_VANTAGE_API_KEY", "ALPHA_VANTAGE_BASE_URL"])
def test_the_simulator_stays_away_from_a_named_provider(name: str) -> None:
    everything = entries(PROCFILE.read_text(), {})
    without = entries(PROCFILE.read_text(), {name: "given"})

    assert list(everything) == ["simulator", "web", "worker", "beat", "demo"]
    assert list(without) == ["web", "worker", "beat", "demo"]


def test_entries_find_the_programs_of_this_python() -> None:
    env = environment({"PATH": "/usr/bin", "HOME": "/home/me"})

    python = Path(sys.executable)
    ended = subprocess.run(f"command -v {python.name}", shell=True, env=env, capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == str(python)
    assert env["HOME"] == "/home/me"


@pytest.mark.parametrize("name", ["PORT", "SIMULATOR_PORT"])
def test_a_taken_port_is_named_with_its_setting(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings.from_env({**STORES, "PORT": "0", name: str(port)})

        with pytest.raises(InvalidSettings, match=f"^{name}: port {port} is taken"):
            refuse_taken_ports(settings, simulator=True)


def test_the_command_starts_nothing_when_a_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {**os.environ, **STORES, "PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "ops.local.run"]

        ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert ended.stderr.startswith("PORT: ")
    assert (ended.stderr.count("\n"), ended.stdout) == (1, "")
