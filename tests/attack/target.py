"""The service under attack: real processes with the settings of production on loopback, and clients of many addresses.

All of 127.0.0.0/8 is this machine, so each attacker connects from an address, and a network, of its own: no proxy has to be trusted.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
from yarl import URL

from common.process.ports import free_port
from tests.api.accounts.test_tokens import SECRET
from tests.api.conftest import PASSWORD
from tests.attack.judge import Answer, Judge
from tests.harness.polling import eventually
from tests.harness.processes import API, BEAT, WORKER
from tests.harness.stack import Stack, open_stack

LIMITS = "1/1s,5/1min"  # those of the plan `standard`, the default
START_TIMEOUT = 90.0  # seconds until a quote is there
TIMEOUT = 20.0  # seconds for an answer; a head or a body may take 8, a miss 12
REVOKED = 2.0  # seconds after which an ended login must be refused; one is promised
READER = "127.0.0.2"  # where probes and the people that nobody attacks are
MIB = 1 << 20
MAX_RETRIES = 10
STREAM = "text/event-stream"
EXTRA = 2500  # symbols SIM0001 and so on beside the real ones, so that there is enough to search for
SETTINGS = {
    "QUOTEWELL_ENV": "production",
    "HOST": "127.0.0.1",
    "JWT_SECRET_KEY": SECRET,
    "SIMULATOR_EXTRA_SYMBOLS": str(EXTRA),
}
LAX = {"QUOTEWELL_ENV": "testing"}  # the lowest cost of bcrypt, and no limit answers in place of a handler
LAX_LIMITS = "100000/1min"  # no request waits for a call
# The usual soft limit of descriptors; the hard one stays.
USUAL_LIMIT = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class Person:
    """An account, its address and its tokens."""

    id: int
    name: str
    at: str
    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


def address(number: int) -> str:
    """An address of loopback, in a /24 of its own."""
    return f"127.{1 + number // 250}.{number % 250}.1"


@dataclass
class Target:
    """The API at `url`, further ones by name, and every session by the address that it connects from."""

    stack: Stack
    judge: Judge
    url: str = ""
    warm: dict[str, float] = field(default_factory=dict)  # MiB of an API process before any attack
    _sessions: dict[str, aiohttp.ClientSession] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_address(self) -> str:
        return address(next(self._numbers))

    def session(self, at: str) -> aiohttp.ClientSession:
        if at not in self._sessions:
            connector = aiohttp.TCPConnector(local_addr=(at, 0), limit=0)
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            self._sessions[at] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sessions[at]

    async def request(
        self, method: str, path: str, *, at: str = "", url: str = "", headers: Any = None, **more: Any
    ) -> Answer:
        """One request, counted. The path is sent as it is written."""
        source = at or READER
        shown = f"{method} {path} from {source}" + (f" with {list(_pairs(headers))}" if headers else "")
        try:
            target = URL((url or self.url) + path, encoded=True)
            more = {"allow_redirects": False, **more}
            async with self.session(source).request(method, target, headers=headers, **more) as response:
                text = "" if response.content_type == STREAM else (await response.read()).decode(errors="replace")
                return self.judge.count(Answer(shown, response.status, dict(response.headers), text))
        except ValueError as error:  # our own client refuses to send it
            return Answer(shown, 0, why=repr(error))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return self.judge.count(Answer(shown, 0, why=repr(error)))

    async def register(self, name: str, *, more: Mapping[str, object] | None = None) -> Person:
        """A new account, from an address of its own."""
        at = self.new_address()
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **(more or {})}
        answer = await self._until_served("/api/auth/register", at, account)
        assert answer.status == 201, answer
        return _person(answer, at)

    async def log_in(self, person: Person, password: str = PASSWORD) -> Answer:
        account = {"username": person.name, "password": password}
        return await self._until_served("/api/auth/login", person.at, account)

    async def _until_served(self, path: str, at: str, body: object) -> Answer:
        """As a client does it that is told to come again, because too many passwords are hashed at once."""
        for _ in range(MAX_RETRIES):
            answer = await self.request("POST", path, at=at, json=body)
            if answer.status != 503:
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        return answer

    async def log_in_again(self, person: Person) -> Person:
        answer = await self.log_in(person)
        assert answer.status == 200, answer
        return _person(answer, person.at)

    async def register_operator(self, name: str) -> Person:
        """One whose token has the scope."""
        person = await self.register(name)
        await asyncio.to_thread(self.stack.execute, "UPDATE users SET scope = 'operator' WHERE id = %s", person.id)
        return await self.log_in_again(person)

    async def watchlist(self, person: Person) -> set[str]:
        """The symbols in the database, past every process."""
        rows = await asyncio.to_thread(
            self.stack.execute, "SELECT symbol FROM watchlist_items WHERE user_id = %s", person.id
        )
        return {symbol for (symbol,) in rows}

    async def connect(self, at: str, url: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = urlsplit(url or self.url).port
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(at, 0))

    async def start_api(self, name: str, **env: str) -> str:
        """Start one more API process; its URL."""
        url = f"http://127.0.0.1:{env.setdefault('PORT', str(free_port()))}"
        self.stack.start(name, [*USUAL_LIMIT, *API], **env)
        await self.stack.serves(url)
        return url

    def rss(self, name: str) -> float:
        """MiB."""
        return float(psutil.Process(self.stack.processes[name].pid).memory_info().rss / MIB)

    def note_growth(self) -> None:
        """Compare each API process with what it took when it was warm."""
        for name, warm in self.warm.items():
            self.judge.growth[name] = self.rss(name) - warm

    def read_logs(self) -> None:
        """Judge what every process of the service wrote."""
        for name in self.stack.processes:
            if name != "simulator":
                self.judge.read_log(name, self.stack.log(name).splitlines())

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()


def _pairs(headers: Any) -> Any:
    return headers.items() if isinstance(headers, Mapping) else headers


def _person(answer: Answer, at: str) -> Person:
    body = answer.body
    return Person(body["user"]["id"], body["user"]["username"], at, body["access_token"], body["refresh_token"])


@asynccontextmanager
async def open_target(
    judge: Judge, name: str = "api", limits: str = LIMITS, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Target]:
    """A warm API of this name that has quotes and the listing, a worker, beat and the simulator."""
    async with open_stack(limits, throwaway=True, **{**SETTINGS, **settings}) as stack, AsyncExitStack() as ends:
        stack.start("worker", WORKER)
        stack.start("beat", BEAT)
        target = Target(stack, judge)
        ends.push_async_callback(target.close)
        target.url = await target.start_api(name)
        await eventually(lambda: _is_ready(target), within=START_TIMEOUT, what="a quote and the listing are there")
        await warm_up(target, name)
        yield target


async def _is_ready(target: Target) -> bool:
    paths = ("/api/stock/AAPL?wait=0", "/api/search/apple")
    return [200, 200] == [(await target.request("GET", path)).status for path in paths]


async def warm_up(target: Target, name: str) -> None:
    """Have an API process load what every process loads sooner or later, then note what it takes."""
    person = await target.register("warm")
    at = person.at
    for path in (
        "/api/stock/AAPL/chart?wait=20",
        "/api/docs",
        "/",
        "/ops",
        "/api/openapi.json",
        "/api/market/overview",
        "/api/health",
        "/api/stocks",
    ):
        await target.request("GET", path, at=at, headers=person.headers)
    for number in range(300):
        for path in (f"/api/search/SIM{number + 1:04}", f"/api/stock/AAPL?x={number}", "/api/watchlist"):
            await target.request("GET", path, at=at, headers=person.headers)
    await target.request("POST", "/api/watchlist", at=at, headers=person.headers, json={"symbol": "AAPL"})
    target.warm[name] = target.rss(name)
