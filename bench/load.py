"""`make load`: two thousand clients at once on everything that production runs, within its capacity and far beyond it.

Two API processes under gunicorn, a worker, beat, the simulator and the stores share the cores with the clients, as they come. First
people who think, so that all can be served; then more than can be served; then nobody thinks at all; then people who think again,
who must find it as it was.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE, Popen  # nosec B404: our own entries
from typing import Any

import aiohttp
import psutil
import psycopg

from bench.live import INSERT_QUOTE, INSERT_SYMBOL
from bench.load_watch import Watch
from bench.logins import PASSWORD
from bench.read import GUNICORN
from bench.stage import ROOT, Stage, answers, open_stage
from common.process.embedded import stores

CONNECTIONS = 2000
USERS = 50
SYMBOLS = [f"SIM{number:04}" for number in range(1, 101)]
SEARCHES = [*SYMBOLS, *"ABCDEFGIMNOPRST"]
MIX = {"hot": 0.80, "batch": 0.10, "watchlist": 0.05, "search": 0.03, "login": 0.02}
DEAR = {"hot": 0.10, "batch": 0.45, "watchlist": 0.40, "search": 0.03, "login": 0.02}
STEPS = [  # name, seconds of thought, seconds, mix
    ("warm", 1.0, 10.0, MIX),
    ("within", 12.0, 50.0, MIX),
    ("busy", 1.0, 30.0, MIX),
    ("beyond", 0.0, 30.0, MIX),
    ("dear", 0.0, 30.0, DEAR),
    ("again", 0.0, 20.0, MIX),
    ("after", 12.0, 30.0, MIX),
]
PROCESSES = 2
FILES = 3 * CONNECTIONS
HIGH = "1000000000"
MOST_GROWTH = 1.1  # of memory, from the heaviest load to the calm after it


def start(stage: Stage) -> list[psutil.Process]:
    """Everything that production runs; the API's processes."""
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        fill(connection, stage)
    stage.start("simulator", "worker", "beat")
    stage.wait_until(lambda: answers(f"{stage.simulator}/_limits"), "the simulator")
    with (stage.folder / "api.log").open("ab") as log:
        gunicorn = Popen(  # nosec B603
            [sys.executable, "-m", *GUNICORN],
            env=dict(stage.env),
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stage.children.append(gunicorn)
    stage.wait_until(lambda: answers(f"{url(stage)}/api/search/{SEARCHES[0]}"), "the API, with a listing")
    children: list[psutil.Process] = psutil.Process(gunicorn.pid).children()
    return children


def fill(connection: psycopg.Connection, stage: Stage) -> None:
    """Symbols with quotes, as of a system that has been running for an hour."""
    now = time.time()
    rows = [
        {"symbol": symbol, "watchers": 1, "account": stage.settings.account, "at": now - 3600, "failures": 0}
        for symbol in SYMBOLS
    ]
    cursor = connection.cursor()
    cursor.executemany(INSERT_SYMBOL, rows)
    cursor.executemany(INSERT_QUOTE, [(symbol, stage.settings.source) for symbol in SYMBOLS])


async def register(stage: Stage) -> list[str]:
    """A token of each user, who really registers."""

    async def register_one(http: aiohttp.ClientSession, name: str) -> str:
        content = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        async with http.post("/api/auth/register", json=content) as answer:
            body = await answer.json()
            if answer.status != 201:
                raise RuntimeError(f"expected that {name} is registered, not {answer.status}: {body}")
            return str(body["access_token"])

    async with aiohttp.ClientSession(url(stage), connector=aiohttp.TCPConnector(limit=4)) as http:
        return await asyncio.gather(*(register_one(http, name) for name in names()))


def names() -> list[str]:
    return [f"load{number}" for number in range(USERS)]


def url(stage: Stage) -> str:
    return f"http://127.0.0.1:{stage.settings.port}"


def measure(stage: Stage) -> dict[str, Any]:
    """Play all steps; the last line's figures."""
    watch = Watch(start(stage))
    crowd = {
        "connections": CONNECTIONS,
        "tokens": asyncio.run(register(stage)),
        "names": names(),
        "password": PASSWORD,
        "symbols": SYMBOLS,
        "searches": SEARCHES,
    }
    client = Popen(  # nosec B603
        [sys.executable, "-m", "bench.load_client", str(stage.settings.port)],
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    stage.children.append(client)  # ended with the rest
    watch.look()
    seen, settled = {}, {}
    with watch.looking():
        print(f"API {watch.rss[0]:.0f} MiB; {tell(client, crowd)}", flush=True)
        for name, think, seconds, mix in STEPS:
            busy, begun = watch.cpu(), time.monotonic()
            seen[name] = tell(client, {"name": name, "think": think, "seconds": seconds, "mix": mix})
            seen[name]["api_core"] = round((watch.cpu() - busy) / (time.monotonic() - begun), 2)
            settled[name] = watch.settled()
            if missing := set(mix) - set(seen[name]["kinds"]):
                raise RuntimeError(f"{name}: expected that all is asked for, not that {missing} has no answer")
            show(name, seen[name], settled[name])
    return last_line(seen, settled, watch)


def tell(client: "Popen[bytes]", what: Mapping[str, Any]) -> dict[str, Any]:
    """Give the clients a line, and wait for theirs."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(json.dumps(what).encode() + b"\n")
    client.stdin.flush()
    if not (line := client.stdout.readline()):
        raise RuntimeError("the clients ended")
    told: dict[str, Any] = json.loads(line)
    return told


def show(name: str, seen: Mapping[str, Any], rss: float) -> None:
    """A table of a step."""
    rate = (seen["all"]["n"] + seen["all"]["refused_n"]) / seen["seconds"]
    print(
        f"\n{name}: {rate:.0f} requests/s, cores: API {seen['api_core']}, clients {seen['client_core']}; API {rss:.0f} MiB"
    )
    print(
        f"{'':10} {'served':>8} {'p50':>8} {'p99':>8} {'max':>8}   {'refused':>8} {'p50':>8} {'p99':>8} {'max':>8}  ms"
    )
    for kind, row in [*seen["kinds"].items(), ("all", seen["all"])]:
        served, refused = ([row[f"{side}{key}"] for key in ("n", "p50", "p99", "max")] for side in ("", "refused_"))
        print(f"{kind:10} {' '.join(f'{each:>8}' for each in served)}   {' '.join(f'{each:>8}' for each in refused)}")
    for what, count in [*seen["codes"].items(), *seen["errors"].items()]:
        print(f"{count:>8} x {what}", flush=True)


def last_line(seen: Mapping[str, Any], settled: Mapping[str, float], watch: Watch) -> dict[str, Any]:
    within, beyond, dear = seen["within"], seen["beyond"], seen["dear"]
    errors = sum((Counter(each["errors"]) for each in seen.values()), Counter[str]())
    return {
        "connections": CONNECTIONS,
        "requests_per_s": round((beyond["all"]["n"] + beyond["all"]["refused_n"]) / beyond["seconds"]),
        "p50_ms": within["all"]["p50"],
        "p99_ms": within["all"]["p99"],
        "hot_p99_ms": within["kinds"]["hot"]["p99"],
        "beyond_hot_p99_ms": beyond["kinds"]["hot"]["p99"],
        "dear_hot_p99_ms": dear["kinds"]["hot"]["p99"],
        "after_hot_p99_ms": seen["after"]["kinds"]["hot"]["p99"],
        "refused": sum(each["all"]["refused_n"] for each in seen.values()),
        "refused_p50_ms": max(each["all"]["refused_p50"] for each in seen.values()),
        "refused_p99_ms": max(each["all"]["refused_p99"] for each in seen.values()),
        "errors": errors.total(),
        "status_500": sum(count for what, count in errors.items() if " 500 " in what),
        "rss_mib": [round(watch.rss[0]), round(max(watch.rss)), round(settled["after"])],
        "rss_growth_ratio": round(settled["after"] / settled["dear"], 2),
        "files": watch.files,
    }


def main() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        print(f"make load needs {FILES} file handles, not {hard}: ulimit -Hn", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    production = {
        "QUOTEWELL_ENV": "production",
        "JWT_SECRET_KEY": "bench " * 8,
        "HOST": "127.0.0.1",
        "WEB_CONCURRENCY": str(PROCESSES),
        "PROVIDER_LIMITS": "75/1min",
        "SIMULATOR_EXTRA_SYMBOLS": str(len(SYMBOLS)),
        "MAX_WATCHLIST_SIZE": "100",
        "CLIENT_LIMIT": HIGH,
        "SEARCH_LIMIT": HIGH,
        "LOGIN_LIMIT": HIGH,
        "REGISTRATION_LIMIT": HIGH,
        "LOG_LEVEL": "INFO",
    }
    with tempfile.TemporaryDirectory(prefix="quotewell-bench-") as name:
        folder = Path(name)
        with (
            stores(folder, {"QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
            open_stage(urls, folder, "load", **production) as stage,
        ):
            figures = measure(stage)
    print(json.dumps(figures))
    return 1 if figures["errors"] or figures["rss_growth_ratio"] > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
