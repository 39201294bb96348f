"""What happens to the service: its provider fails, its stores freeze and die, its tables are gone, its processes are killed."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import aiohttp
import psutil

from common.process.servers import Server
from tests.e2e.canaries import values
from tests.e2e.client_errors import User, register, try_to_register
from tests.e2e.environment import BOTH, METRICS, ODD, WRONG_PASSWORDS, Environment, allow_password
from tests.harness.polling import eventually
from tests.harness.processes import BIN, PYTHON

FAULTS = (
    *("notice:bad_key", "notice:demo_key"),
    "notice:day_used_up",  # this one repeats the key
    *("notice:throttled_minute", "notice:unknown_notice"),
    *("http_503", "html_200", "truncated", "garbage", "huge", "reset", "cut_off", "drip", "hang"),
)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
ECHOING_ANSWERS = (  # %s stands for the URL that was asked for, key and all
    JSON + b'{"Information": "A word that nobody knows about %s."}',
    JSON + b'{"Note": "%s makes 5 calls per minute."}',
    JSON + b"you asked for %s",
    b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 No to %s\r\nX-Asked: %s\r\n\r\n%s",
    b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
    b"%s\r\n\r\n",
)
CELERY = [str(BIN / "celery"), "-A", "worker.app"]
INSPECTIONS = {
    "inspect-conf": [*CELERY, "inspect", "--timeout", "2", "conf"],
    "inspect-stats": [*CELERY, "inspect", "--timeout", "2", "stats"],
    "inspect-report": [*CELERY, "report"],
}
CREATE_OPERATOR = [
    *(*PYTHON, "ops.cli", "user", "create", "root", "root@example.com"),
    *("--operator", "--password-stdin"),
]
RELEASE_HOLD = "UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL"
OPERATOR_ROUTES = ("status", "budget", "symbols", "calls", "line", "audit")


async def demand_something(environment: Environment) -> None:
    """A quote, a chart and a search that nobody has requested yet. A hold that the provider's last answers caused ends first."""
    environment.alter("DELETE FROM demand", RELEASE_HOLD)
    symbol = environment.new_symbol()
    paths = f"/api/stock/{symbol}", f"/api/stock/{symbol}/chart", f"/api/search/{symbol}"
    await asyncio.gather(*(environment.request("GET", path, at=at % 2) for at, path in enumerate(paths)))


async def demand_until(environment: Environment, met: Callable[[], Awaitable[bool]], what: str) -> None:
    async def demanded_and_met() -> bool:
        await demand_something(environment)
        return await met()

    await eventually(demanded_and_met, what=what)


async def provider_fails(environment: Environment) -> None:
    async def strikes(kind: str) -> bool:
        return f"fault:{kind}" in {call["outcome"] for call in (await environment.stack.calls())["calls"]}

    for kind in FAULTS:
        await environment.stack.set_fault(kind=kind)
        await demand_until(environment, partial(strikes, kind), f"{kind} strikes")

    async def strikes_a_worker() -> bool:
        environment.alter("DELETE FROM attempts", RELEASE_HOLD)
        return await logged(environment, "worker", "call_refused")

    await eventually(strikes_a_worker, what="a worker's call fails, where nobody waits")
    await environment.stack.set_fault()


async def provider_repeats_the_key(environment: Environment) -> None:
    provider = environment.provider

    async def echoes(before: int) -> bool:
        return provider.echoed > before

    for provider.answer in ECHOING_ANSWERS:
        await demand_until(environment, partial(echoes, provider.echoed), f"{provider.answer!r} is heard")
    provider.answer = None


async def real_key_meets_the_simulator(environment: Environment) -> None:
    """Good answers are refused for their mark, by design."""
    environment.provider.marked = True
    reason = "the prices are simulated where real ones are expected"
    await demand_until(environment, partial(logged, environment, "web", reason), "a good answer is refused")
    environment.provider.marked = False


async def logged(environment: Environment, name: str, text: str) -> bool:
    return text in environment.stack.log(name)


async def tables_are_missing(environment: Environment) -> None:
    """As before a migration."""
    ida = await register(environment, "ida")
    environment.alter("ALTER TABLE users RENAME TO no_users", "ALTER TABLE quotes RENAME TO no_quotes")
    for at in BOTH:
        assert 503 == (await environment.post("/api/auth/login", username="ida", password=ida.password, at=at))[0]
        assert 503 == (await environment.post("/api/auth/refresh", refresh_token=ida.refresh, at=at))[0]
        assert 503 == await try_to_register(environment, at=at)
    await eventually(partial(logged, environment, "worker", "StoreUnfit"), what="a worker is refused")
    environment.alter("ALTER TABLE no_users RENAME TO users", "ALTER TABLE no_quotes RENAME TO quotes")


async def rows_are_refused(environment: Environment) -> None:
    """PostgreSQL tells the whole row to whoever breaks a rule with it."""
    environment.alter("ALTER TABLE users ADD CONSTRAINT nobody CHECK (false) NOT VALID")
    for at in BOTH:
        assert 500 == await try_to_register(environment, at=at)
    environment.alter("ALTER TABLE users DROP CONSTRAINT nobody")


