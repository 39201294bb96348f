"""The health check of worker and beat, run as it stands upon real ones: it knows a process that hangs from one that waits for Redis."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
import redis

from common.process.ports import free_port
from common.process.servers import Redis
from tests.deploy.composition import command, services
from tests.deploy.overlays import OVERLAYS, containers, read
from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEST = services()["beat"]["healthcheck"]["test"]
PERIOD = 30.0  # seconds between two looks, by the file
WAITING = {
    "worker": (WORKER, "idle"),
    "beat": (BEAT, "idle"),
    "worker alone": (WORKER, "nobody listens"),
    "beat alone": (BEAT, "nobody answers"),
}


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


async def run(words: list[str]) -> int:
    return await (await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)).wait()


@dataclass(frozen=True, slots=True)
class Process:
    """A worker or a beat in the place of its container's first process."""

    pid: int
    folder: Path

    async def look(self) -> bool:
        return 0 == await run(command(TEST, last=[f"/proc/{self.pid}/status", str(self.folder / "seen")])[1:])

    async def goes_on(self) -> None:
        await eventually(self.look, within=PERIOD, what=f"the main thread of {self.pid} goes on")


@asynccontextmanager
async def start(words: Sequence[str], state: str, folder: Path) -> AsyncIterator[Process]:
    """Started, and past its start: connected, or in want of Redis by its own word."""
    log = folder / "log"
    with broker(state, folder) as (url, connected), log.open("wb") as out:
        stores = {"DATABASE_URL": "postgresql://none.invalid/none", "REDIS_URL": url, "QUOTEWELL_ENV": "testing"}
        started = await asyncio.create_subprocess_exec(
            *words, env=os.environ | stores, stdout=out, stderr=out, start_new_session=True
        )

        async def settled() -> bool:
            return connected() or "Trying again" in log.read_text()

        try:
            await eventually(settled, within=60, what="it has looked for Redis")
            yield Process(started.pid, folder)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            await started.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Process]]:
    """All of WAITING, started at once."""
    async with AsyncExitStack() as stack:
        opening = [start(words, state, tmp_path_factory.mktemp("process")) for words, state in WAITING.values()]
        yield dict(zip(WAITING, await asyncio.gather(*map(stack.enter_async_context, opening)), strict=True))


async def test_what_only_waits_goes_on(processes: dict[str, Process]) -> None:
    for _ in range(4):
        await asyncio.gather(*(process.goes_on() for process in processes.values()))


async def test_what_hangs_is_found_by_the_second_look_and_well_again_when_it_goes_on(
    processes: dict[str, Process],
) -> None:
    process = processes["beat alone"]

    async def stopped() -> bool:
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)

    os.kill(process.pid, signal.SIGSTOP)
    await eventually(stopped, what="the kernel has stopped it")
    await process.look()

    assert [False, False] == [await process.look(), await process.look()]
    os.kill(process.pid, signal.SIGCONT)
    await process.goes_on()


async def test_what_is_gone_is_not_well(tmp_path: Path) -> None:
    assert 0 != await run(command(TEST, last=[str(tmp_path / "no-process"), str(tmp_path / "seen")])[1:])


async def test_compose_and_kubernetes_ask_alike() -> None:
    probes = [
        container["livenessProbe"]["exec"]["command"]
        for overlay in OVERLAYS
        for container in containers(read(overlay))
        if container["name"] in ("worker", "beat")
    ]

    assert [command(TEST)[1:]] * 4 == probes
    assert services()["worker"]["healthcheck"] == services()["beat"]["healthcheck"]
