"""SIGTERM reaches a worker's child at any moment, in a process of its own: a job that was accepted runs to its end and is reported."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

CHILD = """
import asyncio, signal, sys, time
from billiard.common import reset_signals
from worker.process import Process

process = Process(settings=None)
process.resources = object()  # the job needs neither settings nor stores
process.start()
reset_signals()  # as billiard does after Celery's signal

async def job(resources, *, stopping):
    say("accepted")
    hear()
    say(f"stopping={stopping()}")

def say(line):
    print(line, flush=True)

def hear():
    sys.stdin.readline()

async def tick(resources, *, stopping):
    await asyncio.sleep(1)

say("idle")
while sys.argv[1:]:
    process.run(tick)
    time.sleep(0.3)  # beat waits longer
hear()
process.run(job)
hear()
say("reported")
hear()
say("too long")
"""


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def step(process: subprocess.Popen[str]) -> None:
    pipe(process.stdin).write("\n")


def line(process: subprocess.Popen[str]) -> str:
    return pipe(process.stdout).readline().strip()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.mark.parametrize("moment", ["idle", "accepted", "stopping=False"])
def test_a_child_that_is_told_to_end_still_reports_its_job(moment: str) -> None:
    with child() as process:
        said = []
        for _ in range(4):
            said.append(line(process))
            if said[-1] == moment:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
            step(process)

        stopping = "stopping=False" if moment == "stopping=False" else "stopping=True"
        assert ["idle", "accepted", stopping, "reported"] == said


@pytest.mark.parametrize("work", [(), ("busy",)])
def test_a_child_that_alone_is_told_to_end_ends_itself_though_ticks_keep_coming(work: tuple[str, ...]) -> None:
    with child(*work) as process:
        assert "idle" == line(process)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()

        assert signal.SIGHUP == process.wait(timeout=60)  # billiard exits with the number of its signal
        assert 1 < time.monotonic() - begun
