"""`python -m simulator` as a process of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp
import pytest

from common.process.ports import free_port
from tests.harness.polling import BUSY, PATIENCE


@asynccontextmanager
async def simulator(**env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator"),
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_wrong_setting_ends_with_2_and_one_line() -> None:
    async with simulator(SIMULATOR_LIMITS="lots") as process:
        out, err = await process.communicate()

    assert (2, b"") == (process.returncode, out)
    assert b"SIMULATOR_LIMITS: expected rules such as 5/min or 1/2s,5/1min,25/1d, not 'lots'\n" == err


async def test_a_taken_port_ends_with_2_and_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with simulator(SIMULATOR_PORT=str(taken.getsockname()[1])) as process:
            _, err = await process.communicate()

    assert 2 == process.returncode
    assert err.startswith(b"SIMULATOR_PORT: expected a free port")
    assert 1 == err.count(b"\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_two_seconds_though_a_call_hangs(number: signal.Signals) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    async with simulator(SIMULATOR_PORT=str(port)) as process, aiohttp.ClientSession(base) as session:
        assert process.stdout is not None
        assert await process.stdout.readline() == f"simulator: {base}/query\n".encode()
        await session.put("/_fault", json={"kind": "hang"})
        hung = asyncio.ensure_future(session.get("/query?function=GLOBAL_QUOTE&symbol=IBM&apikey=KEY-OF-ALICE"))
        async with asyncio.timeout(PATIENCE):
            while not (await (await session.get("/_calls")).json())["total"]:
                pass
        start = monotonic()
        process.send_signal(number)
        out, err = await process.communicate()

        assert monotonic() - start < 2 + BUSY
        assert 0 == process.returncode
        assert b"ALICE" not in out + err
        with pytest.raises(aiohttp.ClientError):
            await hung
