"""What happens to the service: its provider fails, its stores freeze and die, its tables are gone, its processes are killed."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import aiohttp
import psutil

from common.process.servers import Server
from tests.e2e.canaries import values
from tests.e2e.mistakes import User, register, try_to_register
from tests.e2e.scene import BOTH, METRICS, ODD, STRANGE, Scene, let_in
from tests.e2e.stack import BIN, eventually

FAULTS = (
    *("notice:bad_key", "notice:demo_key"),
    "notice:day_used_up",  # this one repeats the key
    *("notice:throttled_minute", "notice:unknown_notice"),
    *("http_503", "html_200", "truncated", "garbage", "huge", "reset", "cut_off", "drip", "hang"),
)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
ECHOES = (  # %s stands for the URL that was asked for, key and all
    JSON + b'{"Information": "A word that nobody knows about %s."}',
    JSON + b'{"Note": "%s makes 5 calls per minute."}',
    JSON + b"you asked for %s",
    b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 No to %s\r\nX-Asked: %s\r\n\r\n%s",
    b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
    b"%s\r\n\r\n",
)
CELERY = [str(BIN / "celery"), "-A", "worker.app"]
LOOKS = {
    "look-conf": [*CELERY, "inspect", "--timeout", "2", "conf"],
    "look-stats": [*CELERY, "inspect", "--timeout", "2", "stats"],
    "look-report": [*CELERY, "report"],
}
CREATE = [
    sys.executable,
    "-m",
    "ops.cli",
    "user",
    "create",
    "root",
    "root@example.com",
    "--operator",
    "--password-stdin",
]
FREE = "UPDATE ledgers SET held_until = NULL, held_for = NULL, probing = false, failures = 0, closed_at = NULL"
QUESTIONS = ("status", "budget", "symbols", "calls", "line", "audit")


async def want_something(scene: Scene) -> None:
    """A quote, a chart and a search that nobody has asked for. What the provider's last answers had held up goes on first."""
    scene.change("DELETE FROM demand", FREE)
    symbol = scene.new_symbol()
    paths = f"/api/stock/{symbol}", f"/api/stock/{symbol}/chart", f"/api/search/{symbol}"
    await asyncio.gather(*(scene.ask("GET", path, at=at % 2) for at, path in enumerate(paths)))


async def want_until(scene: Scene, met: Callable[[], Awaitable[bool]], what: str) -> None:
    async def met_now() -> bool:
        await want_something(scene)
        return await met()

    await eventually(met_now, within=15, what=what)


async def the_provider_fails(scene: Scene) -> None:
    control = f"{scene.stack.simulator}/_fault"

    async def strikes(kind: str) -> bool:
        return f"fault:{kind}" in {call["outcome"] for call in (await scene.stack.calls())["calls"]}

    for kind in FAULTS:
        async with scene.stack.http.put(control, json={"kind": kind}) as told:
            assert 200 == told.status
        await want_until(scene, partial(strikes, kind), f"{kind} strikes")

    async def strikes_a_worker() -> bool:
        scene.change("DELETE FROM attempts", FREE)
        return await logged(scene, "worker", "call_refused")

    await eventually(strikes_a_worker, within=15, what="a worker's call fails, where nobody waits")
    async with scene.stack.http.delete(control) as told:
        assert 204 == told.status


async def the_provider_repeats_the_key(scene: Scene) -> None:
    provider = scene.provider

    async def echoes(before: int) -> bool:
        return provider.echoed > before

    for provider.answer in ECHOES:
        await want_until(scene, partial(echoes, provider.echoed), f"{provider.answer!r} is heard")
    provider.answer = None


async def a_real_key_meets_the_simulator(scene: Scene) -> None:
    """Good answers are refused for their mark, by design."""
    scene.provider.marked = True
    reason = "the prices are simulated where real ones are expected"
    await want_until(scene, partial(logged, scene, "web", reason), "a good answer is refused")
    scene.provider.marked = False


async def logged(scene: Scene, name: str, text: str) -> bool:
    return text in scene.stack.log(name)


async def tables_are_missing(scene: Scene) -> None:
    """As before a migration."""
    ida = await register(scene, "ida")
    scene.change("ALTER TABLE users RENAME TO no_users", "ALTER TABLE quotes RENAME TO no_quotes")
    for at in BOTH:
        assert 503 == (await scene.post("/api/auth/login", username="ida", password=ida.password, at=at))[0]
        assert 503 == (await scene.post("/api/auth/refresh", refresh_token=ida.refresh, at=at))[0]
        assert 503 == await try_to_register(scene, at=at)
    await eventually(partial(logged, scene, "worker", "StoreUnfit"), within=15, what="a worker is refused")
    scene.change("ALTER TABLE no_users RENAME TO users", "ALTER TABLE no_quotes RENAME TO quotes")


async def rows_are_refused(scene: Scene) -> None:
    """PostgreSQL tells the whole row to whoever breaks a rule with it."""
    scene.change("ALTER TABLE users ADD CONSTRAINT nobody CHECK (false) NOT VALID")
    for at in BOTH:
        assert 500 == await try_to_register(scene, at=at)
    scene.change("ALTER TABLE users DROP CONSTRAINT nobody")


