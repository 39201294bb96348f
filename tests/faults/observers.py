"""Clients that use the service during every scenario: readers, listeners, users who change their watchlists, operators.

They check each answer against the promises of the API and record violations; `Cluster.down` and the scenario say what is excused.
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

HOT_SYMBOLS = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX", "IBM", "SPY", "QQQ", "JPM")
LIST_SYMBOLS = ("ORCL", "INTC", "AMD", "CSCO", "KO", "PEP", "WMT", "DIS")
PATHS = (
    *(f"/api/stock/{symbol}" for symbol in HOT_SYMBOLS),
    f"/api/stocks?symbols={','.join(HOT_SYMBOLS)}",
    "/api/market/overview",
)
KINDS = ("read", "listen", "miss", "change", "order")
MAX_LAG = 2.0  # seconds by which one process may be behind another
MACHINE_DELAY = 1.5  # seconds that a busy machine may add to that
MAX_FRESH_AGE = 30 + 3.0  # QUOTE_TTL and a clock's seconds
MAX_SKEW = 2.0  # seconds, the same
PASSWORD = "correct horse battery"


Noted = tuple[str, float, str]  # a symbol, its price, and when it was fetched
Versions = list[tuple[float, str]]  # when it was seen (monotonic seconds), and the version


@dataclass
class Observers:
    """What the clients saw. `violations` by kind, with details; `behind`, `empty`, `may_deny` and `clock_is_true` are what the scenario
    excuses, the first two for each API until it has recovered; `quiet`: a worker that makes no call may have recovered;
    `served`: which kind of client succeeded at which API, and in quiet which worker made a call."""

    cluster: Cluster
    clock_is_true: bool = True
    may_deny: bool = False
    quiet: bool = False
    behind: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    served: set[tuple[str, str]] = field(default_factory=set)
    violations: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[int] = field(default_factory=Counter)
    quotes: set[Noted] = field(default_factory=set)
    seen_by_process: defaultdict[tuple[str, int, str], Versions] = field(
        default_factory=lambda: defaultdict(list)
    )  # of one start of a process
    seen_by_any: defaultdict[str, Versions] = field(default_factory=lambda: defaultdict(list))  # of all processes
    lists: dict[str, dict[str, bool | None]] = field(default_factory=dict)  # of each user; None: nobody knows
    list_locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: list[int] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    misses: int = 0

    def record(self, kind: str, details: str) -> None:
        self.violations[kind].append(details)

    def excuse(self, scenario: Scenario) -> None:
        self.clock_is_true, self.may_deny, self.quiet = scenario.true_clock, scenario.may_deny, scenario.quiet
        self.behind.update(scenario.behind)
        self.empty.update(scenario.empty)
        self.cluster.not_timed = set(scenario.slow)

    def end_excuses(self, name: str) -> None:
        """It has recovered: nothing is excused from here on."""
        for excused in (self.cluster.down, self.behind, self.empty):
            excused.discard(name)

    def raise_errors(self) -> None:
        """Raise the error of a client that has ended."""
        for task in self.tasks:
            if task.done():
                task.result()

    def check_quote(self, name: str, life: int, quote: dict[str, Any], asked: float, path: str) -> None:
        """Check a quote of an answer whose request was sent at that time."""
        symbol, fetched = quote["symbol"], quote["fetched_at"]
        seen = self.seen_by_process[name, life, symbol]
        if before := [version for at, version in seen if at < asked and version > fetched]:
            self.record("price_went_back", f"{name} {path} {symbol}: {fetched} after {before[-1]}")
        if not seen or fetched > seen[-1][1]:
            self.seen_by_process[name, life, symbol] = [*seen[-20:], (time.monotonic(), fetched)]
        newest = [version for at, version in self.seen_by_any[symbol] if at < asked - MAX_LAG - MACHINE_DELAY]
        if newest and fetched < newest[-1] and name not in self.behind:
            self.record("behind", f"{name} {path} {symbol}: {fetched}, {newest[-1]} was known")
        if not self.seen_by_any[symbol] or fetched > self.seen_by_any[symbol][-1][1]:
            self.seen_by_any[symbol] = [*self.seen_by_any[symbol][-20:], (time.monotonic(), fetched)]
        age = self._note(name, quote)
        if self.clock_is_true and not quote["stale"] and age > MAX_FRESH_AGE:
            self.record("falsely_fresh", f"{name} {symbol}: {age:.0f} s old and not stale")

    def _note(self, name: str, quote: dict[str, Any]) -> float:
        """Keep a quote for the verdict; its age in seconds, by the true time."""
        self.quotes.add((quote["symbol"], quote["price"], quote["fetched_at"]))
        age = (datetime.now(UTC) - datetime.fromisoformat(quote["fetched_at"])).total_seconds()
        if self.clock_is_true and age < -MAX_SKEW:
            self.record("from_the_future", f"{name} {quote['symbol']}: {-age:.0f} s ahead")
        return age

    async def request(
        self, name: str, method: str, path: str, *, usual: Collection[int] = (200,), **more: Any
    ) -> tuple[int, Any]:
        """Status and body; 0 if there was no answer, a violation unless the process was stopped or frozen."""
        life, began, stays_up = self.cluster.starts[name], time.monotonic(), self.cluster.stays_up(name)
        what = f"{name} {method} {path}"
        try:
            async with self.cluster.stack.http.request(method, self.cluster.urls[name] + path, **more) as answer:
                body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if stays_up():
                self.record("no_answer", f"{what}: {type(error).__name__}")
            return 0, None
        self._check_status(answer, usual, f"{what}: {body}")
        if answer.status == 200 and life == self.cluster.starts[name]:
            for quote in _quotes(body):
                self.check_quote(name, life, quote, began, path)
        return answer.status, body

    def _check_status(self, answer: aiohttp.ClientResponse, usual: Collection[int], details: str) -> None:
        """A 503 with `Retry-After` is always allowed."""
        self.statuses[answer.status] += 1
        if answer.status == 500:
            self.record("status_500", details)
        elif answer.status == 503 and "Retry-After" not in answer.headers:
            self.record("bare_503", details)
        elif answer.status not in (*usual, 503):
            self.record("odd_answer", f"{answer.status} {details}")

    async def read(self, name: str) -> None:
        """Read one of the usual paths. Each was served once, so each is served whatever is away."""
        path, stays_up = random.choice(PATHS), self.cluster.stays_up(name)
        status, _ = await self.request(name, "GET", path)
        if status == 200:
            self.served.add(("read", name))
        elif status and stays_up() and name not in self.empty:
            self.record("not_served", f"{name} {path}: {status}")
        await asyncio.sleep(random.uniform(0.02, 0.1))

    async def miss(self, name: str) -> None:
        """Request a symbol without a quote, each time from another network: one network may do so a few times a minute."""
        self.misses += 1
        path, network = f"/api/stock/SIM{self.misses % EXTRA + 1:04}?wait=1", self.misses % 250
        usual = (200, 404) if self.may_deny else (200,)
        status, _ = await self.request(name, "GET", path, usual=usual, headers={"X-Forwarded-For": f"10.0.{network}.1"})
        if status == 200:
            self.served.add(("miss", name))
        await asyncio.sleep(random.uniform(1, 3))

    async def listen(self, name: str) -> None:
        """Follow a stream, and open it again when it ends."""
        last = dict[str, str]()
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            url = f"{self.cluster.urls[name]}/api/stream?symbols={','.join(HOT_SYMBOLS)}"
            async with self.cluster.stack.http.get(url, timeout=aiohttp.ClientTimeout(None, sock_read=60)) as stream:
                self._check_status(stream, (200,), f"the stream of {name}")
                async for line in stream.content:
                    if line.startswith(b"data: {") and (quote := json.loads(line[6:])).get("fetched_at"):
                        self._check_event(name, quote, last)
        await asyncio.sleep(0.2)

    def _check_event(self, name: str, quote: dict[str, Any], last: dict[str, str]) -> None:
        """Versions on one connection never go back. The first event of a symbol is its snapshot."""
        fetched, before = quote["fetched_at"], last.get(quote["symbol"], quote["fetched_at"])
        if fetched < before:
            self.record("price_went_back", f"the stream of {name}: {quote} after {before}")
        if fetched > before:
            self.served.add(("listen", name))
        last[quote["symbol"]] = fetched
        self._note(name, quote)

    async def change(self, user: str) -> None:
        """Add or remove a symbol at some API. A success that was answered must be in the database."""
        async with self.list_locks[user]:
            await self._change(user)
        await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _change(self, user: str) -> None:
        symbols, name = self.lists[user], random.choice(APIS)
        symbol = random.choice(LIST_SYMBOLS)
        there, symbols[symbol] = symbols.get(symbol), None
        request = partial(self.request, name, usual=(200, 201, 404, 409), headers=self.headers[user])
        if there:
            status, _ = await request("DELETE", f"/api/watchlist/{symbol}")
        else:
            status, _ = await request("POST", "/api/watchlist", json={"symbol": symbol})
        if status in (200, 201) or (status == 409 and there is None):
            symbols[symbol] = not there
            self.served.add(("change", name))
        elif (status == 404 and there) or (status == 409 and there is False):
            self.record("lost_writes", f"{user} {symbol}: answered {there}, then {status}")

    async def order(self, name: str) -> None:
        """An operator's refresh of two symbols."""
        wanted, headers = {"symbols": random.sample(HOT_SYMBOLS, 2)}, self.headers["operator"]
        status, body = await self.request(name, "POST", "/api/ops/refresh", usual=(202,), json=wanted, headers=headers)
        if status == 202:
            self.jobs.append(body["id"])
            self.served.add(("order", name))
        await asyncio.sleep(random.uniform(2, 4))

    async def create_accounts(self) -> None:
        """Make the accounts."""
        for user in ("operator", "ada", "ben", "cyd"):
            account = {"username": user, "email": f"{user}@example.com", "password": PASSWORD}
            status, body = await self.request(APIS[0], "POST", "/api/auth/register", usual=(201,), json=account)
            assert 201 == status, body
            if user == "operator":
                await self.cluster.execute("UPDATE users SET scope = 'operator' WHERE username = 'operator'")
                status, body = await self.request(APIS[0], "POST", "/api/auth/login", json=account)
            self.headers[user] = {"Authorization": f"Bearer {body['access_token']}"}
        self.lists = {user: {} for user in self.headers if user != "operator"}


def _quotes(body: Any) -> list[dict[str, Any]]:
    """The quotes in an answer: one, a list, or a list under a name."""
    rows = body if isinstance(body, list) else body.get("quotes", [body]) if isinstance(body, dict) else []
    return [row for row in rows if "fetched_at" in row and "price" in row]


@asynccontextmanager
async def observed(cluster: Cluster) -> AsyncIterator[Observers]:
    """Run all clients."""
    observers = Observers(cluster)
    await observers.create_accounts()
    works: list[tuple[Callable[[str], Awaitable[None]], str]] = []
    for name in APIS:
        works += [(observers.read, name)] * 3
        works += [(observers.listen, name), (observers.miss, name), (observers.order, name)]
    works += [(observers.change, user) for user in observers.lists]
    observers.tasks = [asyncio.create_task(_for_ever(*work)) for work in works]
    try:
        yield observers
    finally:
        for task in observers.tasks:
            task.cancel()
        for ended in await asyncio.gather(*observers.tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _for_ever(work: Callable[[str], Awaitable[None]], name: str) -> None:
    while True:
        await work(name)
