"""The health check of worker and beat, run as it stands upon real ones: it knows a process that hangs from one that waits for Redis."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import redis

from common.process.ports import free_port
from common.process.servers import Redis
from tests.deploy.composition import command, services
from tests.deploy.overlays import OVERLAYS, containers, read
from tests.e2e.stack import BEAT, WORKER, eventually

TEST = services()["beat"]["healthcheck"]["test"]
PATIENCE = 30.0  # seconds between two looks, by the file

Look = Callable[[], Awaitable[bool]]


@contextmanager
def broker(state: str, home: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """A Redis with nothing to do, or one that is away in one of two ways; and whether somebody is connected."""
    port = free_port()
    if state == "nobody answers":
        with socket.create_server(("127.0.0.1", port)):
            yield f"redis://127.0.0.1:{port}/0", lambda: False
    elif state == "nobody listens":
        yield f"redis://127.0.0.1:{port}/0", lambda: False
    else:
        server = Redis(home, throwaway=True)
        server.start()
        try:
            with redis.Redis.from_url(server.url()) as client:
                yield server.url(), lambda: len(client.client_list()) > 1
        finally:
            server.stop()


@pytest.fixture
async def process(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Started, and past its start: connected, or in want of Redis by its own word."""
    words, state = request.param
    log = tmp_path / "log"
    with broker(state, tmp_path) as (url, connected), log.open("wb") as out:
        stores = {"DATABASE_URL": "postgresql://none.invalid/none", "REDIS_URL": url, "QUOTEWELL_ENV": "testing"}
        started = await asyncio.create_subprocess_exec(
            *words, env=os.environ | stores, stdout=out, stderr=out, start_new_session=True
        )

        async def settled() -> bool:
            return connected() or "Trying again" in log.read_text()

        try:
            await eventually(settled, within=60, what="it has looked for Redis")
            yield started
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            await started.wait()


@pytest.fixture
def look(process: asyncio.subprocess.Process, tmp_path: Path) -> Look:
    """One look at the process in the place of the container's first."""
    words = command(TEST, last=[f"/proc/{process.pid}/status", str(tmp_path / "seen")])[1:]

    async def once() -> bool:
        return 0 == await (await asyncio.create_subprocess_exec(*words)).wait()

    return once


WAITING = [(WORKER, "idle"), (BEAT, "idle"), (WORKER, "nobody listens"), (BEAT, "nobody answers")]


@pytest.mark.parametrize("process", WAITING, indirect=True, ids=["worker", "beat", "worker alone", "beat alone"])
async def test_what_only_waits_goes_on(look: Look) -> None:
    for _ in range(4):
        await eventually(look, within=PATIENCE, what="the main thread goes on")


@pytest.mark.parametrize("process", [(BEAT, "nobody listens")], indirect=True, ids=["beat"])
async def test_what_hangs_is_found_by_the_second_look_and_well_again_when_it_goes_on(
    process: asyncio.subprocess.Process, look: Look
) -> None:
    async def stopped() -> bool:
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)

    os.kill(process.pid, signal.SIGSTOP)
    await eventually(stopped, within=5, what="the kernel has stopped it")
    await look()

    assert [False, False] == [await look(), await look()]
    os.kill(process.pid, signal.SIGCONT)
    await eventually(look, within=PATIENCE, what="the main thread goes on")


async def test_what_is_gone_is_not_well(tmp_path: Path) -> None:
    words = command(TEST, last=[str(tmp_path / "no-process"), str(tmp_path / "seen")])[1:]

    assert 0 != await (await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)).wait()


def test_compose_and_kubernetes_ask_alike() -> None:
    probes = [
        container["livenessProbe"]["exec"]["command"]
        for overlay in OVERLAYS
        for found in read(overlay)
        for container in containers(found)
        if container["name"] in ("worker", "beat")
    ]

    assert [command(TEST)[1:]] * 4 == probes
    assert services()["worker"]["healthcheck"] == services()["beat"]["healthcheck"]
