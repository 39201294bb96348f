"""Logins with the right password, for wrong ones are throttled: `python -m bench.login.clients PORT RATE` makes them until it is ended.

The accounts are registered first. Several, for one account may only try so often at once.
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import aiohttp

ACCOUNTS = 4
PASSWORD = "nobody at all"  # everybody may know it
REGISTRATIONS_AT_ONCE = 4
TIMEOUT = aiohttp.ClientTimeout(total=60)  # of one request


async def offer(port: int, rate: float, *, until: Callable[[], bool] = lambda: False) -> Counter[int]:
    """One login every 1/rate seconds, however long each takes; how many were answered with which status, once all are."""
    statuses: Counter[int] = Counter()
    names = itertools.cycle(account_names())

    async def offer_one(http: aiohttp.ClientSession) -> None:
        statuses[await log_in(http, next(names))] += 1

    async with session(port) as http, asyncio.TaskGroup() as logins:
        while not until():
            logins.create_task(offer_one(http))
            await asyncio.sleep(1 / rate)
    return statuses


async def repeat(port: int, seconds: float) -> float:
    """Logins a second while each account always has one under way; `RuntimeError` if one is refused."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with session(port) as http:
        done = await asyncio.gather(*(_repeat(http, name, begun + seconds) for name in account_names()))
    return sum(done) / (loop.time() - begun)


async def _repeat(http: aiohttp.ClientSession, name: str, end: float) -> int:
    done = 0
    while asyncio.get_running_loop().time() < end:
        if (status := await log_in(http, name)) != 200:
            raise RuntimeError(f"expected that {name} logs in, not {status}")
        done += 1
    return done


def account_names() -> list[str]:
    return [f"bench{number}" for number in range(ACCOUNTS)]


def session(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=TIMEOUT)


async def register(port: int, names: Sequence[str]) -> list[str]:
    """Register accounts unless they exist; a token of each new one, in order."""
    places = asyncio.Semaphore(REGISTRATIONS_AT_ONCE)

    async def register_one(http: aiohttp.ClientSession, name: str) -> str | None:
        content = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        async with places, http.post("/api/auth/register", json=content) as answer:
            if answer.status == 201:
                return str((await answer.json())["access_token"])
            if answer.status != 409:
                raise RuntimeError(f"expected that {name} is registered, not {answer.status}: {await answer.text()}")
            return None

    async with session(port) as http:
        tokens = await asyncio.gather(*(register_one(http, name) for name in names))
    return [token for token in tokens if token is not None]


async def log_in(http: aiohttp.ClientSession, name: str) -> int:
    """The status of the answer."""
    async with http.post("/api/auth/login", json={"username": name, "password": PASSWORD}) as answer:
        await answer.read()
        return answer.status


async def main(port: int, rate: float) -> None:
    await register(port, account_names())
    await offer(port, rate)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
