"""The service as in production: gunicorn, several processes on one port, each with a memory of its own that the stream keeps right."""

import signal
import sys

from redis.asyncio import Redis

from common.store import feed
from tests.api.conftest import a_quote
from tests.e2e.stack import Stack, eventually, free_port, open_stack

GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "python:api.serve", "api.serve:open_app"]


async def prices(stack: Stack, url: str, times: int) -> set[float]:
    """What so many requests answer, each over a connection of its own, so that every process is met."""
    seen = set()
    for _ in range(times):
        async with stack.http.get(url, headers={"Connection": "close"}) as answer:
            seen.add((await answer.json())["price"])
    return seen


async def test_two_processes_on_one_port_answer_alike_and_end_in_good_order() -> None:
    async with open_stack("1000/4s") as stack:
        port = free_port()
        stack.start("api", GUNICORN, PORT=str(port), HOST="127.0.0.1", WEB_CONCURRENCY="2")
        url = f"http://127.0.0.1:{port}"
        await stack.serves(url)
        assert 200 == (await stack.get(f"{url}/api/stock/AAPL?wait=15"))[0]
        await prices(stack, f"{url}/api/stock/AAPL", 20)

        async with Redis.from_url(stack.redis.url(), decode_responses=True) as redis:
            await feed.publish(redis, a_quote("AAPL", "4242"))

        async def all_new() -> bool:
            return {4242.0} == await prices(stack, f"{url}/api/stock/AAPL", 20)

        await eventually(all_new, within=10, what="both processes answer with the new price")
        stack.signal("api", signal.SIGTERM)
        assert stack.processes["api"].wait(timeout=25) in (0, -signal.SIGTERM)
        assert "Traceback" not in stack.log("api")