async def passwords_of_stores_are_wrong(environment: Environment) -> None:
    """To processes that run since the beginning."""
    password = environment.canaries.plant("a password at a strange process")
    assert 503 == (await environment.request("GET", "/api/health", at=WRONG_PASSWORDS))[0]
    assert 503 == (await environment.post("/api/auth/login", username="ada", password=password, at=WRONG_PASSWORDS))[0]
    assert 1 == await asyncio.to_thread(environment.stack.processes["refused-migrate"].wait, 20)
    for name in ("refused-worker", "refused-beat"):
        refused = partial(logged, environment, name, "invalid username-password pair")
        await eventually(refused, what=f"{name} is refused")


async def operators_are_at_work(environment: Environment) -> None:
    """They make an account, twice, and with wrong passwords of the stores; they look at everything; they kill a worker's children."""
    password, stack = environment.canaries.plant("the password of an operator", ODD), environment.stack
    assert 0 == await create_account(environment, password)
    assert 0 != await create_account(environment, password)
    assert 0 != await create_account(environment, password, **environment.wrong)
    for name, command in INSPECTIONS.items():
        stack.start(name, command)
    for at in BOTH:
        _, body = await environment.post("/api/auth/login", username="root", password=password, at=at)
        keys = {"Authorization": f"Bearer {body['access_token']}"}
        asked = [await environment.request("GET", f"/api/ops/{what}", at=at, headers=keys) for what in OPERATOR_ROUTES]
        assert [200] * len(OPERATOR_ROUTES) == [status for status, _ in asked]
    assert [200] * len(METRICS) == [(await environment.request("GET", "/metrics", at=at))[0] for at in METRICS]
    for name in INSPECTIONS:
        assert 0 == await asyncio.to_thread(stack.processes[name].wait, 20)
    for child in psutil.Process(stack.processes["worker"].pid).children():
        child.kill()


async def create_account(environment: Environment, password: str, **env: str) -> int | None:
    with (environment.stack.folder / "operator.log").open("ab") as log:
        operator = await asyncio.create_subprocess_exec(
            *CREATE_OPERATOR,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment.stack.env | env,
        )
        await operator.communicate(password.encode())
        return operator.returncode


async def stores_freeze_and_die(environment: Environment) -> None:
    jim, stack = await register(environment, "jim"), environment.stack
    for server in (stack.postgres, stack.redis):
        with frozen(server):
            await send_every_request(environment, jim)
    environment.redis_values += values(stack.redis.url())
    stack.redis.kill()
    stack.postgres.kill()
    await send_every_request(environment, jim)
    stack.redis.start()
    await send_every_request(environment, jim)  # this Redis does not know the password
    stack.postgres.start()
    allow_password(stack)

    async def healthy() -> bool:
        return all(
            [(await environment.request("GET", "/api/health", at=at))[1].get("status") == "healthy" for at in BOTH]
        )

    await eventually(healthy, what="both services have both stores again")


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """It and its children, but for those that are gone by then."""
    process = server.process()
    family = [process, *process.children(recursive=True)]
    try:
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
        yield
    finally:
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.resume()


async def send_every_request(environment: Environment, user: User) -> None:
    """All that an account can do, at once, at both services; whatever comes of it."""
    plant, login = environment.canaries.plant, {"username": user.name, "password": user.password}
    asks = [
        ("POST", "/api/auth/login", {"json": login}),
        ("POST", "/api/auth/login", {"json": {**login, "password": plant("a wrong password in a storm")}}),
        ("POST", "/api/auth/refresh", {"json": {"refresh_token": plant("a refresh token in a storm")}}),
        ("POST", "/api/auth/ticket", {"headers": user.keys}),
        ("GET", "/api/auth/me", {"headers": user.keys}),
        ("GET", f"/api/watchlist/stream?ticket={plant('a ticket in a storm')}", {}),
        ("POST", "/api/watchlist", {"json": {"symbol": "IBM"}, "headers": user.keys}),
        ("GET", f"/api/stock/{environment.new_symbol()}", {}),
        ("GET", "/api/health", {}),
    ]
    asked = (environment.request(method, path, at=at, **more) for method, path, more in asks for at in BOTH)
    await asyncio.gather(*asked, *(try_to_register(environment, at=at) for at in BOTH))


async def end_all(environment: Environment) -> None:
    """With a request on its way."""

    async def ask_in_vain() -> None:
        with suppress(aiohttp.ClientError, OSError):
            await environment.request("GET", f"/api/stock/{environment.new_symbol()}?wait=5")

    asking, processes = asyncio.create_task(ask_in_vain()), environment.stack.processes
    for name, process in processes.items():
        if process.poll() is None:
            environment.stack.signal(name, signal.SIGTERM)
    await asyncio.gather(
        asking, *environment.background, *(asyncio.to_thread(each.wait, 25) for each in processes.values())
    )


SERVER_FAULTS = (
    provider_fails,
    provider_repeats_the_key,
    real_key_meets_the_simulator,
    tables_are_missing,
    rows_are_refused,
    passwords_of_stores_are_wrong,
    operators_are_at_work,
    stores_freeze_and_die,
)
