"""The service as in production: gunicorn, several processes on one port, each with a memory of its own that the stream keeps right."""

import signal

from redis.asyncio import Redis

from common.store.market import feed
from tests.api.conftest import a_quote
from tests.harness.polling import BUSY, eventually
from tests.harness.stack import Stack, open_stack


async def prices(stack: Stack, url: str, times: int) -> set[float]:
    """What so many requests answer, each over a connection of its own, so that every process is met."""
    seen = set()
    for _ in range(times):
        async with stack.http.get(url, headers={"Connection": "close"}) as answer:
            seen.add((await answer.json())["price"])
    return seen


async def test_two_processes_on_one_port_answer_alike_and_end_in_good_order() -> None:
    async with open_stack("1000/4s") as stack:
        url = stack.start_gunicorn("api")
        await stack.serves(url)
        assert 200 == (await stack.get(f"{url}/api/stock/AAPL?wait=15"))[0]
        await prices(stack, f"{url}/api/stock/AAPL", 20)

        async with Redis.from_url(stack.redis.url(), decode_responses=True) as redis:
            await feed.publish(redis, a_quote("AAPL", "4242"))

        async def all_new() -> bool:
            return {4242.0} == await prices(stack, f"{url}/api/stock/AAPL", 20)

        await eventually(all_new, what="both processes answer with the new price")
        stack.signal("api", signal.SIGTERM)
        assert stack.processes["api"].wait(timeout=30) in (0, -signal.SIGTERM)
        assert "Traceback" not in stack.log("api")


async def test_a_logout_holds_in_every_process_within_a_second() -> None:
    async with open_stack("1000/4s") as stack:
        site = stack.start_gunicorn("api")
        url = f"{site}/api/auth"
        await stack.serves(site)
        account = {"username": "ada", "email": "ada@example.com", "password": "correct horse battery"}
        async with stack.http.post(f"{url}/register", json=account) as answer:
            body = await answer.json()

        async def statuses() -> set[int]:
            """Of so many requests that each process is met."""
            headers = {"Authorization": f"Bearer {body['access_token']}", "Connection": "close"}
            seen = set()
            for _ in range(20):
                async with stack.http.get(f"{url}/me", headers=headers) as answer:
                    seen.add(answer.status)
            return seen

        assert {200} == await statuses()
        async with stack.http.post(f"{url}/logout", json={"refresh_token": body["refresh_token"]}) as answer:
            assert 200 == answer.status

        async def out() -> bool:
            return {401} == await statuses()

        await eventually(out, within=1.2 + BUSY, what="both processes refuse the token")
