"""`make load`: two thousand clients at once on everything that production runs, within its capacity and far beyond it.

Two API processes under gunicorn, a worker, beat, the simulator and the stores share the cores with the clients. The clients first
pause between requests, so that all are served, then pause less and not at all, and at last pause again: then latency and memory must
be as in the beginning.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from subprocess import PIPE, Popen  # nosec B404: our own entries
from typing import Any

import psutil
import psycopg

from bench.hot_quotes import GUNICORN, NO_LIMIT, PRODUCTION
from bench.load.usage import Watch
from bench.login.clients import PASSWORD, register
from bench.refresh.processes import insert_quoted
from bench.run import allow_files, open_single_stage, run, spawn
from bench.stage import ROOT, Stage, answers

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
MAX_GROWTH = 1.1  # of memory, from the heaviest load to the calm after it


def start(stage: Stage) -> list[psutil.Process]:
    """Everything that production runs; the API's processes."""
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        fill(connection, stage)
    stage.start("simulator", "worker", "beat")
    stage.wait_until(lambda: answers(f"{stage.simulator}/_limits"), "the simulator")
    gunicorn = spawn(stage, "api", GUNICORN)
    stage.wait_until(lambda: answers(f"{url(stage)}/api/search/{SEARCHES[0]}"), "the API, with a listing")
    children: list[psutil.Process] = psutil.Process(gunicorn.pid).children()
    return children


def fill(connection: psycopg.Connection, stage: Stage) -> None:
    """Symbols with quotes, as in a system that has been running for an hour."""
    row = {"watchers": 1, "source": stage.settings.source, "at": time.time() - 3600}
    insert_quoted(connection, [row | {"symbol": symbol} for symbol in SYMBOLS])


def names() -> list[str]:
    return [f"load{number}" for number in range(USERS)]


def url(stage: Stage) -> str:
    return f"http://127.0.0.1:{stage.settings.port}"


def measure(stage: Stage) -> dict[str, Any]:
    """Play all steps; the last line's figures."""
    watch = Watch(start(stage))
    crowd = {
        "connections": CONNECTIONS,
        "tokens": asyncio.run(register(stage.settings.port, names())),
        "names": names(),
        "password": PASSWORD,
        "symbols": SYMBOLS,
        "searches": SEARCHES,
    }
    client = Popen(  # nosec B603
        [sys.executable, "-m", "bench.load.client", str(stage.settings.port)],
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    stage.children.append(client)  # ended with the rest
    watch.look()
    seen, settled = {}, {}
    with watch.looking():
        print(f"API {watch.rss[0]:.0f} MiB; {send(client, crowd)}", flush=True)
        for name, think, seconds, mix in STEPS:
            busy, begun = watch.cpu(), time.monotonic()
            seen[name] = send(client, {"name": name, "think": think, "seconds": seconds, "mix": mix})
            seen[name]["api_core"] = round((watch.cpu() - busy) / (time.monotonic() - begun), 2)
            settled[name] = watch.settled()
            if missing := set(mix) - set(seen[name]["kinds"]):
                raise RuntimeError(f"{name}: expected that all is asked for, not that {missing} has no answer")
            show(name, seen[name], settled[name])
    return last_line(seen, settled, watch)


def send(client: "Popen[bytes]", what: Mapping[str, Any]) -> dict[str, Any]:
    """Send the clients one line of JSON; their answer."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(json.dumps(what).encode() + b"\n")
    client.stdin.flush()
    if not (line := client.stdout.readline()):
        raise RuntimeError("the clients ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


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


SETTINGS = PRODUCTION | {
    "WEB_CONCURRENCY": str(PROCESSES),
    "PROVIDER_LIMITS": "75/1min",
    "SIMULATOR_EXTRA_SYMBOLS": str(len(SYMBOLS)),
    "MAX_WATCHLIST_SIZE": "100",
    "SEARCH_LIMIT": NO_LIMIT,
    "REGISTRATION_LIMIT": NO_LIMIT,
    "LOG_LEVEL": "INFO",
}


def measure_on_stage() -> dict[str, Any]:
    allow_files(FILES)
    with open_single_stage("load", **SETTINGS) as stage:
        return measure(stage)


def passed(figures: Mapping[str, Any]) -> bool:
    return not figures["errors"] and figures["rss_growth_ratio"] <= MAX_GROWTH


if __name__ == "__main__":
    sys.exit(run(measure_on_stage, passed=passed))
