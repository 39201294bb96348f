"""Clients that request more than their share, a provider that fails while clients wait, and the simulator's log of all calls.

The limits are those of a plan with the rate scaled from 5 to 30 calls a minute: in a minute or two a fifth of 5 a minute is one or two
calls, too few to measure. The window of a minute is not scaled, as in bench/, because shares and holds depend on it.
"""

import asyncio
import itertools
import random
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import Stack, open_stack

CALLS, MINUTE = 30, 60.0
LIMITS, FREE_LIMITS = f"2/1s,{CALLS}/1min", "1/2s,5/1min,25/1d"
WATCHED = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX")
EXTRA = 5000  # symbols of the listing that nobody has requested yet
START_TIMEOUT = 60.0  # seconds until watched symbols have quotes, and the listing is there
PASSWORD = "correct horse battery"
SETTINGS = {
    "SIMULATOR_EXTRA_SYMBOLS": str(EXTRA),
    "OVERVIEW_SYMBOLS": WATCHED[0],
    "MARKET_HOURS": "always",
    "ACCESS_TOKEN_TTL": "86400",
    "TRUSTED_PROXIES": "1",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: when its request was sent (monotonic seconds), how many seconds it took, and its `Retry-After` in seconds."""

    what: str
    at: float
    took: float
    status: int
    body: Any
    retry_after: float | None

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its network."""

    name: str
    network: int
    key: dict[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """What the provider saw; `at`: monotonic seconds, on this machine's one clock."""

    at: float
    function: str
    symbol: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Log:
    """All calls in order of arrival."""

    calls: list[Call]
    over_limit: int

    def of(self, symbol: str) -> list[float]:
        """When good quotes of a symbol were asked for."""
        wanted = ("GLOBAL_QUOTE", symbol, "ok")
        return [call.at for call in self.calls if (call.function, call.symbol, call.outcome) == wanted]

    def for_nobody(self, watched: Sequence[str], since: float = 0.0) -> list[Call]:
        """Calls for what nobody watches: other symbols, charts and searches."""
        return [
            call
            for call in self.calls
            if call.at >= since
            and call.function != "LISTING_STATUS"
            and not (call.function == "GLOBAL_QUOTE" and call.symbol in watched)
        ]

    def longest_gap(self, symbol: str, begin: float, end: float) -> float:
        """Between two calls for a symbol, from the last one before `begin` on; the last gap is cut off at `end`."""
        before = [at for at in self.of(symbol) if at <= begin]
        times = [*before[-1:], *(at for at in self.of(symbol) if begin < at < end), end]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=end - begin)


def most_in_a_minute(calls: Sequence[Call]) -> int:
    times = [call.at for call in calls]
    return max((bisect_left(times, at + MINUTE) - n for n, at in enumerate(times)), default=0)


@dataclass
class Site:
    """One API, one worker, one beat, and all answers."""

    stack: Stack
    url: str
    answers: list[Answer] = field(default_factory=list)
    _networks: Iterator[int] = field(default_factory=lambda: itertools.count(10_000))

    async def request(
        self, method: str, path: str, *, network: int, key: dict[str, str] | None = None, body: object = None
    ) -> Answer:
        began = time.monotonic()
        headers = {"X-Forwarded-For": address(network), **(key or {})}
        async with self.stack.http.request(method, self.url + path, headers=headers, json=body) as response:
            content = await response.json() if response.content_type == "application/json" else None
        after = response.headers.get("Retry-After")
        took, retry_after = time.monotonic() - began, None if after is None else float(after)
        answer = Answer(f"{method} {path}", began, took, response.status, content, retry_after)
        self.answers.append(answer)
        return answer

    async def get_as(self, person: Person, path: str) -> Answer:
        return await self.request("GET", path, network=person.network, key=person.key)

    async def change(self, person: Person, method: str, symbol: str) -> Answer:
        """Add to a list, or remove from it."""
        if method == "POST":
            path, body = "/api/watchlist", {"symbol": symbol}
            return await self.request(method, path, network=person.network, key=person.key, body=body)
        return await self.request(method, f"/api/watchlist/{symbol}", network=person.network, key=person.key)

    async def register(self, name: str) -> Person:
        """A new account, from a network of its own."""
        network = next(self._networks)
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        answer = await self.request("POST", "/api/auth/register", network=network, body=account)
        assert 201 == answer.status, answer
        return Person(name, network, {"Authorization": f"Bearer {answer.body['access_token']}"})

    async def register_all(self, name: str, count: int) -> list[Person]:
        return [await self.register(f"{name}{n}") for n in range(1, count + 1)]

    async def register_operator(self) -> Person:
        """An account with the scope of an operator, which the next login gives it."""
        person = await self.register("operator")
        await asyncio.to_thread(self.stack.execute, "UPDATE users SET scope = 'operator' WHERE username = 'operator'")
        account = {"username": person.name, "password": PASSWORD}
        answer = await self.request("POST", "/api/auth/login", network=person.network, body=account)
        assert 200 == answer.status, answer
        return Person(person.name, person.network, {"Authorization": f"Bearer {answer.body['access_token']}"})

    async def log(self) -> Log:
        seen = await self.stack.calls()
        calls = [Call(call["at"], call["function"], call["symbol"], call["outcome"]) for call in seen["calls"]]
        return Log(calls, seen["over_limit"])

    async def is_quoted(self, symbols: Sequence[str], since: float = 0.0) -> bool:
        """Whether each has been asked for with success since then."""
        log = await self.log()
        return all(any(at >= since for at in log.of(symbol)) for symbol in symbols)

    async def _is_ready(self, symbols: Sequence[str]) -> bool:
        calls = (await self.log()).calls
        listed = any((call.function, call.outcome) == ("LISTING_STATUS", "ok") for call in calls)
        return listed and await self.is_quoted(symbols)


def address(network: int) -> str:
    """The first address of a /24 of its own."""
    return f"{20 + network // 62_500}.{network // 250 % 250}.{network % 250}.1"


@asynccontextmanager
async def open_site(
    watched: Sequence[str] = WATCHED, limits: str = LIMITS, **settings: str
) -> AsyncIterator[tuple[Site, list[Person]]]:
    """A healthy site with two accounts that watch half of these symbols each; all symbols have quotes."""
    async with open_stack(limits, throwaway=True, **{**SETTINGS, **settings}) as stack:
        stack.start("worker", WORKER)
        stack.start("beat", BEAT)
        site = Site(stack, stack.start_api("api"))
        await stack.serves(site.url)
        people = await site.register_all("watcher", 2)
        for n, symbol in enumerate(watched):
            added = await site.change(people[n % 2], "POST", symbol)
            assert 201 == added.status, added
        await eventually(lambda: site._is_ready(watched), within=START_TIMEOUT, what="quotes and the listing are there")
        site.answers.clear()
        yield site, people


async def pester(site: Site, *, networks: int, seconds: float, every: float, first: int = 0) -> None:
    """Anonymous clients of so many networks request in turn what costs a call, without waiting for the answers."""
    chance = random.Random(7)
    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as asking:
        for turn in itertools.count():
            if time.monotonic() >= end:
                return
            network = first + turn % networks
            asking.create_task(site.request("GET", _costly_path(turn, chance), network=network))
            await asyncio.sleep(every)


def _costly_path(turn: int, chance: random.Random) -> str:
    listed, nonsense = listed_symbol(chance.randrange(EXTRA)), nonsense_symbol(chance.randrange(1_000_000))
    return (
        f"/api/stock/{listed}",
        f"/api/stock/{nonsense}",
        f"/api/stock/{listed}/chart",
        f"/api/search/{nonsense.lower()}",
        f"/api/stock/{nonsense}/chart",
    )[turn % 5]


def listed_symbol(n: int) -> str:
    return f"SIM{n % EXTRA + 1:04}"


def nonsense_symbol(n: int) -> str:
    return f"XQ{n:06}"


async def rotate_nonsense(site: Site, person: Person, *, seconds: float, pause: float, size: int = 50) -> None:
    """Fill a list with symbols that do not exist, with others each time."""
    end, nonsense = time.monotonic() + seconds, map(nonsense_symbol, itertools.count())
    mine: list[str] = []
    while time.monotonic() < end:
        for symbol in mine:
            await site.change(person, "DELETE", symbol)
        mine = list(itertools.islice(nonsense, size))
        for symbol in mine:
            await site.change(person, "POST", symbol)
        await asyncio.sleep(pause)


async def hoard_nonsense(site: Site, person: Person, first: int, *, seconds: float, size: int = 50) -> None:
    """Fill a list with symbols that do not exist, then request one after the other."""
    end, mine = time.monotonic() + seconds, [nonsense_symbol(first + n) for n in range(size)]
    for symbol in mine:
        await site.change(person, "POST", symbol)
    for symbol in itertools.cycle(mine):
        if time.monotonic() >= end:
            return
        await site.get_as(person, f"/api/stock/{symbol}")
        await asyncio.sleep(1.0)


async def come_back(site: Site, person: Person, path: str, answers: list[Answer]) -> None:
    """Repeat a request after each `Retry-After` until it is answered."""
    while True:
        answers.append(await site.get_as(person, path))
        if answers[-1].status != 503:
            return
        assert answers[-1].retry_after is not None, answers[-1]
        await asyncio.sleep(answers[-1].retry_after)
