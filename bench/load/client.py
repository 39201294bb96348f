"""The clients of `make load`: bare sockets on one uvloop. Each sends its next request a while after the last answer, and a refused one
waits as long as `Retry-After` says.

`python -m bench.load.client PORT` reads a crowd (who asks) and then steps (how, for how long) as lines of JSON, and answers each with
what came of it. It knows what an answer must look like, and nothing of how it comes about.
"""

import asyncio
import json
import random
import re
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, cast

import uvloop

from bench.load.people import Asked, Crowd, Person

ANSWER_TIMEOUT = 20.0  # seconds; more than the API takes for anything that is asked here
MAX_OPENING = 100  # connections at once
RECONNECT_DELAY = 0.1  # seconds until a lost connection is opened anew
CLOCK = time.monotonic
RETRY_AFTER = re.compile(rb"\r\nretry-after: (\d+)")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
SHAPE = re.compile(rb'{"error": ?"([^"]+)", ?"code": ?"(\w+)", ?"request_id": ?"[\w.-]+", ?"retry_after": ?\d+}')
REFUSED = (b"429", b"503")


@dataclass(frozen=True, slots=True)
class Step:
    """How the crowd asks: `think` is the mean of the seconds between an answer and the next request, `mix` the share of each kind."""

    name: str
    think: float
    seconds: float
    mix: dict[str, float]


@dataclass(slots=True)
class Tally:
    """The answers of a step: seconds by kind of request, served and refused, and counts of codes and errors."""

    served: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    codes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        kinds = sorted({*self.served, *self.refused})
        return {
            "kinds": {kind: figures(self.served[kind]) | figures(self.refused[kind], "refused_") for kind in kinds},
            "all": figures(self.all_of(self.served)) | figures(self.all_of(self.refused), "refused_"),
            "codes": self.codes,
            "errors": self.errors,
        }

    def all_of(self, by_kind: dict[str, list[float]]) -> list[float]:
        return [each for times in by_kind.values() for each in times]


def figures(times: Sequence[float], prefix: str = "") -> dict[str, float]:
    """How many, and how long they took in milliseconds."""
    hundredths = quantiles(times, n=100) if len(times) > 1 else [*times, 0.0][:1] * 99
    return {
        f"{prefix}n": len(times),
        f"{prefix}p50": round(1000 * hundredths[49], 1),
        f"{prefix}p99": round(1000 * hundredths[98], 1),
        f"{prefix}max": round(1000 * max(times, default=0.0), 1),
    }


class Session:
    """All clients and what they do at present; between two steps they rest."""

    def __init__(self, port: int, crowd: Crowd) -> None:
        self.port, self.tally = port, Tally()
        self.step: Step | None = None
        self.clients = [Client(self, Person(number, crowd)) for number in range(crowd.connections)]

    async def connect(self) -> None:
        places = asyncio.Semaphore(MAX_OPENING)

        async def connect_one(client: "Client") -> None:
            async with places:
                await client.connect()

        await asyncio.gather(*map(connect_one, self.clients))

    async def play(self, step: Step) -> dict[str, Any]:
        """Let them ask for as long as the step lasts; requests that are under way then are waited for, and count."""
        self.step, self.tally = step, Tally()
        begun, busy = CLOCK(), cpu()
        for client in self.clients:
            client.think(spread=True)
        while CLOCK() < begun + step.seconds:
            await asyncio.sleep(0.5)
            self._look_for_late()
        self.step, took = None, CLOCK() - begun
        busy = (cpu() - busy) / took
        while any(client.asked for client in self.clients):
            await asyncio.sleep(0.1)
            self._look_for_late()
        return self.tally.summary() | {"seconds": round(took, 1), "client_core": round(busy, 2)}

    def _look_for_late(self) -> None:
        late = CLOCK() - ANSWER_TIMEOUT
        for client in self.clients:
            if client.asked and client.since < late:
                client.give_up("timeout")


class Client(asyncio.Protocol):
    """One kept connection, and the request that is under way on it."""

    def __init__(self, session: Session, person: Person) -> None:
        self.asked: Asked | None = None
        self.since = 0.0
        self._session, self._person = session, person
        self._transport: asyncio.Transport | None = None
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await loop.create_connection(
                    lambda: self, "127.0.0.1", self._session.port, local_addr=(self._person.address, 0)
                )
        except OSError as error:
            self._session.tally.errors[f"connect {type(error).__name__}"] += 1
            loop.call_later(1.0, lambda: loop.create_task(self.connect()))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._read = cast(asyncio.Transport, transport), b""  # uvloop's is none by its class

    def think(self, *, spread: bool = False, least: float = 0.0) -> None:
        """Send the next request after a while, at least `least` seconds; `spread`: at a random moment, as in the middle of a run."""
        if self._timer is not None:
            self._timer.cancel()  # a thought of the step before
        if (step := self._session.step) is not None:
            thought = max(least, self._person.thought(step.think))
            delay = thought if thought or not spread else random.random() / 2  # nosec B311
            self._timer = asyncio.get_running_loop().call_later(delay, self._ask)

    def _ask(self) -> None:
        step = self._session.step
        if step is not None and self._transport is not None and self.asked is None:
            self.asked, self.since = self._person.next(step.mix), CLOCK()
            self._transport.write(self.asked.wire)

    def data_received(self, data: bytes) -> None:
        read = self._read = self._read + data if self._read else data
        ends = read.find(b"\r\n\r\n")
        length = LENGTH.search(read, 0, ends + 2) if ends > 0 else None
        if length is not None and len(read) >= ends + 4 + int(length[1]):
            self._read = b""
            self._take(read[9:12], read[:ends].lower(), read[ends + 4 :])

    def _take(self, status: bytes, head: bytes, body: bytes) -> None:
        asked, took, tally = self.asked, CLOCK() - self.since, self._session.tally
        if asked is None:
            tally.errors["unasked"] += 1
            return
        self.asked, least = None, 0.0
        if status == asked.status and asked.part in body:
            tally.served[asked.kind].append(took)
            if asked.then is not None:
                asked.then(body)
        elif status in REFUSED and (after := RETRY_AFTER.search(head)) and (shape := SHAPE.fullmatch(body)):
            least = float(after[1])
            if asked.then is not None:
                asked.then(None)
            tally.refused[asked.kind].append(took)
            tally.codes[f"{status.decode()} {shape[2].decode()}: {shape[1].decode()}"] += 1
        else:
            tally.errors[f"{asked.kind} {status.decode()} {body[:80].decode(errors='replace')}"] += 1
        self.think(least=least)

    def give_up(self, why: str) -> None:
        """The request failed for good: the connection is of no use any more."""
        self._session.tally.errors[f"{self.asked.kind if self.asked else 'idle'} {why}"] += 1
        self.asked = None
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self.asked is not None:
            self.give_up("reset")
        loop = asyncio.get_running_loop()
        loop.call_later(RECONNECT_DELAY, lambda: loop.create_task(self._come_back()))

    async def _come_back(self) -> None:
        """A new connection has eight seconds for its first request."""
        await self.connect()
        self._ask()


def cpu() -> float:
    """Seconds of a core that this process used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    session = Session(port, Crowd(**json.loads(await loop.run_in_executor(None, sys.stdin.readline))))
    begun = CLOCK()
    await session.connect()
    print(json.dumps({"connecting": round(CLOCK() - begun, 2)}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await session.play(Step(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
