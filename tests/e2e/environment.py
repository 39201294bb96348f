"""A stack in which every secret is a canary: stores that require passwords, a provider that looks real, and a record of every answer.

It does not know the failures that are tested in it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql
from redis import Redis

from common.process.ports import free_port
from tests.e2e.canaries import Canaries, Written
from tests.harness.processes import API, BEAT, MIGRATE, WORKER
from tests.harness.stack import Stack, open_stack

MARK, OTHER = b"X-Quotewell-Simulator", b"X-Quotewell-Simulates"  # of one length
BOTH, WRONG_PASSWORDS, METRICS = (0, 1), 2, (3, 4, 5)
ODD = "{0}/p@ss:w?rd#%é{0}"  # what a URL has to escape
TOKEN_ROUTES = ("/api/auth/register", "/api/auth/login", "/api/auth/refresh", "/api/auth/password", "/api/auth/ticket")
TOKEN_FIELDS = ("access_token", "refresh_token", "ticket")
VERBOSE_WORKER = [word for word in WORKER if word != "--quiet"]


@dataclass(slots=True)
class Provider:
    """The simulator as if it were real: without its mark, and, if told so, with an answer of ours. `%s` stands for the URL, key and all."""

    simulator: str
    url: str = ""
    marked: bool = False
    answer: bytes | None = None
    echoed: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if self.answer is None:
                await self._pass_on(head, writer)
            else:
                self.echoed += 1
                writer.write(self.answer.replace(b"%s", head.split()[1]))

    async def _pass_on(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        where = urlsplit(self.simulator)
        answer, asking = await asyncio.open_connection(where.hostname, where.port)
        with closing(asking):
            asking.write(head)
            while data := await answer.read(1 << 16):
                writer.write(data if self.marked else data.replace(MARK, OTHER))
                await writer.drain()


@asynccontextmanager
async def real_provider(simulator: str) -> AsyncIterator[Provider]:
    """In front of a simulator, on a port of its own."""
    provider, serving = Provider(simulator), set[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(provider.serve(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    try:
        yield provider
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@dataclass(slots=True)
class Environment:
    """What runs, the secrets in it, and every answer that was given."""

    stack: Stack
    provider: Provider
    canaries: Canaries
    wrong: dict[str, str]  # the stores' addresses with passwords that they do not know
    urls: list[str] = field(default_factory=list)  # of the services: BOTH, WRONG_PASSWORDS, and METRICS of what runs
    answers: list[Written] = field(default_factory=list)
    redis_values: list[Written] = field(default_factory=list)  # before Redis was killed
    background: list[asyncio.Task[int]] = field(default_factory=list)  # slow requests
    symbols: int = 0

    async def request(self, method: str, path: str, *, at: int = 0, **options: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer. What hands somebody a token of their own may do so, once."""
        options["headers"] = {"Connection": "close", **options.get("headers", {})}
        async with self.stack.http.request(method, f"{self.urls[at]}{path}", **options) as answer:
            body, place = await answer.read(), path.partition("?")[0]
            told = f"{answer.status} {answer.reason} {answer.headers}"
        content = json.loads(body) if answer.content_type == "application/json" else {}
        if answer.ok and place in TOKEN_ROUTES:
            for name in set(TOKEN_FIELDS) & set(content):
                body = body.replace(self.register_token(name, content[name]).encode(), b"", 1)
        self.answers.append((f"the answer to {method} {place[:40]}", told.encode() + body))
        return answer.status, content

    async def post(self, path: str, token: str = "", at: int = 0, **content: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.request("POST", path, at=at, json=content, headers=headers)

    async def send_raw(self, text: bytes, *, at: int = 0) -> int:
        """What may be no HTTP; the status of the answer, 0 if there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(self.urls[at]).port)
        answer = b""
        with suppress(OSError), closing(writer):
            writer.write(text)
            async with asyncio.timeout(10):
                while heard := await reader.read(1 << 16):
                    answer += heard
        self.answers.append(("the answer to nonsense", answer))
        return int(answer.split()[1]) if answer else 0

    def register_token(self, name: str, token: str) -> str:
        """A token that was handed out; all JSON Web Tokens begin alike, and end with their signature."""
        self.canaries.add(name, token.rpartition(".")[2])
        return token

    def new_symbol(self) -> str:
        self.symbols += 1
        return f"NEW{self.symbols}"

    def alter(self, *statements: str) -> None:
        """Run statements on the database, past the processes."""
        for statement in statements:
            self.stack.execute(statement)


@asynccontextmanager
async def open_environment() -> AsyncIterator[Environment]:
    """Everything runs: the service twice, worker and beat, all as talkative as they can be; and strangers with wrong passwords."""
    async with open_stack("100/4s", SIMULATOR_ENTITLED="1") as stack, real_provider(stack.simulator) as provider:
        canaries = Canaries()
        stack.env |= {
            "DATABASE_URL": _database_url(stack, canaries.plant("the password of PostgreSQL", ODD)),
            "REDIS_URL": _redis_url(stack, canaries.plant("the password of Redis", ODD)),
            "ALPHA_VANTAGE_API_KEY": canaries.plant("the provider's key"),
            "ALPHA_VANTAGE_BASE_URL": provider.url,
            "ALPHA_VANTAGE_PLAN": "premium-75",
            "MARKET_HOURS": "always",
            "PROVIDER_TIMEOUT": "1",
            "MISS_WAIT": "0.3",
            "JWT_SECRET_KEY": canaries.plant("the key of tokens", ODD + "x" * 32),
            "JWT_PREVIOUS_SECRET_KEY": canaries.plant("the key of older tokens", ODD + "x" * 32),
            "COMMON_PASSWORDS": "refuse",
            "LOG_LEVEL": "DEBUG",
        }
        _require_passwords(stack)
        allow_password(stack)
        recording = asyncio.create_task(_record_commands(stack))
        wrong = {
            "DATABASE_URL": _database_url(stack, canaries.plant("a wrong password of PostgreSQL", ODD)),
            "REDIS_URL": _redis_url(stack, canaries.plant("a wrong password of Redis", ODD)),
        }
        try:
            yield await _start(Environment(stack, provider, canaries, wrong))
        finally:
            recording.cancel()
            await asyncio.wait({recording})


async def _start(environment: Environment) -> Environment:
    stack, strange = environment.stack, environment.wrong
    ports = [str(free_port()) for _ in range(6)]
    environment.urls += [f"http://127.0.0.1:{port}" for port in ports]
    stack.start_gunicorn("web", "--log-level", "debug", PORT=ports[0], METRICS_PORT=ports[3])
    stack.start("readable-api", API, PORT=ports[1], METRICS_PORT=ports[4], QUOTEWELL_ENV="development")
    stack.start("refused-api", API, PORT=ports[2], **strange)
    stack.start("worker", WORKER, WORKER_METRICS_PORT=ports[5])
    stack.start("beat", BEAT)
    stack.start("refused-worker", VERBOSE_WORKER, **strange)
    stack.start("refused-beat", BEAT, **strange)
    stack.start("refused-migrate", MIGRATE, **strange)
    for at in BOTH:
        await stack.serves(environment.urls[at])
    return environment


def _database_url(stack: Stack, password: str) -> str:
    return stack.postgres.url().replace("postgres@", f"quotewell:{quote(password, safe='')}@", 1)


def _redis_url(stack: Stack, password: str) -> str:
    return stack.redis.url().replace("//", f"//quotewell:{quote(password, safe='')}@", 1)


def _password_in(url: str) -> str:
    return unquote(str(urlsplit(url).password))


def _require_passwords(stack: Stack) -> None:
    """The throwaway PostgreSQL takes everybody at their word; but from now on not the role of the processes."""
    rules = stack.postgres.folder / "pg_hba.conf"
    rules.write_text("local all quotewell scram-sha-256\n" + rules.read_text())
    with psycopg.connect(stack.postgres.url(), autocommit=True) as connection:
        create = "CREATE ROLE quotewell LOGIN IN ROLE postgres PASSWORD {}"
        connection.execute(sql.SQL(create).format(_password_in(stack.env["DATABASE_URL"])))
        connection.execute("SELECT pg_reload_conf()")


def allow_password(stack: Stack) -> None:
    """Tell Redis, which forgets it when it is killed, the password of the processes: by its hash, for everything is listened to."""
    hashed = sha256(_password_in(stack.env["REDIS_URL"]).encode()).hexdigest()
    with Redis.from_url(stack.redis.url()) as redis:
        redis.execute_command("ACL", "SETUSER", "quotewell", "on", f"#{hashed}", "~*", "&*", "+@all")


async def _record_commands(stack: Stack) -> None:
    """Write down every command that reaches Redis: what a queue held is gone when it is looked at."""
    with (stack.folder / "commands.log").open("ab") as log:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", stack.redis.port)
                with closing(writer):
                    writer.write(b"MONITOR\r\n")
                    while heard := await reader.read(1 << 16):
                        log.write(heard)
                        log.flush()
            await asyncio.sleep(0.02)
