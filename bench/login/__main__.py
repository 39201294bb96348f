"""`make bench-login`: logins a second against the bcrypt bound of the core, and what a flood of logins costs the hot quotes.

The API has one core, all else the other. The bound is a plain loop of `bcrypt.checkpw` on the API's core while the API is idle; it
takes turns with the logins. Hot quotes are read at a fixed rate, in turn with and without logins beside them.
"""

import asyncio
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import bcrypt

from bench.hot_quotes import GUNICORN, LOAD_CORE, SERVER_CORE, p99_at, production, server, wrk
from bench.login.clients import PASSWORD, account_names, offer, register, repeat
from bench.run import open_single_stage, require_tools, run
from bench.stage import Stage

ROUNDS = 7  # of hot quotes
TURNS = 11  # of logins and of the bound; short ones, for a neighbour comes and goes
SECONDS = 4.0  # a turn
OFFERED = 20.0  # logins a second
STORM = 1.0  # seconds in which the waiting logins fill their places
LOAD = 1 / 4  # of the highest rate of hot quotes


def measure(stage: Stage) -> dict[str, float]:
    """All figures, in the shape of the last line."""
    stage.start("simulator")
    port, cost = stage.settings.port, replace(stage.settings, environment="production").bcrypt_cost
    with server(*GUNICORN, env=production(stage), port=port):
        asyncio.run(register(port, account_names()))
        return {"vs_bcrypt_bound": round(against_bound(port, cost), 2), "hot_p99_ratio": round(storm_ratio(port), 2)}


def against_bound(port: int, cost: int) -> float:
    """Logins a second over hashes a second, the median of turns."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost))
    ratios = []
    for _ in range(TURNS):
        bound = hashes_per_second(hashed)
        logins = asyncio.run(repeat(port, SECONDS))
        ratios.append(logins / bound)
        print(f"bound {bound:.2f}/s, logins {logins:.2f}/s, {ratios[-1]:.2f} of it", flush=True)
    return median(ratios)


def hashes_per_second(hashed: bytes) -> float:
    """What the API's core can check if it does nothing else."""
    with on_core(SERVER_CORE):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() < begun + SECONDS:
            bcrypt.checkpw(PASSWORD.encode(), hashed)
            done += 1
        return done / (time.perf_counter() - begun)


@contextmanager
def on_core(core: str) -> Iterator[None]:
    """This thread on that core for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def storm_ratio(port: int) -> float:
    """The p99 of hot quotes under the offered logins over the p99 without, the median of rounds that take turns."""
    rate = LOAD * median(wrk(port) for _ in range(3))
    ratios = []
    for _ in range(ROUNDS):
        calm = p99_at(port, rate)
        with storm(port) as statuses:
            stormy = p99_at(port, rate)
        ratios.append(stormy / calm)
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        print(f"{rate:.0f} quotes/s: p99 {calm:.2f} ms, {stormy:.2f} ms under logins ({answers})", flush=True)
    return median(ratios)


@contextmanager
def storm(port: int) -> Iterator[Counter[int]]:
    """Logins are offered meanwhile; yields what they were answered with, filled in once all are, so that the next round is calm."""
    stop, statuses = threading.Event(), Counter[int]()
    with ThreadPoolExecutor(1) as threads:
        offered = threads.submit(lambda: asyncio.run(offer(port, OFFERED, until=stop.is_set)))
        try:
            time.sleep(STORM)
            yield statuses
        finally:
            stop.set()
        statuses.update(offered.result())
    if not statuses[200] or set(statuses) - {200, 503}:
        raise RuntimeError(f"expected logins that succeed or are refused with 503, not {dict(statuses)}")


def measure_on_stage() -> dict[str, float]:
    require_tools(wrk="wrk", h2load="nghttp2-client", taskset="util-linux")
    os.sched_setaffinity(0, {int(LOAD_CORE)})  # the stores inherit it
    with open_single_stage("login", PROVIDER_LIMITS="1000/1min") as stage:
        return measure(stage)


if __name__ == "__main__":
    sys.exit(run(measure_on_stage))
