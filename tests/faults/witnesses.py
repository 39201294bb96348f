"""Who looks on all the time: readers, listeners, people who change their watchlists, operators. What they were told is written down here.

They know the promises of every answer; when something may be broken is told to them by `Cluster.down` and by the scenario.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp

from tests.faults.cluster import APIS, EXTRA, Cluster
from tests.faults.scenarios import Scenario

HOT = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX", "IBM", "SPY", "QQQ", "JPM")
CHOICE = ("ORCL", "INTC", "AMD", "CSCO", "KO", "PEP", "WMT", "DIS")
PATHS = (*(f"/api/stock/{symbol}" for symbol in HOT), f"/api/stocks?symbols={','.join(HOT)}", "/api/market/overview")
KINDS = ("read", "listen", "miss", "change", "order")
ACROSS = 2.0  # seconds by which one process may be behind another
MACHINE = 1.5  # seconds that a busy machine may add to the same
FRESH = 30 + 3.0  # QUOTE_TTL and a clock's seconds
AHEAD = 2.0  # seconds, the same
PASSWORD = "correct horse battery"


Noted = tuple[str, float, str]  # a symbol, its price, and when it was fetched
Versions = list[tuple[float, str]]  # when it was heard (monotonic seconds), and which


@dataclass
class Witnesses:
    """What was seen. `faults`: each kind of broken promise, in words; `behind`, `bare`, `denies` and `clock_is_true` are what the
    scenario excuses, of the first two each API until it is well; `quiet`: a worker that makes no call may be well;
    `served`: which kind of witness had success, at which API, and in quiet which worker made a call."""

    cluster: Cluster
    clock_is_true: bool = True
    denies: bool = False
    quiet: bool = False
    behind: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    served: set[tuple[str, str]] = field(default_factory=set)
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[int] = field(default_factory=Counter)
    quotes: set[Noted] = field(default_factory=set)
    heard: defaultdict[tuple[str, int, str], Versions] = field(
        default_factory=lambda: defaultdict(list)
    )  # of a process
    known: defaultdict[str, Versions] = field(default_factory=lambda: defaultdict(list))  # of all
    lists: dict[str, dict[str, bool | None]] = field(default_factory=dict)  # of each user; None: nobody knows
    writing: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: list[int] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    strange: int = 0

    def blame(self, kind: str, told: str) -> None:
        self.faults[kind].append(told)

    def expect(self, scenario: Scenario) -> None:
        self.clock_is_true, self.denies, self.quiet = scenario.true_clock, scenario.denies, scenario.quiet
        self.behind.update(scenario.behind)
        self.bare.update(scenario.bare)
        self.cluster.untimed = set(scenario.far)

    def trust(self, name: str) -> None:
        """It is well again: nothing of it is excused from here on."""
        for excused in (self.cluster.down, self.behind, self.bare):
            excused.discard(name)

    def check(self) -> None:
        """A witness that died saw nothing from there on."""
        for task in self.tasks:
            if task.done():
                task.result()

    def see(self, name: str, life: int, quote: dict[str, Any], asked: float, path: str) -> None:
        """Judge a quote that an API gave to whoever asked at that time."""
        symbol, fetched = quote["symbol"], quote["fetched_at"]
        heard = self.heard[name, life, symbol]
        if before := [version for at, version in heard if at < asked and version > fetched]:
            self.blame("price_went_back", f"{name} {path} {symbol}: {fetched} after {before[-1]}")
        if not heard or fetched > heard[-1][1]:
            self.heard[name, life, symbol] = [*heard[-20:], (time.monotonic(), fetched)]
        told = [version for at, version in self.known[symbol] if at < asked - ACROSS - MACHINE]
        if told and fetched < told[-1] and name not in self.behind:
            self.blame("behind", f"{name} {path} {symbol}: {fetched}, {told[-1]} was known")
        if not self.known[symbol] or fetched > self.known[symbol][-1][1]:
            self.known[symbol] = [*self.known[symbol][-20:], (time.monotonic(), fetched)]
        age = self._note(name, quote)
        if self.clock_is_true and not quote["stale"] and age > FRESH:
            self.blame("falsely_fresh", f"{name} {symbol}: {age:.0f} s old and not stale")

    def _note(self, name: str, quote: dict[str, Any]) -> float:
        """Keep a quote for the judge; its age in seconds, by the true time."""
        self.quotes.add((quote["symbol"], quote["price"], quote["fetched_at"]))
        age = (datetime.now(UTC) - datetime.fromisoformat(quote["fetched_at"])).total_seconds()
        if self.clock_is_true and age < -AHEAD:
            self.blame("from_the_future", f"{name} {quote['symbol']}: {-age:.0f} s ahead")
        return age

    async def ask(
        self, name: str, method: str, path: str, *, usual: Collection[int] = (200,), **more: Any
    ) -> tuple[int, Any]:
        """Status and body; 0 if there was no answer, which is a fault unless the process was ended or frozen."""
        life, began, stays_up = self.cluster.born[name], time.monotonic(), self.cluster.stays_up(name)
        what = f"{name} {method} {path}"
        try:
            async with self.cluster.stack.http.request(method, self.cluster.urls[name] + path, **more) as answer:
                body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if stays_up():
                self.blame("no_answer", f"{what}: {type(error).__name__}")
            return 0, None
        self._judge_status(answer, usual, f"{what}: {body}")
        if answer.status == 200 and life == self.cluster.born[name]:
            for quote in _quotes(body):
                self.see(name, life, quote, began, path)
        return answer.status, body

    def _judge_status(self, answer: aiohttp.ClientResponse, usual: Collection[int], told: str) -> None:
        """A 503 that says when to come again is as usual as those."""
        self.statuses[answer.status] += 1
        if answer.status == 500:
            self.blame("status_500", told)
        elif answer.status == 503 and "Retry-After" not in answer.headers:
            self.blame("bare_503", told)
        elif answer.status not in (*usual, 503):
            self.blame("odd_answer", f"{answer.status} {told}")

    async def read(self, name: str) -> None:
        """As a person does who looks at this and that. All of it was served once, so it is served whatever is away."""
        path, stays_up = random.choice(PATHS), self.cluster.stays_up(name)
        status, _ = await self.ask(name, "GET", path)
        if status == 200:
            self.served.add(("read", name))
        elif status and stays_up() and name not in self.bare:
            self.blame("not_served", f"{name} {path}: {status}")
        await asyncio.sleep(random.uniform(0.02, 0.1))

    async def miss(self, name: str) -> None:
        """Ask for what nobody has heard of, each time from another network: one alone may ask a few times a minute."""
        self.strange += 1
        path, network = f"/api/stock/SIM{self.strange % EXTRA + 1:04}?wait=1", self.strange % 250
        usual = (200, 404) if self.denies else (200,)
        status, _ = await self.ask(name, "GET", path, usual=usual, headers={"X-Forwarded-For": f"10.0.{network}.1"})
        if status == 200:
            self.served.add(("miss", name))
        await asyncio.sleep(random.uniform(1, 3))

    async def listen(self, name: str) -> None:
        """A stream; it is opened again when it ends."""
        last = dict[str, str]()
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            url = f"{self.cluster.urls[name]}/api/stream?symbols={','.join(HOT)}"
            async with self.cluster.stack.http.get(url, timeout=aiohttp.ClientTimeout(None, sock_read=60)) as stream:
                self._judge_status(stream, (200,), f"the stream of {name}")
                async for line in stream.content:
                    if line.startswith(b"data: {") and (quote := json.loads(line[6:])).get("fetched_at"):
                        self._hear(name, quote, last)
        await asyncio.sleep(0.2)

    def _hear(self, name: str, quote: dict[str, Any], last: dict[str, str]) -> None:
        """What comes on one connection never goes back. The first of a symbol is no news."""
        fetched, before = quote["fetched_at"], last.get(quote["symbol"], quote["fetched_at"])
        if fetched < before:
            self.blame("price_went_back", f"the stream of {name}: {quote} after {before}")
        if fetched > before:
            self.served.add(("listen", name))
        last[quote["symbol"]] = fetched
        self._note(name, quote)

    async def change(self, user: str) -> None:
        """Add or remove a symbol at some API. What was answered with success must be so."""
        async with self.writing[user]:
            await self._change(user)
        await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _change(self, user: str) -> None:
        symbols, name = self.lists[user], random.choice(APIS)
        symbol = random.choice(CHOICE)
        there, symbols[symbol] = symbols.get(symbol), None
        ask = partial(self.ask, name, usual=(200, 201, 404, 409), headers=self.keys[user])
        if there:
            status, _ = await ask("DELETE", f"/api/watchlist/{symbol}")
        else:
            status, _ = await ask("POST", "/api/watchlist", json={"symbol": symbol})
        if status in (200, 201) or (status == 409 and there is None):
            symbols[symbol] = not there
            self.served.add(("change", name))
        elif (status == 404 and there) or (status == 409 and there is False):
            self.blame("lost_writes", f"{user} {symbol}: told {there}, then {status}")

    async def order(self, name: str) -> None:
        """An operator's refresh of two symbols."""
        wanted, keys = {"symbols": random.sample(HOT, 2)}, self.keys["operator"]
        status, body = await self.ask(name, "POST", "/api/ops/refresh", usual=(202,), json=wanted, headers=keys)
        if status == 202:
            self.jobs.append(body["id"])
            self.served.add(("order", name))
        await asyncio.sleep(random.uniform(2, 4))

    async def introduce(self) -> None:
        """Make the accounts."""
        for user in ("operator", "ada", "ben", "cyd"):
            account = {"username": user, "email": f"{user}@example.com", "password": PASSWORD}
            status, body = await self.ask(APIS[0], "POST", "/api/auth/register", usual=(201,), json=account)
            assert 201 == status, body
            if user == "operator":
                await self.cluster.ask("UPDATE users SET scope = 'operator' WHERE username = 'operator'")
                status, body = await self.ask(APIS[0], "POST", "/api/auth/login", json=account)
            self.keys[user] = {"Authorization": f"Bearer {body['access_token']}"}
        self.lists = {user: {} for user in self.keys if user != "operator"}


def _quotes(body: Any) -> list[dict[str, Any]]:
    """What an answer says of prices: one quote, a list, or many under a name."""
    rows = body if isinstance(body, list) else body.get("quotes", [body]) if isinstance(body, dict) else []
    return [row for row in rows if "fetched_at" in row and "price" in row]


@asynccontextmanager
async def watched(cluster: Cluster) -> AsyncIterator[Witnesses]:
    """All of them at work."""
    witnesses = Witnesses(cluster)
    await witnesses.introduce()
    works: list[tuple[Callable[[str], Awaitable[None]], str]] = []
    for name in APIS:
        works += [(witnesses.read, name)] * 3
        works += [(witnesses.listen, name), (witnesses.miss, name), (witnesses.order, name)]
    works += [(witnesses.change, user) for user in witnesses.lists]
    witnesses.tasks = [asyncio.create_task(_for_ever(*work)) for work in works]
    try:
        yield witnesses
    finally:
        for task in witnesses.tasks:
            task.cancel()
        for ended in await asyncio.gather(*witnesses.tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _for_ever(work: Callable[[str], Awaitable[None]], name: str) -> None:
    while True:
        await work(name)
