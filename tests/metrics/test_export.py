"""Who answers Prometheus: a process for itself, a parent for those that it forked, dead ones included."""

import asyncio
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.metrics import export as metrics_export
from common.metrics.export import export
from common.process.ports import free_port
from tests.harness.polling import eventually

FAMILY = """
import os, signal, sys
from common.metrics.files import share
share(1)
from prometheus_client import Counter, Gauge, Histogram, generate_latest, CollectorRegistry
from pathlib import Path
from common.metrics.export import Family

did = Counter("did", "")
seen = Gauge("seen", "", multiprocess_mode="livemin")
open_ = Gauge("open", "", multiprocess_mode="livesum")
took = Histogram("took_seconds", "", buckets=(1,))
ready, told = os.pipe()
children = []
for number in (1, 2):
    child = os.fork()
    if not child:
        did.inc(number); seen.set(100 * number); open_.set(10 * number); took.observe(number)
        os.write(told, b"x")
        signal.pause()
    children.append(child)
for _ in children:
    os.read(ready, 1)
if not (child := os.fork()):
    sys.exit()  # in good order, so that it runs what the parent registered for its end
os.waitpid(child, 0)
folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
registry = CollectorRegistry()
registry.register(Family(Path(folder)))
for child, end in zip(children, (signal.SIGKILL, signal.SIGTERM)):
    sys.stdout.buffer.write(generate_latest(registry) + b"---")
    os.kill(child, end)
    os.waitpid(child, 0)
print(folder)
"""


def started(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, which may fork."""
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)


def run(program: str) -> str:
    done = started(program)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def samples(text: str) -> dict[str, float]:
    """By name, with the bound of a bucket."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + sample.labels.get("le", ""): sample.value for sample in found}


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return samples(answer.read().decode())


@pytest.fixture(scope="module")
def family() -> tuple[dict[str, float], dict[str, float], Path]:
    """What a parent exports while both children live, and after the first has died; and its folder."""
    both, one, folder = run(FAMILY).split("---")
    return samples(both), samples(one), Path(folder.strip())


Told = tuple[dict[str, float], dict[str, float], Path]


def test_a_parent_adds_up_what_its_children_count(family: Told) -> None:
    both = family[0]

    assert (3, 2, 1) == (both["did_total"], both["took_seconds_count"], both["took_seconds_bucket1.0"])
    assert (30, 100) == (both["open"], both["seen"])


def test_a_child_that_died_leaves_its_counts_and_takes_its_gauges(family: Told) -> None:
    one = family[1]

    assert (3, 2, 1) == (one["did_total"], one["took_seconds_count"], one["took_seconds_bucket1.0"])
    assert (20, 200) == (one["open"], one["seen"])


def test_memory_is_that_of_all_and_spent_time_never_goes_back(family: Told) -> None:
    both, one, _ = family

    assert both["process_resident_memory_bytes"] > 1.3 * one["process_resident_memory_bytes"] > 0
    assert one["process_cpu_seconds_total"] >= both["process_cpu_seconds_total"] > 0
    assert both["process_start_time_seconds"] == one["process_start_time_seconds"]


def test_the_folder_is_gone_with_the_parent_and_no_sooner(family: Told) -> None:
    """Both answers were read from it after a child had ended in good order."""
    assert not family[2].exists()


def test_without_a_port_nothing_is_shared() -> None:
    program = (
        "import os; from common.metrics.files import share; share(0); print(os.environ.get('PROMETHEUS_MULTIPROC_DIR'))"
    )

    assert "None" == run(program).strip()


def test_a_folder_that_cannot_be_written_to_is_refused_in_one_sentence() -> None:
    program = "import tempfile; tempfile.tempdir = '/proc/none'; from common.metrics.files import share; share(1)"

    done = started(program)

    assert 2 == done.returncode
    assert "quotewell: TMPDIR: expected a directory that can be written to, for metrics\n" == done.stderr


def test_a_process_answers_for_itself() -> None:
    port = free_port()

    export("127.0.0.1", port)

    found = scraped(port)
    assert 1 == found["quotewell_build_info"]
    assert found["process_resident_memory_bytes"] > 0


def test_without_a_port_nobody_answers() -> None:
    before = threading.enumerate()

    export("127.0.0.1", 0)

    assert before == threading.enumerate()


async def test_a_port_that_is_taken_is_had_as_soon_as_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_export, "RETRY_DELAY", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        export("127.0.0.1", port)

    async def answers() -> bool:
        return bool((await asyncio.to_thread(scraped, port))["quotewell_build_info"])

    assert await eventually(answers, what="the port is had")


FORKING = """
import os, threading, time
from common.metrics.forks import no_fork
at_work, free = threading.Event(), threading.Event()

def work():
    with no_fork():
        at_work.set()
        free.wait(0.3)
        done.append(time.monotonic())

done = []
threading.Thread(target=work).start()
at_work.wait()
child = os.fork()
if not child:
    with no_fork():
        os._exit(7)
assert done and time.monotonic() >= done[0]
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with no_fork():
    pass
"""


def test_a_fork_waits_for_a_thread_at_work_and_leaves_both_sides_free() -> None:
    assert "7" == run(FORKING).strip()
