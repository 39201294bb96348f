"""The main job with real processes: two workers, two beats, two APIs. Nobody but the simulator's log says how many calls were made."""

import asyncio
import signal
import time

from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import Stack, open_stack


async def read_cold(stack: Stack, urls: list[str], symbol: str, readers: int) -> list[int]:
    """Statuses of so many readers at once, over all API processes."""
    paths = [f"{urls[n % len(urls)]}/api/stock/{symbol}?wait=15" for n in range(readers)]
    return [status for status, _ in await asyncio.gather(*(stack.get(path) for path in paths))]


async def test_two_workers_two_beats_and_two_apis_use_the_budget_and_never_exceed_it() -> None:
    async with open_stack("30/10s") as stack:
        for name in ("worker1", "worker2"):
            stack.start(name, WORKER)
        for name in ("beat1", "beat2"):
            stack.start(name, BEAT)
        urls = [stack.start_api("api1"), stack.start_api("api2")]
        for url in urls:
            await stack.serves(url)

        async def first_quote() -> dict[str, object] | None:
            status, body = await stack.get(f"{urls[0]}/api/stock/AAPL?wait=0")
            return body if status == 200 else None

        first = await eventually(first_quote, what="the first quote")
        assert "simulated" == first["source"]

        async def refreshed() -> bool:
            return bool((await stack.get(f"{urls[1]}/api/stock/AAPL"))[1]["fetched_at"] > first["fetched_at"])

        await eventually(refreshed, what="the quote refreshes by itself, at the other process too")

        assert [200] * 20 == await read_cold(stack, urls, "ORCL", 20)
        assert [404] * 2 == await read_cold(stack, urls, "NOSUCHSYMBOL", 2)
        assert [404] * 2 == await read_cold(stack, urls, "NOSUCHSYMBOL", 2)

        asked = [call["symbol"] for call in (await stack.calls())["calls"]]
        assert (1, 0) == (
            asked.count("ORCL"),
            asked.count("NOSUCHSYMBOL"),
        )  # the listing lacks it: no stranger spends a call

        begun, used_before = time.monotonic(), (await stack.calls())["total"]
        await asyncio.sleep(20)  # two whole windows under measurement, not a wait for something
        seen = await stack.calls()
        allowed = 3 * (time.monotonic() - begun)

        assert 0 == seen["over_limit"]
        assert seen["total"] - used_before >= 0.95 * (allowed - 3)


async def test_no_call_too_many_while_processes_die_freeze_and_stores_restart() -> None:
    async with open_stack("12/4s") as stack:
        for name in ("worker1", "worker2", "worker3"):
            stack.start(name, WORKER)
        stack.start("beat", BEAT)
        url = stack.start_api("api")
        await stack.serves(url)

        async def calls_after(count: int) -> bool:
            return bool((await stack.calls())["total"] >= count)

        async def goes_on(what: str) -> None:
            made = (await stack.calls())["total"]
            await eventually(lambda: calls_after(made + 12), within=40, what=f"calls go on after {what}")

        await goes_on("the start")
        stack.signal("worker1", signal.SIGKILL)
        await goes_on("a kill -9")
        stack.signal("worker2", signal.SIGSTOP)
        await goes_on("a freeze")
        stack.redis.kill()
        stack.redis.start()
        await goes_on("an emptied Redis")
        stack.signal("worker2", signal.SIGCONT)
        stack.postgres.kill()
        stack.postgres.start()
        await goes_on("a restarted PostgreSQL")
        stack.start("worker1", WORKER)
        await goes_on("a worker's return")

        seen = await stack.calls()
        assert 0 == seen["over_limit"]
        assert max(seen["max_in_window"].values()) <= 12
        assert 200 == (await stack.get(f"{url}/api/stock/AAPL"))[0]


async def test_a_symbol_added_to_a_watchlist_is_fetched_at_once_and_the_group_ends_in_good_order() -> None:
    async with open_stack("100/4s") as stack:
        stack.start("worker", WORKER)
        url = stack.start_api("api")
        await stack.serves(url)
        body = {"username": "ada", "email": "ada@example.com", "password": "a long password"}
        async with stack.http.post(f"{url}/api/auth/register", json=body) as answer:
            token = (await answer.json())["access_token"]
        async with stack.http.post(
            f"{url}/api/watchlist", json={"symbol": "ORCL"}, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert 201 == answer.status

        async def quoted() -> bool:
            return (await stack.get(f"{url}/api/stock/ORCL?wait=0"))[0] == 200

        # No beat runs: only the wake-up of the add can have rung for the worker.
        await eventually(quoted, what="the added symbol has a quote")
        for name in ("worker", "api"):
            stack.signal(name, signal.SIGTERM)
        for name in ("worker", "api"):
            assert stack.processes[name].wait(timeout=30) in (0, -signal.SIGTERM)
        assert "Traceback" not in stack.log("worker") + stack.log("api")
        assert "mingle" not in stack.log("worker")  # workers talk with nobody but the broker