async def passwords_of_stores_are_wrong(scene: Scene) -> None:
    """To processes that run since the beginning."""
    password = scene.canaries.plant("a password at a strange process")
    assert 503 == (await scene.ask("GET", "/api/health", at=STRANGE))[0]
    assert 503 == (await scene.post("/api/auth/login", username="ada", password=password, at=STRANGE))[0]
    assert 1 == await asyncio.to_thread(scene.stack.processes["strange-migrate"].wait, 20)
    for name in ("strange-worker", "strange-beat"):
        refused = partial(logged, scene, name, "invalid username-password pair")
        await eventually(refused, within=15, what=f"{name} is refused")


async def operators_are_at_work(scene: Scene) -> None:
    """They make an account, twice, and with wrong passwords of the stores; they look at everything; they kill a worker's children."""
    password, stack = scene.canaries.plant("the password of an operator", ODD), scene.stack
    assert 0 == await create_account(scene, password)
    assert 0 != await create_account(scene, password)
    assert 0 != await create_account(scene, password, **scene.wrong)
    for name, command in LOOKS.items():
        stack.start(name, command)
    for at in BOTH:
        _, body = await scene.post("/api/auth/login", username="root", password=password, at=at)
        keys = {"Authorization": f"Bearer {body['access_token']}"}
        asked = [await scene.ask("GET", f"/api/ops/{what}", at=at, headers=keys) for what in QUESTIONS]
        assert [200] * len(QUESTIONS) == [status for status, _ in asked]
    assert [200] * len(METRICS) == [(await scene.ask("GET", "/metrics", at=at))[0] for at in METRICS]
    for name in LOOKS:
        assert 0 == await asyncio.to_thread(stack.processes[name].wait, 20)
    for child in psutil.Process(stack.processes["worker"].pid).children():
        child.kill()


async def create_account(scene: Scene, password: str, **env: str) -> int | None:
    with (scene.stack.folder / "operator.log").open("ab") as log:
        operator = await asyncio.create_subprocess_exec(
            *CREATE,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=scene.stack.env | env,
        )
        await operator.communicate(password.encode())
        return operator.returncode


async def stores_freeze_and_die(scene: Scene) -> None:
    jim, stack = await register(scene, "jim"), scene.stack
    for server in (stack.postgres, stack.redis):
        with frozen(server):
            await do_everything(scene, jim)
    scene.held += values(stack.redis.url())
    stack.redis.kill()
    stack.postgres.kill()
    await do_everything(scene, jim)
    stack.redis.start()
    await do_everything(scene, jim)  # this Redis does not know the password
    stack.postgres.start()
    let_in(stack)

    async def healthy() -> bool:
        return all([(await scene.ask("GET", "/api/health", at=at))[1].get("status") == "healthy" for at in BOTH])

    await eventually(healthy, within=20, what="both services have both stores again")


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


async def do_everything(scene: Scene, user: User) -> None:
    """All that an account can do, at once, at both services; whatever comes of it."""
    plant, login = scene.canaries.plant, {"username": user.name, "password": user.password}
    asks = [
        ("POST", "/api/auth/login", {"json": login}),
        ("POST", "/api/auth/login", {"json": {**login, "password": plant("a wrong password in a storm")}}),
        ("POST", "/api/auth/refresh", {"json": {"refresh_token": plant("a refresh token in a storm")}}),
        ("POST", "/api/auth/ticket", {"headers": user.keys}),
        ("GET", "/api/auth/me", {"headers": user.keys}),
        ("GET", f"/api/watchlist/stream?ticket={plant('a ticket in a storm')}", {}),
        ("POST", "/api/watchlist", {"json": {"symbol": "IBM"}, "headers": user.keys}),
        ("GET", f"/api/stock/{scene.new_symbol()}", {}),
        ("GET", "/api/health", {}),
    ]
    asked = (scene.ask(method, path, at=at, **more) for method, path, more in asks for at in BOTH)
    await asyncio.gather(*asked, *(try_to_register(scene, at=at) for at in BOTH))


async def all_end(scene: Scene) -> None:
    """With a request on its way."""

    async def ask_in_vain() -> None:
        with suppress(aiohttp.ClientError, OSError):
            await scene.ask("GET", f"/api/stock/{scene.new_symbol()}?wait=5")

    asking, processes = asyncio.create_task(ask_in_vain()), scene.stack.processes
    for name, process in processes.items():
        if process.poll() is None:
            scene.stack.signal(name, signal.SIGTERM)
    await asyncio.gather(asking, *scene.aside, *(asyncio.to_thread(each.wait, 25) for each in processes.values()))


MISHAPS = (
    the_provider_fails,
    the_provider_repeats_the_key,
    a_real_key_meets_the_simulator,
    tables_are_missing,
    rows_are_refused,
    passwords_of_stores_are_wrong,
    operators_are_at_work,
    stores_freeze_and_die,
)
