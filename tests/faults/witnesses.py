"""Who looks on all the time: readers, listeners, people who change their watchlists, operators. What they were told is written down here.

They know the promises of every answer; when something may be broken is told to them by `Cluster.down` and `Witnesses.excused`.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.faults.cluster import APIS, EXTRA, Cluster

HOT = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX", "IBM", "SPY", "QQQ", "JPM")
CHOICE = ("ORCL", "INTC", "AMD", "CSCO", "KO", "PEP", "WMT", "DIS")
PATHS = (*(f"/api/stock/{symbol}" for symbol in HOT), f"/api/stocks?symbols={','.join(HOT)}", "/api/market/overview")
AT_ONCE = 2.0  # seconds for an answer; one is promised, the other is for a busy machine
ACROSS = 2.0  # seconds by which one process may be behind another
MACHINE = 1.5  # seconds that a busy machine may add to the same
FRESH = 30 + 3.0  # QUOTE_TTL and a clock's seconds
PASSWORD = "correct horse battery"


Versions = list[tuple[float, str]]  # when it was heard (monotonic seconds), and which


@dataclass
class Witnesses:
    """What was seen. `faults`: each kind of broken promise, in words; `excused`: APIs that may be behind, cut off as they are."""

    cluster: Cluster
    clock_is_true: bool = True
    excused: set[str] = field(default_factory=set)
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[int] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    quotes: set[tuple[str, float]] = field(default_factory=set)
    heard: defaultdict[tuple[str, int, str], Versions] = field(
        default_factory=lambda: defaultdict(list)
    )  # of a process
    known: defaultdict[str, Versions] = field(default_factory=lambda: defaultdict(list))  # of all
    lists: dict[str, dict[str, bool | None]] = field(default_factory=dict)  # of each user; None: nobody knows
    writing: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: list[int] = field(default_factory=list)
    strange: int = 0

    def blame(self, kind: str, told: str) -> None:
        self.faults[kind].append(told)

    def see(self, name: str, life: int, quote: dict[str, Any], asked: float, path: str) -> None:
        """Judge a quote that an API gave to whoever asked at that time."""
        symbol, fetched = quote["symbol"], quote["fetched_at"]
        self.ages["stale" if quote["stale"] else "fresh"] += 1
        self.quotes.add((symbol, quote["price"]))
        heard = self.heard[name, life, symbol]
        if before := [version for at, version in heard if at < asked and version > fetched]:
            self.blame("price_went_back", f"{name} {path} {symbol}: {fetched} after {before[-1]}")
        if not heard or fetched > heard[-1][1]:
            self.heard[name, life, symbol] = [*heard[-20:], (time.monotonic(), fetched)]
        told = [version for at, version in self.known[symbol] if at < asked - ACROSS - MACHINE]
        if told and fetched < told[-1] and name not in self.excused:
            self.blame("behind", f"{name} {path} {symbol}: {fetched}, {told[-1]} was known")
        if not self.known[symbol] or fetched > self.known[symbol][-1][1]:
            self.known[symbol] = [*self.known[symbol][-20:], (time.monotonic(), fetched)]
        age = (datetime.now(UTC) - datetime.fromisoformat(fetched)).total_seconds()
        if self.clock_is_true and not quote["stale"] and age > FRESH:
            self.blame("falsely_fresh", f"{name} {symbol}: {age:.0f} s old and not stale")

    async def ask(
        self, name: str, method: str, path: str, *, patience: float = AT_ONCE, **more: Any
    ) -> tuple[int, Any]:
        """Status and body; 0 if there was no answer, which is a fault unless the process was ended or frozen."""
        life, began, down = self.cluster.born[name], time.monotonic(), name in self.cluster.down
        try:
            async with self.cluster.stack.http.request(method, self.cluster.urls[name] + path, **more) as answer:
                body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if not down and name not in self.cluster.down and life == self.cluster.born[name]:
                self.blame("no_answer", f"{name} {method} {path}: {type(error).__name__}")
            return 0, None
        self.statuses[answer.status] += 1
        if answer.status == 500:
            self.blame("status_500", f"{name} {method} {path}: {body}")
        if answer.status == 503 and "Retry-After" not in answer.headers:
            self.blame("bare_503", f"{name} {method} {path}: {body}")
        if time.monotonic() - began > patience and not down and name not in self.cluster.down:
            self.blame("slow", f"{name} {method} {path}: {answer.status} after {time.monotonic() - began:.1f} s")
        if answer.status == 200 and life == self.cluster.born[name]:
            for quote in _quotes(body):
                self.see(name, life, quote, began, path)
        return answer.status, body

    async def read(self, name: str) -> None:
        """As a person does who looks at this and that."""
        await self.ask(name, "GET", random.choice(PATHS))
        await asyncio.sleep(random.uniform(0.02, 0.1))

    async def miss(self, name: str) -> None:
        """Ask for what nobody has heard of."""
        self.strange += 1
        path, somebody = f"/api/stock/SIM{self.strange % EXTRA + 1:04}?wait=1", f"10.0.0.{self.strange % 250}"
        status, _ = await self.ask(name, "GET", path, patience=1 + AT_ONCE, headers={"X-Forwarded-For": somebody})
        if status not in (0, 200, 404, 503, 500):  # 404: the provider's word, though it was broken
            self.blame("odd_answer", f"{name} a miss: {status}")
        await asyncio.sleep(random.uniform(1, 3))

    async def listen(self, name: str) -> None:
        """A stream; it is opened again when it ends. What comes on one connection never goes back."""
        life, last = self.cluster.born[name], dict[str, str]()
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            url = f"{self.cluster.urls[name]}/api/stream?symbols={','.join(HOT)}"
            async with self.cluster.stack.http.get(url, timeout=aiohttp.ClientTimeout(None, sock_read=60)) as stream:
                async for line in stream.content:
                    if line.startswith(b"data: {") and (quote := json.loads(line[6:])).get("fetched_at"):
                        if quote["fetched_at"] < last.get(quote["symbol"], ""):
                            self.blame("price_went_back", f"the stream of {name}, life {life}: {quote}")
                        last[quote["symbol"]] = quote["fetched_at"]
                        self.quotes.add((quote["symbol"], quote["price"]))
        await asyncio.sleep(0.2)

    async def change(self, user: str) -> None:
        """Add or remove a symbol at some API. What was answered with success must be so."""
        async with self.writing[user]:
            await self._change(user)
        await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _change(self, user: str) -> None:
        symbols, name = self.lists[user], random.choice(APIS)
        symbol = random.choice(CHOICE)
        there, symbols[symbol] = symbols.get(symbol), None
        if there:
            status, _ = await self.ask(name, "DELETE", f"/api/watchlist/{symbol}", headers=self.keys[user])
        else:
            status, _ = await self.ask(name, "POST", "/api/watchlist", json={"symbol": symbol}, headers=self.keys[user])
        if status in (200, 201, 204) or (status == 409 and there is None):
            symbols[symbol] = not there
        elif (status == 404 and there) or (status == 409 and there is False):
            self.blame("lost_writes", f"{user} {symbol}: told {there}, then {status}")
        elif status not in (0, 404, 500, 503):
            self.blame("odd_answer", f"{name} a watchlist: {status}")

    async def order(self, name: str) -> None:
        """An operator's refresh of two symbols."""
        status, body = await self.ask(
            name, "POST", "/api/ops/refresh", json={"symbols": random.sample(HOT, 2)}, headers=self.keys["operator"]
        )
        if status == 202:
            self.jobs.append(body["id"])
        await asyncio.sleep(random.uniform(2, 4))

    async def introduce(self) -> None:
        """Make the accounts."""
        for user in ("operator", "ada", "ben", "cyd"):
            account = {"username": user, "email": f"{user}@example.com", "password": PASSWORD}
            status, body = await self.ask(APIS[0], "POST", "/api/auth/register", json=account)
            assert 201 == status, body
            if user == "operator":
                self.cluster.ask("UPDATE users SET scope = 'operator' WHERE username = 'operator'")
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
    tasks = [asyncio.create_task(_for_ever(*work)) for work in works]
    try:
        yield witnesses
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _for_ever(work: Callable[[str], Awaitable[None]], name: str) -> None:
    while True:
        await work(name)
