"""Logs as in production: each line of each process is one event, and one id leads from a request over the task to the call."""

import json
from typing import Any

from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import Stack, open_stack

AS_ROOT = "ignore:You're running the worker with superuser privileges"  # a warning of Celery's for tests alone
TRACE = "trace-1"


def events(stack: Stack, name: str) -> list[dict[str, Any]]:
    """What a process wrote, stdout and stderr alike; fails for a line that is no event."""
    lines = [json.loads(line) for line in stack.log(name).splitlines()]
    assert [] == [line for line in lines if not {"event", "level", "timestamp"} <= set(line)]
    return lines


async def add(stack: Stack, url: str, symbol: str) -> None:
    """Put a symbol without a quote on a new user's list, which wakes a worker."""
    account = {"username": "ada", "email": "ada@example.com", "password": "correct horse battery"}
    async with stack.http.post(f"{url}/api/auth/register", json=account) as answer:
        headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}", "X-Request-ID": TRACE}
    async with stack.http.post(f"{url}/api/watchlist", json={"symbol": symbol}, headers=headers) as answer:
        assert (201, TRACE) == (answer.status, answer.headers["X-Request-ID"])


async def test_one_id_leads_from_a_request_over_the_task_to_the_call_and_every_line_is_an_event() -> None:
    async with open_stack("100/4s") as stack:
        url = stack.start_gunicorn("api")
        stack.start("worker", WORKER, PYTHONWARNINGS=AS_ROOT)
        await stack.serves(url)
        await add(stack, url, "ORCL")

        async def refreshed() -> list[dict[str, Any]]:
            told = [line for line in events(stack, "worker") if line["event"] == "quote_refreshed"]
            return [line for line in told if line["symbol"] == "ORCL"]

        [line] = await eventually(refreshed, what="the worker refreshed the added symbol")
        stack.start("beat", BEAT)
        asked = [each for each in events(stack, "api") if each.get("request_id") == TRACE]
        calls = (await stack.calls())["calls"]

        assert [("request", "POST", 201)] == [(each["event"], each["method"], each["status"]) for each in asked]
        assert TRACE == line["request_id"]
        assert line["task_id"]
        assert line["call"] >= 1
        assert "ORCL" in [call["symbol"] for call in calls]

        async def ticked() -> bool:
            tasks = {each.get("task_id") for each in events(stack, "worker")} - {None, line["task_id"]}
            return bool(tasks)

        await eventually(ticked, what="a task of beat's has logged too")
        assert all(events(stack, name) is not None for name in ("api", "worker", "beat"))
