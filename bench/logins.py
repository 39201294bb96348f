"""Offers logins at a fixed rate until it is terminated: `python -m bench.logins PORT RATE`. Answers are read and not judged."""

import asyncio
import sys

import aiohttp

BODY = {"username": "nobody", "password": "nobody at all"}


async def offer(port: int, rate: float) -> None:
    """One login every 1/rate seconds, however long each takes."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, asyncio.TaskGroup() as logins:
        while True:
            logins.create_task(_login(http))
            await asyncio.sleep(1 / rate)


async def _login(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/auth/login", json=BODY) as answer:
        await answer.read()


if __name__ == "__main__":
    asyncio.run(offer(int(sys.argv[1]), float(sys.argv[2])))
