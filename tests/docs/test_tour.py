"""Run the tour in README beside a running `make run`: each command gives the answer below it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.process.ports import free_port
from tests.docs.documents import ROOT, blocks

MARK = "--- end of an answer ---"
START_TIMEOUT = 60  # seconds
Step = tuple[str, list[str]]  # a command, and the pieces of its answer in order


def tour() -> list[Step]:
    """The comments above a command are for the reader; those right below it are its answer."""
    [block] = [block for block in blocks("README.md") if "localhost:5001/api/health" in block]
    steps: list[Step] = []
    for paragraph in block.strip().split("\n\n"):
        lines = [line for line in paragraph.replace("\\\n", " ").splitlines() if line]
        first = next(at for at, line in enumerate(lines) if not line.startswith("#"))
        answer = " ".join(line.lstrip("# ") for line in lines[first + 1 :])
        steps.append((lines[first], [piece.strip() for piece in answer.split("...") if piece.strip()]))
    return steps


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start what `make run` starts, on free ports; the test's address for each of README's."""
    api, simulator = free_port(), free_port()
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    env |= {"QUOTEWELL_ENV": "development", "QUOTEWELL_HOME": str(tmp_path), "PROVIDER_LIMITS": "1000/1min"}
    env |= {"PORT": str(api), "SIMULATOR_PORT": str(simulator)}
    command = [sys.executable, "-m", "common.process.embedded", sys.executable, "-m", "ops.local.run"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while "Quotewell serves" not in log.read_text():
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield {"localhost:5001": f"localhost:{api}", "localhost:5002": f"localhost:{simulator}"}
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(30)


def in_order(pieces: list[str], text: str) -> bool:
    """Ignore white space: some answers are JSON with it, some without."""
    answer, expected = "".join(text.split()), ["".join(piece.split()) for piece in pieces]
    return re.search(".*?".join(map(re.escape, expected)), answer) is not None


def test_the_tour_answers_what_it_says(addresses: dict[str, str]) -> None:
    steps = tour()
    script = "\n".join(f"{command}\necho; echo '{MARK}'" for command, _ in steps)
    for there, here in addresses.items():
        script = script.replace(there, here)

    done = subprocess.run(["bash", "-euo", "pipefail"], input=script, capture_output=True, text=True, check=False)
    answers = done.stdout.split(MARK)

    assert (0, len(steps) + 1) == (done.returncode, len(answers)), done.stderr
    assert [] == [
        (command, answer)
        for (command, pieces), answer in zip(steps, answers, strict=False)
        if not in_order(pieces, answer)
    ]
    assert all(pieces for command, pieces in steps if not command.startswith("TOKEN="))
