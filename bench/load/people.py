"""The people of `make load`: what each asks for next, and what an answer to it must look like. No socket, no clock."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_THINK_TIME = 30.0  # seconds; a connection on which nothing is asked for 75 is closed
BATCH_SIZE = 20  # symbols
HEAD = "{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nUser-Agent: bench-load\r\n{more}\r\n{body}"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks, and for what: tokens of users, their names with the one password, symbols that have quotes, searches with a hit."""

    connections: int
    tokens: Sequence[str]
    names: Sequence[str]
    password: str
    symbols: Sequence[str]
    searches: Sequence[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stands on the wire, and what tells its answer: status, and a part of the body. `then` gets the
    body of what was served, or None for what was refused."""

    kind: str
    wire: bytes
    status: bytes
    part: bytes
    then: Callable[[bytes | None], None] | None = None


def request(line: str, *, token: str = "", body: str = "") -> bytes:
    more = f"Authorization: Bearer {token}\r\n" if token else ""
    if body:
        more += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return HEAD.format(line=line, more=more, body=body).encode()


class Person:
    """What one client asks: always from its own address, with its own user's token, and its own one symbol on that user's list."""

    def __init__(self, number: int, crowd: Crowd) -> None:
        self.address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
        self._crowd, self._user = crowd, number % len(crowd.names)
        self._own = crowd.symbols[number // len(crowd.names) % len(crowd.symbols)]
        self._listed: bool | None = False  # None: a refusal in the middle of it left that open
        self._chance = random.Random(number)  # nosec B311

    def next(self, mix: dict[str, float]) -> Asked:
        (kind,) = self._chance.choices(list(mix), list(mix.values()))
        asked: Asked = getattr(self, f"_{kind}")()
        return asked

    def thought(self, mean: float) -> float:
        return min(MAX_THINK_TIME, self._chance.expovariate(1 / mean)) if mean else 0.0

    def _hot(self) -> Asked:
        symbol = self._chance.choice(self._crowd.symbols)
        return Asked("hot", request(f"GET /api/stock/{symbol}"), b"200", f'{{"symbol":"{symbol}",'.encode())

    def _batch(self) -> Asked:
        wanted = ",".join(self._chance.sample(self._crowd.symbols, BATCH_SIZE))
        return Asked("batch", request(f"GET /api/stocks?symbols={wanted}"), b"200", b'"missing": []')

    def _search(self) -> Asked:
        query = self._chance.choice(self._crowd.searches)
        return Asked("search", request(f"GET /api/search/{query}"), b"200", b'[{"symbol":')

    def _login(self) -> Asked:
        body = json.dumps({"username": self._crowd.names[self._user], "password": self._crowd.password})
        return Asked("login", request("POST /api/auth/login", body=body), b"200", b'"access_token"')

    def _watchlist(self) -> Asked:
        token = self._crowd.tokens[self._user]
        if self._listed is None or self._chance.random() < 0.5:
            return Asked("watchlist", request("GET /api/watchlist", token=token), b"200", b'"watchlist"', self._look)
        if self._listed:
            wire = request(f"DELETE /api/watchlist/{self._own}", token=token)
            return Asked("watchlist", wire, b"200", b"was removed", self._turn_over)
        wire = request("POST /api/watchlist", token=token, body=json.dumps({"symbol": self._own}))
        return Asked("watchlist", wire, b"201", b"was added", self._turn_over)

    def _look(self, body: bytes | None) -> None:
        if body is not None:
            self._listed = f'"{self._own}"'.encode() in body

    def _turn_over(self, body: bytes | None) -> None:
        self._listed = None if body is None else not self._listed
