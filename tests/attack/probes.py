"""Probes of an orchestrator, and one reader elsewhere: they ask all the time, each on a new connection, and expect their answer.

They are a process of their own (`python -m tests.attack.probes URL`), because the attackers keep theirs busy. It writes each answer as a
line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from tests.attack.judge import Answer, Judge
from tests.harness.processes import PYTHON, ROOT, inherited

ADDRESS = "127.0.0.3"  # of its own, which nobody attacks from
PATHS = ("/api/health/live", "/api/health/ready", "/api/stock/AAPL")
TIMEOUT = 3.0  # seconds: timeoutSeconds of the probes in deploy/k8s
TRIES = 2  # the lowest failureThreshold there
INTERVAL = 0.25  # seconds


@asynccontextmanager
async def probing(url: str, judge: Judge) -> AsyncIterator[None]:
    """Probe the process at this URL until the end."""
    process = await asyncio.create_subprocess_exec(
        *(*PYTHON, "tests.attack.probes", url),
        cwd=ROOT,
        env=inherited(),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours
    )
    reading = asyncio.create_task(_judge(process, judge))
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
        await reading


async def _judge(process: asyncio.subprocess.Process, judge: Judge) -> None:
    """Judge each answer. Probes that have not asked at all prove nothing."""
    assert process.stdout is not None
    asked = 0
    async for line in process.stdout:
        asked += 1
        judge.must_serve(judge.count(Answer(**json.loads(line))))
    if not asked:
        judge.fail("probe_failures", "no probe was sent")


async def ask_for_ever(url: str) -> None:
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0), force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
        while True:
            for path in PATHS:
                print(json.dumps(await _ask(session, url + path)), flush=True)
            await asyncio.sleep(INTERVAL)


async def _ask(session: aiohttp.ClientSession, url: str) -> dict[str, str | int]:
    """The fields of an `Answer`. A probe that was late is sent once more, as orchestrators do: a busy machine may be at fault. A connection
    that is refused or reset, or a wrong answer, counts at once."""
    for _ in range(TRIES):
        with suppress(TimeoutError):
            return await _ask_once(session, url)
    return {"request": f"probe GET {url}", "status": 0, "why": f"{TRIES} times no answer within {TIMEOUT:g} s"}


async def _ask_once(session: aiohttp.ClientSession, url: str) -> dict[str, str | int]:
    asked = f"probe GET {url}"
    try:
        async with session.get(url) as response:
            text = await response.text()
            return {"request": asked, "status": response.status, "text": text[:200]}
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        return {"request": asked, "status": 0, "why": repr(error)}


if __name__ == "__main__":
    asyncio.run(ask_for_ever(sys.argv[1]))
