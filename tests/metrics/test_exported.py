"""A real run: gunicorn with two processes, a worker, beat. What they export is what is documented, alerted and shown."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from common.process.ports import free_port
from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import Stack, open_stack
from tests.metrics.exposition import Asked, asked, documented, exported, families, panels, rules

GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "python:api.serve", "api.serve:open_app"]
MISSING = "NOSUCHSYMBOL"


@dataclass(frozen=True, slots=True)
class Run:
    """The service, and where its processes tell their metrics."""

    stack: Stack
    url: str
    ports: dict[str, int]

    async def scrape(self, name: str) -> str:
        async with self.stack.http.get(f"http://127.0.0.1:{self.ports[name]}/metrics") as answer:
            assert 200 == answer.status
            return await answer.text()

    async def value(self, name: str, sample: str) -> float:
        """The sum over all samples of a name."""
        lines = re.findall(rf"^{sample}(?:\{{.*\}})? (\S+)$", await self.scrape(name), re.M)
        return sum(map(float, lines))

    async def fresh(self, path: str) -> int:
        """A request over a connection of its own, so that every process is met."""
        async with self.stack.http.get(f"{self.url}{path}", headers={"Connection": "close"}) as answer:
            await answer.read()
            return answer.status


async def start(stack: Stack) -> Run:
    """The API; its calls are its own until a worker comes."""
    ports = {"api": free_port(), "worker": free_port()}
    stack.env["TMPDIR"] = str(stack.folder)  # killed processes leave what they counted in
    port = free_port()
    stack.start("api", GUNICORN, PORT=str(port), HOST="127.0.0.1", WEB_CONCURRENCY="2", METRICS_PORT=str(ports["api"]))
    run = Run(stack, f"http://127.0.0.1:{port}", ports)
    await stack.serves(run.url)
    return run


async def test_what_two_processes_and_a_worker_export_is_what_is_documented_alerted_and_shown() -> None:
    async with open_stack("100/10s") as stack:
        run = await start(stack)
        await use(run)
        api, worker = await run.scrape("api"), await run.scrape("worker")

        table, found = documented(), {"API": families(api), "worker": families(worker)}
        assert set(table) == set(found["API"]) | set(found["worker"])
        for name, row in table.items():
            shown = {whose: told[name] for whose, told in found.items() if name in told}
            assert {(row.type, row.labels)} == set(shown.values()), name
            assert ("API" if row.of == "all" else row.of) == ", ".join(shown), name
        samples = exported(api) | exported(worker)
        for query in (*panels(), rules()):
            assert [] == [one for one in asked(query) if not answered(one, samples)], query
        assert MISSING not in api + worker
        assert "ada" not in re.findall(r'"(.*?)"', api + worker)


def answered(one: Asked, samples: dict[str, frozenset[str]]) -> bool:
    return one.name in samples and one.labels <= samples[one.name]


async def use(run: Run) -> None:
    """Whatever there is to count happens once."""
    account = {"username": "ada", "email": "ada@example.com", "password": "correct horse battery"}
    async with run.stack.http.post(f"{run.url}/api/auth/register", json=account) as answer:
        headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
    async with run.stack.http.post(f"{run.url}/api/watchlist", json={"symbol": "ORCL"}, headers=headers) as answer:
        assert 201 == answer.status
    assert 404 == await run.fresh(f"/api/stock/{MISSING}?wait=10")
    await until(run.fresh, "/api/stock/ORCL?wait=10", 200)
    for _ in range(10):
        assert 200 == (await run.stack.get(f"{run.url}/api/stock/ORCL"))[0]  # kept alive: only then it is hot
    run.stack.start("worker", WORKER, WORKER_METRICS_PORT=str(run.ports["worker"]))
    run.stack.start("beat", BEAT)

    async def complete() -> bool:
        """A task processes the queue for eight seconds; a hot answer and an event are counted within one."""
        ended = await run.value("worker", "quotewell_task_duration_seconds_count")
        lags = await run.value("api", "quotewell_stream_lag_seconds_count")
        return bool(ended and lags and await run.value("api", "quotewell_http_hot_answers_total"))

    await eventually(complete, what="everything was counted")


async def until(ask: Callable[[str], Awaitable[int]], path: str, status: int) -> None:
    async def met() -> bool:
        return await ask(path) == status

    await eventually(met, what=f"{path} is {status}")


async def test_both_processes_count_together_and_one_that_is_killed_leaves_what_it_counted() -> None:
    async with open_stack("100/10s") as stack:
        run = await start(stack)
        name, path = "quotewell_http_request_duration_seconds_count", "/api/health/live"
        for _ in range(40):
            assert 200 == await run.fresh(path)
        assert await run.value("api", name) >= 40
        memory = await run.value("api", "process_resident_memory_bytes")

        parent, behind = stack.processes["api"].pid, "quotewell_stream_caught_up_timestamp_seconds"
        counted = await run.value("api", name)
        for child in await children(parent):
            os.kill(child, signal.SIGKILL)

        async def two_again() -> bool:
            return len(await children(parent)) == 2 and await run.value("api", behind) > 0

        await eventually(two_again, what="two new processes follow the stream")
        await until(run.fresh, path, 200)
        assert await run.value("api", name) >= counted
        assert await run.value("api", "process_resident_memory_bytes") < 2 * memory  # what the dead had counts no more


async def children(parent: int) -> list[int]:
    process = await asyncio.create_subprocess_exec("pgrep", "-P", str(parent), stdout=asyncio.subprocess.PIPE)
    return [int(pid) for pid in (await process.communicate())[0].split()]


async def test_a_store_that_is_away_is_told_and_what_is_counted_stays() -> None:
    async with open_stack("100/10s") as stack:
        run = await start(stack)
        assert 1 == await run.value("api", "quotewell_slots") / 100

        stack.postgres.kill()

        async def away() -> bool:
            return 'quotewell_store_up{store="postgres"} 0.0' in await run.scrape("api")

        await eventually(away, what="PostgreSQL is told to be away")
        text = await run.scrape("api")
        assert "quotewell_slots_free" not in text
        assert 'quotewell_store_up{store="redis"} 1.0' in text
        assert "quotewell_http_request_duration_seconds_count" in text
        stack.postgres.start()

        async def back() -> bool:
            return 'quotewell_store_up{store="postgres"} 1.0' in await run.scrape("api")

        await eventually(back, what="and back again")
